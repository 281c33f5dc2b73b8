//! Names and addresses.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

use dns_lookup::{AddrInfoHints, getaddrinfo};
use nix::ifaddrs::getifaddrs;
use nix::unistd::gethostname;

use super::{Grains, line_of};
use crate::wire::msgpack::Value;

pub(super) fn collect(grains: &mut Grains) {
    let host = gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let fqdn = full_name(&host).unwrap_or_else(|| host.clone());
    let (short, domain) = fqdn.split_once('.').unwrap_or((&fqdn, ""));
    grains.set("localhost", host.as_str());
    grains.set("fqdn", fqdn.as_str());
    grains.set("host", short);
    grains.set("domain", domain);

    let interfaces = interfaces();
    let all = interfaces.iter().flat_map(|interface| &interface.addresses);
    let (v4, v6) = by_family(all);
    grains.set_list("ipv4", v4.iter().map(ToString::to_string));
    grains.set_list("ipv6", v6.iter().map(ToString::to_string));
    let own = addresses_of(&fqdn);
    let (own4, own6) = by_family(&own);
    // Salt asks for no address of a family that the host does not have.
    let own4 = if v4.is_empty() { BTreeSet::new() } else { own4 };
    let own6 = if v6.is_empty() { BTreeSet::new() } else { own6 };
    grains.set_list("fqdn_ip4", own4.iter().map(ToString::to_string));
    grains.set_list("fqdn_ip6", own6.iter().map(ToString::to_string));

    grains.set("ip_interfaces", by_interface(&interfaces, |_| true));
    grains.set("ip4_interfaces", by_interface(&interfaces, IpAddr::is_ipv4));
    grains.set("ip6_interfaces", by_interface(&interfaces, IpAddr::is_ipv6));
    let hardware = interfaces.iter().filter_map(|interface| {
        let address = line_of(&format!("/sys/class/net/{}/address", interface.name))?;
        Some((interface.name.as_str().into(), address.as_str().into()))
    });
    grains.set("hwaddr_interfaces", Value::Map(hardware.collect()));
}

struct Interface {
    name: String,
    addresses: Vec<IpAddr>,
}

/// In the order of the kernel, also those without an address; IPv4 first.
fn interfaces() -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in getifaddrs().into_iter().flatten() {
        let address = entry.address.and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        });
        let name = entry.interface_name;
        match interfaces.iter_mut().find(|known| known.name == name) {
            Some(known) => known.addresses.extend(address),
            None => interfaces.push(Interface {
                name,
                addresses: address.into_iter().collect(),
            }),
        }
    }
    for interface in &mut interfaces {
        interface.addresses.sort_by_key(IpAddr::is_ipv6);
    }
    interfaces
}

fn by_interface(interfaces: &[Interface], wanted: fn(&IpAddr) -> bool) -> Value {
    let entries = interfaces.iter().map(|interface| {
        let addresses = interface.addresses.iter().filter(|address| wanted(address));
        let addresses = addresses.map(|address| address.to_string().as_str().into());
        (
            interface.name.as_str().into(),
            Value::Array(addresses.collect()),
        )
    });
    Value::Map(entries.collect())
}

fn by_family<'a>(
    addresses: impl IntoIterator<Item = &'a IpAddr>,
) -> (BTreeSet<Ipv4Addr>, BTreeSet<Ipv6Addr>) {
    let (mut v4, mut v6) = (BTreeSet::new(), BTreeSet::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => {
                v4.insert(*address);
            }
            IpAddr::V6(address) => {
                v6.insert(*address);
            }
        }
    }
    (v4, v6)
}

/// The canonical name that the resolver has for the host (Salt 3008.5, `salt/utils/network.py`,
/// `get_fqhostname`).
fn full_name(host: &str) -> Option<String> {
    /// `AI_CANONNAME`, the same on every Linux.
    const CANONICAL_NAME: i32 = 2;
    /// `SOCK_STREAM`.
    const STREAM: i32 = 1;
    let hints = AddrInfoHints {
        flags: CANONICAL_NAME,
        socktype: STREAM,
        ..AddrInfoHints::default()
    };
    let mut answers = getaddrinfo(Some(host), None, Some(hints)).ok()?;
    answers.find_map(|answer| answer.ok()?.canonname.filter(|name| !name.is_empty()))
}

fn addresses_of(name: &str) -> HashSet<IpAddr> {
    let found = (name, 0).to_socket_addrs().into_iter().flatten();
    found.map(|address| address.ip()).collect()
}
