//! What a job may know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::verify::PublicKey;
use crate::wire::id::MinionId;
use crate::wire::msgpack::Value;
use crate::wire::publish::Publication;

/// What a job may know at the moment it runs.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The minion's id.
    pub id: &'a MinionId,
    /// The map that [`grains::collect`](crate::grains::collect) made.
    pub grains: &'a Value,
    /// The process that runs the jobs.
    pub pid: u32,
    /// The other jobs that are under way.
    pub running: &'a [&'a Publication],
    /// The minion's public key.
    pub key: &'a PublicKey,
    /// `hash_type`, by Salt's default `sha256`.
    pub hash_type: &'a str,
    /// The master in use, which is the one that published the job.
    pub master: Option<Master<'a>>,
    /// Which masters answered the pings that [`Answer::Ping`](super::Answer::Ping) asked for.
    pub pings: &'a BTreeMap<String, bool>,
    /// The addresses that [`Answer::Resolve`](super::Answer::Resolve) asked for.
    pub addresses: &'a BTreeMap<String, Vec<IpAddr>>,
}

/// The master in use.
#[derive(Clone, Copy, Debug)]
pub struct Master<'a> {
    /// Its name as it is configured.
    pub name: &'a str,
    /// Where its publications come from.
    pub address: IpAddr,
    /// Its key, proved at the sign-in.
    pub key: &'a PublicKey,
    /// Whether the connection to its publications is up and was seen alive.
    pub connected: bool,
}
