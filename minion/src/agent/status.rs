//! What an agent is doing, for whoever watches it: a channel in the process, a file beside it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What one agent is doing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The minion's id.
    pub id: String,
    /// The process; none if the agent is a part of another program that did not say.
    pub pid: Option<u32>,
    /// When this was written, in seconds since 1970.
    pub updated: i64,
    /// Every master of the configuration, in its order.
    pub masters: Vec<MasterStatus>,
}

impl Status {
    /// The masters that are worked with: one at most with failover, any number without.
    pub fn current(&self) -> impl Iterator<Item = &MasterStatus> {
        self.masters
            .iter()
            .filter(|master| master.state == MasterState::Connected)
    }
}

/// What an agent knows about one master.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MasterStatus {
    /// Its name as configured.
    pub name: String,
    /// What it is to the agent.
    pub state: MasterState,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// How the last attempt to sign in ended, in words; none before the first has ended.
    pub last_outcome: Option<String>,
    /// Where its name led to at the last sign-in that succeeded.
    pub address: Option<SocketAddr>,
    /// SHA-256 of the key that it proved at the last sign-in that succeeded.
    pub key: Option<String>,
}

/// What a master is to an agent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MasterState {
    /// It is being asked.
    Asking,
    /// It is the one that is worked with, or one of them.
    Connected,
    /// It was asked, and was of no use; `last_outcome` says why.
    Failed,
    /// It was worked with and was lost.
    Lost,
    /// It has stored the minion's key, and an operator has not decided.
    Pending,
    /// It was not asked yet, or there is a better one.
    Unused,
}
