//! What has happened at a master, so that tests wait for it and count it.

use std::time::Instant;

use minion::verify::PublicKey;

use super::super::reply::Load;
use super::super::request::text;

/// Everything that happened so far.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Sign-ins, readable or not the minion's honest ones.
    pub sign_ins: Vec<SignIn>,
    /// How many of them the honest master let in.
    pub accepted: u64,
    /// How many scripted answers were carried out: at least their first step reached the peer.
    pub faults: u64,
    /// The loads of sealed requests that were in order.
    pub commands: Vec<Load>,
    /// Requests that were answered with `bad load`.
    pub bad_loads: u64,
    /// Salt's probes in clear.
    pub probes: u64,
    /// ZMTP's PINGs.
    pub pings: u64,
    /// ZMTP's PONGs.
    pub pongs: u64,
    /// Connections to the request port that are open.
    pub requesting: u64,
    /// Connections to the publish port that are open and have subscribed.
    pub subscribed: u64,
    /// What was subscribed to on all of them together, in the order of arrival.
    pub topics: Vec<Vec<u8>>,
    /// Connections of both kinds that were ever made.
    pub connections: u64,
    /// How often something was published.
    pub publications: u64,
    /// How many bytes of [`Flood`](super::Step::Flood) the system took.
    pub flooded: u64,
}

impl Log {
    /// The jobs that minions returned, by name, in the order of arrival.
    #[must_use]
    pub fn returns(&self) -> Vec<&str> {
        let returns = self
            .commands
            .iter()
            .filter(|load| text(load, "cmd") == Some("_return"));
        returns.filter_map(|load| text(load, "jid")).collect()
    }

    /// Whether a minion returned the job of this name.
    #[must_use]
    pub fn returned(&self, jid: &str) -> bool {
        self.returns().contains(&jid)
    }
}

/// One `_auth` request.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Who asked.
    pub id: String,
    /// When.
    pub at: Instant,
    /// On which connection.
    pub connection: u64,
    /// Whether the minion knows a key of this master.
    pub has_token: bool,
    /// The protocol's version.
    pub version: u64,
    /// The algorithms that it named: for encryption, then for signatures.
    pub algorithms: [String; 2],
    /// The nonce.
    pub nonce: String,
    /// The minion's key.
    pub key: PublicKey,
}
