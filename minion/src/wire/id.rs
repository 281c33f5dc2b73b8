//! The minion's name, as a master will use it for a file.
//!
//! The rule is Salt's own and not ours for masters: what a stock master accepts today must stay the
//! name of the same minion tomorrow. A name that the master would refuse is refused here, before it
//! costs a sign-in.

use std::fmt;
use std::str::FromStr;

/// A minion id that a master can accept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MinionId(String);

impl MinionId {
    /// The longest id: a master stores the key in a file of that name.
    pub const MAX_BYTES: usize = 255;

    /// The id as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MinionId {
    type Err = BadMinionId;

    /// Salt 3008.5, `salt/utils/verify.py`, `valid_id`: no separators, no NUL, and no way out of
    /// the directory.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let outside = matches!(text, "" | "." | "..") || text.contains(['/', '\\', '\0']);
        if outside || text.len() > Self::MAX_BYTES {
            return Err(BadMinionId(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for MinionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that no master takes for a minion's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no minion id: at most 255 bytes, neither / nor \\ nor NUL, and neither . nor ..")]
pub struct BadMinionId(String);
