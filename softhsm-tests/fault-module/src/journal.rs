//! The file that says what was called.
//!
//! Lines, not counters: each is one `write` with `O_APPEND`, so that several processes share the
//! file, a process that is killed has lost nothing, and a failed test shows the order of things.
//! The call is written before it is made: one that never returns still happened.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use cryptoki_sys::CK_RV;

pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map(Self)
            .map_err(|error| format!("cannot open {}: {error}", path.display()))
    }

    pub(crate) fn called(&self, event: &str) {
        self.line(&format!("call {event}"));
    }

    pub(crate) fn spoiled(&self, event: &str) {
        self.line(&format!("spoiled {event}"));
    }

    pub(crate) fn returned(&self, event: &str, answer: CK_RV) {
        let name = event.split(' ').next().unwrap_or_default();
        self.line(&format!("done {name} {answer:#010x}"));
    }

    /// Writes microseconds since 1970, the process and the event.
    ///
    /// A count that is silently too low would let a wrong test pass, so a journal that can't be
    /// written ends the process.
    #[expect(
        clippy::disallowed_methods,
        reason = "a module is called by C and is handed no clock"
    )]
    fn line(&self, event: &str) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let line = format!("{} {} {event}\n", now.as_micros(), process::id());
        if (&self.0).write_all(line.as_bytes()).is_err() {
            process::abort();
        }
    }
}
