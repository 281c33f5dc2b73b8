//! Which jobs were taken on already.
//!
//! A master that restarts, or a second master that has the same job, may publish a job again; a
//! stock minion remembers the last hundred of all its masters (Salt 3006.30 to 3008.5,
//! `salt/minion.py`, `MinionManager.jid_queue`, `_handle_decoded_payload`).

use std::collections::VecDeque;

use crate::wire::publish::Jid;

/// The names of the last jobs, oldest first. O(n) search; n is a hundred unless an operator says
/// otherwise.
#[derive(Clone, Debug)]
pub struct Seen {
    jids: VecDeque<Jid>,
    limit: u32,
}

impl Seen {
    /// Remembers `limit` jobs: `minion_jid_queue_hwm`. With 0 every job is new.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self {
            jids: VecDeque::new(),
            limit,
        }
    }

    /// Whether the job is new; it is not the next time.
    pub fn is_new(&mut self, jid: &Jid) -> bool {
        if self.jids.contains(jid) {
            return false;
        }
        self.jids.push_back(jid.clone());
        // In Salt's order, which is why a limit of 0 is one.
        if u32::try_from(self.jids.len()).is_ok_and(|count| count <= self.limit) {
            return true;
        }
        self.jids.pop_front();
        true
    }
}
