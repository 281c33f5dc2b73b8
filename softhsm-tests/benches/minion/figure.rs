//! A figure: what was measured, beside what, and the bound that it has to keep.

use std::fmt;

/// Smallest, middle and largest of the rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self {
            least: at(0),
            median: at(values.len() / 2),
            most: at(values.len().saturating_sub(1)),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self {
            least,
            median,
            most,
        } = self;
        write!(f, "{median:.digits$} ({least:.digits$} .. {most:.digits$})")
    }
}

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
        let worst = Spread::of([values.most]);
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
