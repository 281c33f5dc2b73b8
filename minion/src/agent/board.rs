//! Where a driver writes what it is doing, for the channel of [`Status`].

use std::sync::Arc;

use super::Shared;
use super::attempt::SignedIn;
use super::clock::timestamp;
use super::outcome::Failed;
use super::speak::chain;
use super::status::{MasterState, MasterStatus, Status};
use crate::failover::{Outcome, Position, Reason};

/// One driver's part of the status.
#[derive(Debug)]
pub(super) struct Board {
    shared: Arc<Shared>,
}

impl Board {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A master is asked. One that is worked with, or that was of no use so far, stays what it is
    /// until it has answered: since when it has been so is what an operator wants to know.
    pub(super) fn asking(&self, master: Position) {
        self.change(master, |status| {
            if matches!(status.state, MasterState::Lost | MasterState::Unused) {
                status.enter(MasterState::Asking);
            }
        });
    }

    /// A master let us in.
    pub(super) fn accepted(&self, master: Position, signed_in: &SignedIn) {
        self.change(master, |status| {
            status.last_outcome = Some("accepted".to_owned());
            status.address = Some(signed_in.address);
            status.key = Some(signed_in.session.master.hash().to_string());
        });
    }

    /// A master did not let us in.
    pub(super) fn refused(&self, master: Position, failed: &Failed) {
        self.change(master, |status| {
            status.last_outcome = Some(chain(failed));
            if status.state != MasterState::Connected {
                status.enter(if failed.outcome() == Outcome::Pending {
                    MasterState::Pending
                } else {
                    MasterState::Failed
                });
            }
        });
    }

    /// Another master was quicker.
    pub(super) fn outrun(&self, master: Position) {
        self.change(master, |status| {
            if status.state == MasterState::Asking {
                status.enter(MasterState::Unused);
            }
        });
    }

    /// A master is the one to work with; the one before is left without a grudge.
    pub(super) fn connected(&self, master: Position, reason: Reason) {
        self.shared.status.send_modify(|status| {
            status.updated = timestamp();
            for (at, one) in status.masters.iter_mut().enumerate() {
                if at == master.index() {
                    if reason != Reason::Renewed {
                        one.enter(MasterState::Connected);
                    }
                } else if self.shared.is_exclusive() && one.state == MasterState::Connected {
                    one.enter(MasterState::Unused);
                }
            }
        });
    }

    /// The master that was worked with is lost.
    pub(super) fn lost(&self, master: Position) {
        self.change(master, |status| {
            if status.state == MasterState::Connected {
                status.enter(MasterState::Lost);
            }
        });
    }

    /// The agent ends.
    pub(super) fn closed(&self) {
        self.shared.status.send_modify(|status| {
            status.updated = timestamp();
            for one in &mut status.masters {
                if one.state != MasterState::Unused {
                    one.enter(MasterState::Unused);
                }
            }
        });
    }

    fn change(&self, master: Position, act: impl FnOnce(&mut MasterStatus)) {
        self.shared.status.send_modify(|status| {
            status.updated = timestamp();
            if let Some(one) = status.masters.get_mut(master.index()) {
                act(one);
            }
        });
    }
}

impl MasterStatus {
    fn enter(&mut self, state: MasterState) {
        if self.state != state {
            self.state = state;
            self.since = timestamp();
        }
    }
}

/// The status of an agent that has not begun.
pub(super) fn blank(id: &str, masters: &[String]) -> Status {
    let now = timestamp();
    let master = |name: &String| MasterStatus {
        name: name.clone(),
        state: MasterState::Unused,
        since: now,
        last_outcome: None,
        address: None,
        key: None,
    };
    Status {
        id: id.to_owned(),
        pid: None,
        updated: now,
        masters: masters.iter().map(master).collect(),
    }
}
