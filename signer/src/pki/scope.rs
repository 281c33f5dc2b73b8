//! What an authority is for.

use std::fmt;
use std::str::FromStr;

use rcgen::ExtendedKeyUsagePurpose;

/// What an authority vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Salt masters.
    Masters,
    /// People and their tools.
    Operators,
    /// The signing service.
    Service,
}

impl Scope {
    /// All, in alphabetical order.
    pub const ALL: [Self; 3] = [Self::Masters, Self::Operators, Self::Service];

    /// The word, which is also the name of its folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Masters => "masters",
            Self::Operators => "operators",
            Self::Service => "service",
        }
    }

    pub(super) const fn usage(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Masters | Self::Operators => ExtendedKeyUsagePurpose::ClientAuth,
            Self::Service => ExtendedKeyUsagePurpose::ServerAuth,
        }
    }

    /// How the common name of its certificate begins.
    pub(super) const fn common_name(self) -> &'static str {
        match self {
            Self::Masters => "Mastersign masters CA",
            Self::Operators => "Mastersign operators CA",
            Self::Service => "Mastersign service CA",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or(UnknownScope)
    }
}

/// A word that names no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authorities are masters, operators and service")]
pub struct UnknownScope;
