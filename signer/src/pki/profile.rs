//! What a certificate is for.
//!
//! The purpose decides everything in it but the key: the names, the extended key usage and the
//! authority that may sign it. There is no free form, so there is no certificate that is half a
//! server and half an admin.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};

use super::Scope;
use crate::authorize::Identity;

/// Whom or what a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A caller of the service.
    Client(Identity),
    /// The service, under the names and addresses by which it is called.
    Server(Vec<Host>),
}

impl Profile {
    /// The authority that makes such certificates.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        match self {
            Self::Client(Identity::Master(_)) => Scope::Masters,
            Self::Client(Identity::Operator { .. }) => Scope::Operators,
            Self::Server(_) => Scope::Service,
        }
    }

    /// Everything but serial number, dates and key.
    pub(super) fn params(&self) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        match self {
            Self::Client(identity) => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
            }
            Self::Server(hosts) => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                params.subject_alt_names =
                    hosts.iter().map(Host::name).collect::<Result<_, _>>()?;
            }
        }
        let mut subject = rcgen::DistinguishedName::new();
        subject.push(rcgen::DnType::OrganizationName, "Mastersign");
        let shown = self.shown();
        if shown.len() <= MAX_COMMON_NAME {
            subject.push(rcgen::DnType::CommonName, shown);
        }
        params.distinguished_name = subject;
        Ok(params)
    }

    fn shown(&self) -> String {
        match self {
            Self::Client(Identity::Master(id)) => format!("master {id}"),
            Self::Client(Identity::Operator { role, name }) => format!("{} {name}", role.name()),
            Self::Server(_) => "signing service".to_owned(),
        }
    }
}

impl fmt::Display for Profile {
    /// The identity's URI, or `server:` and the hosts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(identity) => identity.fmt(f),
            Self::Server(hosts) => {
                let mut separator = "server:";
                for host in hosts {
                    write!(f, "{separator}{host}")?;
                    separator = ",";
                }
                Ok(())
            }
        }
    }
}

/// A DNS name or an address of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An IP address.
    Address(IpAddr),
    /// A DNS name without wildcard.
    Name(String),
}

impl Host {
    fn name(&self) -> Result<SanType, rcgen::Error> {
        Ok(match self {
            Self::Address(address) => SanType::IpAddress(*address),
            Self::Name(name) => SanType::DnsName(name.as_str().try_into()?),
        })
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let numeric_end = text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if text.len() <= 253 && text.split('.').all(label) && !numeric_end {
            Ok(Self::Name(text.to_ascii_lowercase()))
        } else {
            Err(HostError)
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A text that is neither a DNS name nor an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is a DNS name without wildcard and port, or an IP address")]
pub struct HostError;

// RFC 5280, appendix A.1, ub-common-name.
const MAX_COMMON_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for text in ["localhost", "signer-1.example.org", "10.0.0.1", "::1"] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), text);
        }
        assert_eq!("A.Example".parse(), Ok(Host::Name("a.example".to_owned())));
    }

    #[test]
    fn what_no_client_would_match_is_refused() {
        for text in [
            "",
            "*.example.org",
            "host:8443",
            "a..b",
            "a.",
            "-a",
            "10.0.0.256",
            "a b",
            "ä.de",
        ] {
            assert_eq!(text.parse::<Host>(), Err(HostError), "{text:?}");
        }
    }
}
