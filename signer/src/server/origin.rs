//! How many connections each network address holds.
//!
//! The first of the layers that hold off a flood, and the only one before TLS: it costs the service
//! an `accept` and a `close`. Without it one machine that opens connections and says nothing takes
//! every place for the time of a handshake, again and again. It knows addresses and nobody behind
//! them, so it is wide; who is who is for the layers after the handshake.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The addresses with open connections. Clones are the same ones.
#[derive(Clone, Debug)]
pub(super) struct Origins {
    open: Arc<Mutex<HashMap<IpAddr, Held>>>,
    most: usize,
}

/// What one address holds.
#[derive(Debug, Default)]
struct Held {
    connections: usize,
    /// The log has a line about it; the next one is for when it had left altogether.
    is_told: bool,
}

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    open: Arc<Mutex<HashMap<IpAddr, Held>>>,
    origin: IpAddr,
}

/// An address that holds as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowded {
    /// The address, or the network that counts as one.
    pub(super) origin: IpAddr,
    /// Nobody was told yet. A line for each connection would make the log the next thing to flood.
    pub(super) is_news: bool,
}

impl Origins {
    pub(super) fn new(most: usize) -> Self {
        Self {
            open: Arc::default(),
            most,
        }
    }

    /// Takes a connection of this address in, unless it has as many as it may.
    pub(super) fn seat(&self, address: IpAddr) -> Result<Seat, Crowded> {
        let origin = origin(address);
        let mut open = lock(&self.open);
        let held = open.entry(origin).or_default();
        if held.connections >= self.most {
            let is_news = !std::mem::replace(&mut held.is_told, true);
            return Err(Crowded { origin, is_news });
        }
        held.connections = held.connections.saturating_add(1);
        drop(open);
        Ok(Seat {
            open: Arc::clone(&self.open),
            origin,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Entry::Occupied(mut held) = lock(&self.open).entry(self.origin) {
            let left = held.get().connections.saturating_sub(1);
            if left == 0 {
                held.remove();
            } else {
                held.get_mut().connections = left;
            }
        }
    }
}

/// What counts as one address: an IPv6 host has a /64 to itself and can call from any of it.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
    }
}

fn lock(open: &Mutex<HashMap<IpAddr, Held>>) -> MutexGuard<'_, HashMap<IpAddr, Held>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

const NETWORK: u128 = u128::MAX << 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_so_many_and_leaves_room_for_the_others() {
        let origins = Origins::new(2);
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(ip);
        let first = origins.seat(one).unwrap();
        let _second = origins.seat(one).unwrap();
        assert_eq!(
            origins.seat(one).unwrap_err(),
            Crowded {
                origin: one,
                is_news: true
            }
        );
        assert!(
            !origins.seat(one).unwrap_err().is_news,
            "one line is enough"
        );
        let _other = origins.seat(two).unwrap();
        drop(first);
        let _again = origins.seat(one).unwrap();
    }

    #[test]
    fn nothing_is_kept_of_who_has_left() {
        let origins = Origins::new(1);
        let one = ip("192.0.2.1");
        let seat = origins.seat(one).unwrap();
        assert!(origins.seat(one).unwrap_err().is_news);
        drop(seat);
        assert!(lock(&origins.open).is_empty());
        let _seat = origins.seat(one).unwrap();
        assert!(origins.seat(one).unwrap_err().is_news, "a new visit");
    }

    #[test]
    fn an_ipv6_network_of_one_host_is_one_and_a_mapped_ipv4_address_is_that_address() {
        for (left, right, same) in [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
        ] {
            assert_eq!(
                origin(ip(left)) == origin(ip(right)),
                same,
                "{left} {right}"
            );
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
