//! The minion's name where the configuration has none.
//!
//! Salt 3008.5, `salt/config/__init__.py`, `get_id`, and `salt/utils/network.py`,
//! `_generate_minion_id`: the file that an earlier start wrote, else the first name of this host
//! that is not one of `localhost`.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

use super::ConfigError;
use crate::salt_config::text;

/// What this host is called, in Salt's order of preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// Asks the system, which may ask its name servers.
    pub(super) fn look_up() -> Result<Self, ConfigError> {
        let hosts = text(Path::new("/etc/hosts"))?.unwrap_or_default();
        let name = dns_lookup::get_hostname().unwrap_or_default();
        let mut names = vec![full_name(&name, &hosts), name];
        let one_name = text(Path::new("/etc/hostname"))?.unwrap_or_default();
        for text in [one_name, hosts] {
            names.extend(local_names(&text));
        }
        Ok(Self(names))
    }

    /// The first that can be told from another host's.
    pub(super) fn first(self) -> Option<String> {
        self.0.into_iter().find(|name| is_own(name))
    }
}

/// The content of `minion_id`: its first line, if it is a name.
///
/// Salt takes `localhost` for none, and a byte order mark for a part of the name: the one that it
/// would remove is that of UTF-16.
pub(super) fn kept(path: &Path) -> Result<Option<String>, ConfigError> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    let line = text.lines().next();
    let name = line.unwrap_or_default().trim();
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty() && name != "localhost"))
}

/// Salt's `minion_id_remove_domain`: of a generated name, all after the first dot, or one domain.
pub(super) fn without_domain(name: &str, domain: Option<&str>) -> String {
    let Some(domain) = domain else {
        return name.split('.').next().unwrap_or_default().to_owned();
    };
    let suffix = format!(".{}", domain.to_lowercase());
    let kept = name.to_lowercase().strip_suffix(&suffix).map(str::len);
    // Lower case of ASCII names keeps their length; of any other, the name stays as it is.
    kept.and_then(|length| name.get(..length))
        .unwrap_or(name)
        .to_owned()
}

/// Python's `socket.getfqdn`: the canonical name of the address of this name, or of its aliases the
/// first with a dot.
fn full_name(name: &str, hosts: &str) -> String {
    let address = (name, 0)
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next());
    let Some(address) = address.map(|address| address.ip()) else {
        return name.to_owned();
    };
    let Ok(canonical) = dns_lookup::lookup_addr(&address) else {
        return name.to_owned();
    };
    let aliases = aliases(hosts, address, &canonical);
    let with_dot = std::iter::once(&canonical).chain(&aliases);
    let with_dot = with_dot.into_iter().find(|name| name.contains('.'));
    with_dot.unwrap_or(&canonical).clone()
}

/// The other names of an address in `/etc/hosts`: those of its first line.
fn aliases(hosts: &str, address: IpAddr, canonical: &str) -> Vec<String> {
    for line in hosts.lines() {
        let mut words = words(line);
        if words.next().and_then(|word| word.parse::<IpAddr>().ok()) == Some(address) {
            return match words.next() {
                Some(first) if first == canonical => words.map(str::to_owned).collect(),
                Some(_) | None => Vec::new(),
            };
        }
    }
    Vec::new()
}

/// What Salt takes from `/etc/hostname` and `/etc/hosts`: the words of a loopback line, and of a
/// line with only one.
fn local_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = words(line).collect();
        let loopback = |word: &&str| word.starts_with("127.") || word.starts_with("::1");
        if words.first().is_some_and(loopback) || words.len() == 1 {
            names.extend(words.into_iter().map(str::to_owned));
        }
    }
    names
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('#')
        .next()
        .unwrap_or_default()
        .split_whitespace()
}

/// Whether a name is not one that every host has: Salt's `localhost_matchers`.
fn is_own(name: &str) -> bool {
    let common = [
        "localhost",
        "ip6-",
        "0.0.0.0",
        "::1",
        "ipv6-",
        "fe00::",
        "fe02::",
    ];
    let loopback = name.strip_prefix("127.");
    let loopback = loopback.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let reverse = name.starts_with("1.0.0") && name.ends_with(".ip6.arpa");
    !name.is_empty() && !loopback && !reverse && !common.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(names: &[&str]) -> Option<String> {
        Names(names.iter().map(|name| (*name).to_owned()).collect()).first()
    }

    #[test]
    fn the_first_name_that_is_not_every_hosts_is_taken() {
        assert_eq!(first(&["localhost", "vm"]).as_deref(), Some("vm"));
        assert_eq!(
            first(&["web.example.org", "web"]).as_deref(),
            Some("web.example.org")
        );
        assert_eq!(
            first(&["", "localhost.localdomain", "ip6-loopback", "127.0.1.1"]),
            None
        );
        assert_eq!(first(&["127.1example.org"]), None);
        assert_eq!(first(&["127.a"]).as_deref(), Some("127.a"));
    }

    #[test]
    fn the_files_give_the_names_of_the_loopback_and_lone_words() {
        let hosts = "127.0.0.1 localhost web # comment\n192.0.2.1 other\n\nalone\n::1 six\n";
        assert_eq!(
            local_names(hosts),
            ["127.0.0.1", "localhost", "web", "alone", "::1", "six"]
        );
    }

    #[test]
    fn the_aliases_of_an_address_are_those_of_its_first_line() {
        let hosts = "192.0.2.1 web web.example.org w\n192.0.2.1 second\n";
        let address = "192.0.2.1".parse().unwrap();
        assert_eq!(aliases(hosts, address, "web"), ["web.example.org", "w"]);
        assert!(aliases(hosts, address, "other").is_empty());
    }

    #[test]
    fn a_domain_is_removed_as_told() {
        assert_eq!(without_domain("m1.a.b", None), "m1");
        assert_eq!(without_domain("m1.A.b", Some("a.B")), "m1");
        assert_eq!(without_domain("m1.c", Some("a.b")), "m1.c");
    }
}
