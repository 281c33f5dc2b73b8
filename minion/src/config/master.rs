//! One entry of `master`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;

/// A master to sign in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// As configured, for the log.
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

    /// Reads `host`, `host:port`, an IPv6 address, or one in brackets with or without a port.
    ///
    /// Salt 3008.5, `salt/minion.py`, `prep_ip_port`, over `salt/utils/network.py`,
    /// `parse_host_port`. Salt does not split a text at commas: it is a bad hostname there, too.
    pub(super) fn parse(text: &str, default_port: NonZeroU16) -> Result<Self, MasterError> {
        let fail = |why| MasterError {
            entry: text.to_owned(),
            why,
        };
        let (host, port) = split(text).map_err(fail)?;
        let host = match host.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) if is_host_name(host) => host.to_owned(),
            Err(_) if host.contains(',') => return Err(fail(Why::Commas)),
            Err(_) => return Err(fail(Why::Host)),
        };
        let port = match port {
            None => default_port,
            Some(port) => port.parse().map_err(|_| fail(Why::Port))?,
        };
        Ok(Self {
            name: text.to_owned(),
            host,
            port,
        })
    }

    /// An entry of `master_uri_format: ip_only`, which has no port.
    pub(super) fn address(text: &str, port: NonZeroU16) -> Result<Self, MasterError> {
        let address: IpAddr = text.parse().map_err(|_| MasterError {
            entry: text.to_owned(),
            why: Why::IpOnly,
        })?;
        Ok(Self {
            name: text.to_owned(),
            host: address.to_string(),
            port,
        })
    }
}

fn split(text: &str) -> Result<(&str, Option<&str>), Why> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.rsplit_once(']').ok_or(Why::Brackets)?;
        host.parse::<Ipv6Addr>().map_err(|_| Why::Brackets)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(Why::Port),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, Some(port))),
        Some(_) | None => Ok((text, None)),
    }
}

/// Salt 3008.5, `salt/utils/network.py`, `sanitize_host`.
fn is_host_name(host: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !host.is_empty() && host.len() <= 255 && host.chars().all(fits)
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

/// Why an entry is no address of a master.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} {why}")]
pub struct MasterError {
    entry: String,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("has brackets but no IPv6 address in them; write `[2001:db8::1]:4506`")]
    Brackets,
    #[error("has commas; several masters are a list: `master: [a, b]`")]
    Commas,
    #[error("is neither a host name (letters, digits, `.`, `-`, `_`) nor an address")]
    Host,
    #[error("is no address, and `master_uri_format: ip_only` takes nothing else")]
    IpOnly,
    #[error("has no port from 1 to 65535 after the colon")]
    Port,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: NonZeroU16 = NonZeroU16::new(4506).unwrap();

    #[test]
    fn every_form_that_salt_documents_is_understood() {
        for (text, host, port) in [
            ("salt", "salt", 4506),
            ("m1.example.org:4600", "m1.example.org", 4600),
            ("127.0.0.1", "127.0.0.1", 4506),
            ("10.11.12.13:4567", "10.11.12.13", 4567),
            ("[::1]:1234", "::1", 1234),
            ("[2001:DB8::1]", "2001:db8::1", 4506),
            ("fe80::a00:27ff:fedc:ba98", "fe80::a00:27ff:fedc:ba98", 4506),
            ("1234:0::0005", "1234::5", 4506),
        ] {
            let master = Master::parse(text, PORT).unwrap();
            assert_eq!(
                (master.host.as_str(), master.port.get()),
                (host, port),
                "{text}"
            );
            assert_eq!(master.name, text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for (text, word) in [
            ("", "neither"),
            ("a b", "neither"),
            ("a,b", "[a, b]"),
            ("a:", "port"),
            ("a:0", "port"),
            ("a:65536", "port"),
            ("a:x", "port"),
            ("[::1", "brackets"),
            ("[a]:1", "brackets"),
            ("[::1]x", "port"),
            ("fe80::1%eth0", "neither"),
        ] {
            let error = Master::parse(text, PORT).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn one_master_has_one_endpoint_however_it_is_written() {
        let endpoint = |text| Master::parse(text, PORT).unwrap().endpoint();
        assert_eq!(endpoint("[::1]").as_str(), "[::1]:4506");
        assert_eq!(endpoint("0::1"), endpoint("[::1]:4506"));
        assert_eq!(endpoint("M1.example.org"), endpoint("m1.example.org:4506"));
        assert_ne!(endpoint("m1"), endpoint("m1:4507"));
    }
}
