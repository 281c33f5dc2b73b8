//! Who a client certificate belongs to.
//!
//! Exactly one URI in the certificate's subject alternative names says it: `mastersign:master:<id>`
//! or `mastersign:{admin,auditor,metrics}:<name>`. The common name is never read: tools fill it in
//! by habit, and two places that may say who somebody is are two answers.

use std::fmt;
use std::str::FromStr;

/// The name under which a master is accepted, 1 to 253 characters of `[A-Za-z0-9._-]`.
///
/// It need not equal Salt's id of that master.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterId(String);

impl MasterId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MasterId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentityError::Name)
        }
    }
}

impl fmt::Display for MasterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MasterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterId({self})")
    }
}

impl serde::Serialize for MasterId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MasterId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What an operator's certificate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperatorRole {
    /// Decides about masters and signing keys.
    Admin,
    /// Reads the audit log.
    Auditor,
    /// Reads metrics.
    Metrics,
}

impl OperatorRole {
    /// The word in the certificate.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Metrics => "metrics",
        }
    }
}

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A salt-master, certified by the masters' CA.
    Master(MasterId),
    /// A person or their tool, certified by the operators' CA.
    Operator {
        /// What the certificate allows.
        role: OperatorRole,
        /// 1 to 253 characters of `[A-Za-z0-9._-]`.
        name: String,
    },
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        let rest = uri
            .strip_prefix("mastersign:")
            .ok_or(IdentityError::Scheme)?;
        let (role, name) = rest.split_once(':').ok_or(IdentityError::Scheme)?;
        let role = match role {
            "master" => return name.parse().map(Self::Master),
            "admin" => OperatorRole::Admin,
            "auditor" => OperatorRole::Auditor,
            "metrics" => OperatorRole::Metrics,
            _ => return Err(IdentityError::Role),
        };
        if is_name(name) {
            Ok(Self::Operator {
                role,
                name: name.to_owned(),
            })
        } else {
            Err(IdentityError::Name)
        }
    }
}

impl fmt::Display for Identity {
    /// Writes the URI that stands in the certificate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master(id) => write!(f, "mastersign:master:{id}"),
            Self::Operator { role, name } => write!(f, "mastersign:{}:{name}", role.name()),
        }
    }
}

/// Why a text names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A name outside the alphabet or of a wrong length.
    #[error(
        "a name is 1 to 253 characters of A-Z, a-z, 0-9, dot, underscore and hyphen, but not . or \
         .."
    )]
    Name,
    /// A role that does not exist.
    #[error("the role is none of master, admin, auditor, metrics")]
    Role,
    /// No URI of ours.
    #[error("an identity is mastersign:master:<id> or mastersign:{{admin,auditor,metrics}}:<name>")]
    Scheme,
}

/// Also refuses the two names that a URL cannot carry as a segment of its path (RFC 3986, section
/// 5.2.4).
fn is_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && !matches!(text, "." | "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_a_path_and_a_statement_can_carry() {
        for good in ["a", "web-1.example_x", "...", &"x".repeat(253)] {
            assert_eq!(good.parse::<MasterId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "a\n",
            "é",
            "a:b",
            "*",
            &"x".repeat(254),
        ] {
            assert_eq!(bad.parse::<MasterId>(), Err(IdentityError::Name), "{bad:?}");
        }
    }

    #[test]
    fn an_identity_is_read_as_it_is_written_and_in_no_other_way() {
        for uri in [
            "mastersign:master:m-1",
            "mastersign:admin:alice",
            "mastersign:auditor:bob",
            "mastersign:metrics:scraper",
        ] {
            assert_eq!(uri.parse::<Identity>().unwrap().to_string(), uri);
        }
        for (uri, reason) in [
            ("master:m-1", IdentityError::Scheme),
            ("mastersign:m-1", IdentityError::Scheme),
            ("Mastersign:master:m-1", IdentityError::Scheme),
            ("mastersign:root:m-1", IdentityError::Role),
            ("mastersign:Admin:alice", IdentityError::Role),
            ("mastersign:admin:", IdentityError::Name),
            ("mastersign:master:a:b", IdentityError::Name),
        ] {
            assert_eq!(uri.parse::<Identity>(), Err(reason), "{uri}");
        }
    }
}
