//! Signs of life of what takes longer than a person waits without wondering.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::note;

/// How far something is, on standard error: a bar on a terminal that is gone when it is done, and
/// else a line now and then.
#[derive(Debug)]
pub struct Progress {
    what: String,
    total: u64,
    view: View,
}

#[derive(Debug)]
enum View {
    Bar(ProgressBar),
    Lines {
        begun: Instant,
        /// In milliseconds since the beginning.
        next: AtomicU64,
    },
    Hidden,
}

impl Progress {
    /// Something that consists of so many steps. Where there is no terminal, nothing is said about
    /// it unless it takes more than a second.
    #[must_use]
    pub fn of(what: impl Into<String>, total: u64) -> Self {
        let what = what.into();
        let view = if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            View::Bar(styled(bar, "{msg} [{bar:30}] {percent}% {elapsed}", &what))
        } else {
            View::Lines {
                begun: Instant::now(),
                next: AtomicU64::new(FIRST),
            }
        };
        Self { what, total, view }
    }

    /// Something of which nobody knows how long it takes; said at once.
    #[must_use]
    pub fn open_ended(what: impl Into<String>) -> Self {
        let what = what.into();
        let view = if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            View::Bar(styled(bar, "{spinner} {msg} … {elapsed}", &what))
        } else {
            // Nobody is left to tell if standard error is closed.
            let _ = note(format_args!("{what} …"));
            View::Hidden
        };
        Self {
            what,
            total: 0,
            view,
        }
    }

    /// For tests: says nothing.
    #[cfg(test)]
    pub(crate) const fn hidden() -> Self {
        Self {
            what: String::new(),
            total: 0,
            view: View::Hidden,
        }
    }

    /// So many of the steps are done. Cheap, and may be called by several threads.
    pub fn at(&self, done: u64) {
        match &self.view {
            View::Bar(bar) => bar.set_position(done.min(self.total)),
            View::Lines { begun, next } => {
                let now = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                let due = next.load(Ordering::Relaxed);
                let then = now.saturating_add(BETWEEN);
                let is_ours = now >= due
                    && next
                        .compare_exchange(due, then, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok();
                if is_ours {
                    let share = done.saturating_mul(100).checked_div(self.total);
                    let _ = note(format_args!(
                        "{}: {} %",
                        self.what,
                        share.unwrap_or(0).min(100)
                    ));
                }
            }
            View::Hidden => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}

fn styled(bar: ProgressBar, template: &str, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// Who sees nothing for longer wonders.
const FIRST: u64 = 1_000;
/// Milliseconds between two lines: a log of an hour's work has 360 of them.
const BETWEEN: u64 = 10_000;
const TICK: Duration = Duration::from_millis(100);
