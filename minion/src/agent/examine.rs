//! One look at a master: whether it verifies, without working with it.
//!
//! It is the sign-in of every other day, up to where something would be kept: the store is read and
//! never written, and nothing is subscribed. The master does what it does for every sign-in, so one
//! that has never seen this minion's key stores it for an operator to accept.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use super::attempt::{Asked, Wanted, sign_in};
use super::outcome::Failed;
use super::setup::Setup;
use super::speak::chain;
use crate::config::Master;
use crate::failover::{Failure, Outcome};
use crate::verify::KeyHash;

/// What a look at a master found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It let the minion in, its key is signed by a trusted signing key, and it has that key.
    Verifies(Found),
    /// It does not know the minion, or has rejected it, or has too many: such an answer shows no
    /// signature, so whether the master would verify cannot be judged.
    NotAccepted(String),
    /// It answered, and what it answered proves that it must not be used, or proves nothing.
    DoesNotVerify(String),
    /// It did not answer.
    Unreachable(String),
    /// This minion's own files cannot be used.
    Broken(String),
}

/// What a master that verifies has shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found {
    /// Where it answered.
    pub address: SocketAddr,
    /// The hash of its key.
    pub key: KeyHash,
    /// Where it publishes.
    pub publish_port: NonZeroU16,
}

/// Signs in to a master once and leaves.
pub async fn examine(setup: &Setup, master: &Master) -> Verdict {
    let asked = Asked {
        master,
        within: setup.failover.auth_timeout,
        publications: Wanted::None,
    };
    match sign_in(setup, asked, || ()).await {
        Ok(signed_in) => Verdict::Verifies(Found {
            address: signed_in.address,
            key: signed_in.session.master.hash(),
            publish_port: signed_in.session.publish_port,
        }),
        Err(failed) => judge(&failed),
    }
}

fn judge(failed: &Failed) -> Verdict {
    let reason = chain(failed);
    if matches!(
        failed,
        Failed::Begin(_) | Failed::Random(_) | Failed::Store { .. }
    ) {
        return Verdict::Broken(reason);
    }
    match failed.outcome() {
        Outcome::Pending | Outcome::Failed(Failure::Full | Failure::Rejected(_)) => {
            Verdict::NotAccepted(reason)
        }
        Outcome::Failed(Failure::NoAnswer | Failure::Unreachable | Failure::Unresolved) => {
            Verdict::Unreachable(reason)
        }
        // The first cannot come of a failure; it would be a master that was let off.
        Outcome::Accepted
        | Outcome::Failed(
            Failure::BadSignature
            | Failure::Broken
            | Failure::FingerprintMismatch
            | Failure::MissingSignature
            | Failure::UnsupportedAlgorithm,
        ) => Verdict::DoesNotVerify(reason),
    }
}
