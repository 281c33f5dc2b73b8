//! From a master's name to its addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// All addresses of a host, in the resolver's order but with the families alternating (RFC 8305,
/// section 4): a whole family that leads nowhere costs one attempt before the other has its turn.
///
/// `ipv6` is Salt's option: false leaves the addresses of IPv6 out, true those of IPv4, unless there
/// are no others.
pub(super) async fn addresses(
    host: &str,
    port: u16,
    ipv6: Option<bool>,
) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await?;
    Ok(interleaved(wanted(found.collect(), ipv6)))
}

/// Salt 3006.30 to 3008.5, `salt/utils/network.py`, `dns_check`: after a lookup of IPv6 alone that
/// finds nothing there is one of IPv4, but not the other way round.
fn wanted(mut found: Vec<SocketAddr>, ipv6: Option<bool>) -> Vec<SocketAddr> {
    match ipv6 {
        Some(false) => found.retain(SocketAddr::is_ipv4),
        Some(true) if found.iter().any(SocketAddr::is_ipv6) => found.retain(SocketAddr::is_ipv6),
        Some(true) | None => {}
    }
    found
}

fn interleaved(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six_first = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv6() == six_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        for address in pair.into_iter().flatten() {
            if !ordered.contains(&address) {
                ordered.push(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_alternate_and_nothing_is_asked_twice() {
        let found = ["10.0.0.1:1", "10.0.0.2:1", "[::1]:1", "10.0.0.1:1"].map(at);
        let expected = ["10.0.0.1:1", "[::1]:1", "10.0.0.2:1"].map(at);
        assert_eq!(interleaved(found.to_vec()), expected);
        let found = ["[::1]:1", "10.0.0.1:1", "10.0.0.2:1"].map(at);
        assert_eq!(interleaved(found.to_vec()), found);
    }

    #[test]
    fn ipv6_chooses_a_family_as_salt_does() {
        let (four, six) = (at("10.0.0.1:1"), at("[::1]:1"));
        for (ipv6, found, expected) in [
            (None, vec![four, six], vec![four, six]),
            (Some(true), vec![four, six], vec![six]),
            (Some(true), vec![four], vec![four]),
            (Some(false), vec![six, four], vec![four]),
            (Some(false), vec![six], vec![]),
        ] {
            assert_eq!(wanted(found.clone(), ipv6), expected, "{ipv6:?} {found:?}");
        }
    }

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        let found = addresses("::1", 4506, Some(false)).await.unwrap();
        assert_eq!(found, [at("[::1]:4506")]);
    }
}
