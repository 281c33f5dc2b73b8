//! Which jobs were taken on already.
//!
//! A master that restarts, or a second master that has the same job, may publish a job again; a
//! stock minion remembers the last hundred of all its masters (Salt 3008.5, `salt/minion.py`,
//! `MinionManager.jid_queue`, `_handle_decoded_payload_impl`, `minion_jid_queue_hwm`).

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use crate::wire::publish::Jid;

/// The names of the last jobs, oldest first. O(n) search; n is a hundred unless an operator says
/// otherwise.
#[derive(Clone, Debug)]
pub struct Seen {
    jids: VecDeque<Jid>,
    limit: NonZeroUsize,
}

impl Seen {
    /// Remembers `limit` jobs: `minion_jid_queue_hwm`.
    #[must_use]
    pub const fn new(limit: NonZeroUsize) -> Self {
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
        if self.jids.len() >= self.limit.get() {
            self.jids.pop_front();
        }
        self.jids.push_back(jid.clone());
        true
    }
}

impl Default for Seen {
    fn default() -> Self {
        const HUNDRED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99);
        Self::new(HUNDRED)
    }
}
