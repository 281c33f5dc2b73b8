//! A figure: what was measured, beside what, and the bound that it has to keep.

use softhsm_tests::measure::Spread;

/// What a figure has to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Told for comparison; nothing was promised.
    None,
}

/// All figures of a run, printed as they come.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    missed: Vec<String>,
}

impl Figures {
    /// Judges the median, and prints the line.
    pub(crate) fn judge(&mut self, what: &str, values: Spread, unit: &str, bound: Bound) {
        let (kept, judged) = match bound {
            Bound::AtLeast(least) => (values.median >= least, format!(">= {least}")),
            Bound::AtMost(most) => (values.median <= most, format!("<= {most}")),
            Bound::None => (true, String::new()),
        };
        let verdict = match (bound, kept) {
            (Bound::None, _) => "",
            (_, true) => "met",
            (_, false) => "MISSED",
        };
        println!("  {what:<58} {values:>28.3} {unit:<6} {judged} {verdict}");
        if !kept {
            self.missed.push(what.to_owned());
        }
    }

    /// A figure that every round has to keep, not only the median.
    pub(crate) fn judge_all(&mut self, what: &str, values: Spread, unit: &str, most: f64) {
        self.judge(what, values, unit, Bound::None);
        let worst = Spread::from_iter([values.most]);
        self.judge("  the largest of them", worst, unit, Bound::AtMost(most));
    }

    /// Whether all bounds were kept; says which were not.
    pub(crate) fn finish(self) -> bool {
        if self.missed.is_empty() {
            println!("every bound was met");
        } else {
            println!("MISSED: {}", self.missed.join("; "));
        }
        self.missed.is_empty()
    }
}
