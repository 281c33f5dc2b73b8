//! How often a PKCS#11 function was called, from the journal of the fault module.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The journal of one token.
#[derive(Clone, Debug)]
pub struct Counts {
    journal: PathBuf,
}

impl Counts {
    /// The journal at this path; it need not exist yet.
    #[must_use]
    pub const fn new(journal: PathBuf) -> Self {
        Self { journal }
    }

    /// Where the fault module writes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.journal
    }

    /// How often the function was called, by all processes together. `C_Sign` counts what makes a
    /// signature; the question for its length is `C_Sign(size)`.
    ///
    /// # Errors
    ///
    /// Fails if the journal can't be read; before the first call there is none, and the answer is
    /// 0.
    pub fn calls(&self, function: &str) -> Result<usize> {
        Ok(self
            .text()?
            .lines()
            .filter(|line| line.split(' ').skip(2).eq(["call", function]))
            .count())
    }

    /// The whole journal, for a test that failed.
    ///
    /// # Errors
    ///
    /// Fails if the journal can't be read.
    pub fn text(&self) -> Result<String> {
        if !self.journal.exists() {
            return Ok(String::new());
        }
        fs::read_to_string(&self.journal)
            .with_context(|| format!("failed to read {}", self.journal.display()))
    }
}
