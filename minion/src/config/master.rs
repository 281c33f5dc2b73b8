//! One entry of `master`.

use std::fmt;
use std::num::NonZeroU16;

/// A master to sign in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// As configured, for the log: Salt's lines show the same.
    pub name: String,
    /// A host's name or an address, without brackets.
    pub host: String,
    /// Where it takes requests.
    pub port: NonZeroU16,
}

impl Master {
    /// The name under which what is known about this master is kept.
    #[must_use]
    pub fn endpoint(&self) -> MasterName {
        let Self { host, port, .. } = self;
        MasterName(if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{}:{port}", host.to_ascii_lowercase())
        })
    }
}

/// `host:port`, the same however the master was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterName(String);

impl MasterName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MasterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
