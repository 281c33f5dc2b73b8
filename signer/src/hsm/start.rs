//! From a fresh worker process to one that may sign.
//!
//! The token is looked at before the PIN is sent: a PIN that this token refused before, or a token
//! that counts wrong PINs, gets no login. The login is noted before the PIN leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use minion::verify::PublicKey;
use secrecy::SecretString;
use tokio::sync::oneshot;

use super::attempt::Attempt;
use super::process::{Failure, Process};
use super::protocol::{Cause, Order, Report, TokenReport, WorkerReady};
use super::shared::SharedKey;
use super::supervisor::{Supervisor, chain};

/// Why a worker is not put to work.
#[derive(Debug)]
pub(super) enum NotReady {
    /// The token says that a wrong PIN was presented lately.
    CountLow,
    /// The worker gave up and said why.
    Ending(String),
    /// The worker failed without a word.
    Failed(Failure),
    /// The key is not the one that the pool signs with.
    OtherKey(String),
    /// The PIN was refused, just now or in the past.
    PinRefused {
        serial: String,
        tag: [u8; 32],
        detail: String,
    },
}

impl From<Failure> for NotReady {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Talks to the worker until its self-test has passed and its key is the pool's.
pub(super) async fn run(
    supervisor: &mut Supervisor,
    process: &mut Process,
    pin: &SecretString,
) -> Result<WorkerReady, NotReady> {
    let token = match process.next_report().await? {
        Report::Token(token) => token,
        other => return Err(unexpected(other)),
    };
    supervisor.shared.update(supervisor.index, |notes| {
        notes.status.token_serial = Some(token.serial.clone());
        notes.status.token_label = Some(token.label.clone());
    });
    let tag = supervisor.shared.context.latch_key.tag(&token.serial, pin);
    may_log_in(supervisor, &token, tag)?;
    let login = Order::Login {
        store: supervisor.shared.context.store,
        pin: pin.clone(),
    };
    let attempts = &supervisor.shared.context.attempts;
    let attempt = Arc::new(attempts.of(supervisor.hsm.name.as_str(), &tag));
    if !begin(&attempt).await? {
        let refused = latch(supervisor, token.serial, tag, UNKNOWN.to_owned()).await;
        if supervisor.refused.is_none() {
            attempt.settle();
        }
        return Err(refused);
    }
    process.send_secret(&login).await?;
    match process.next_report().await? {
        Report::LoggedIn => attempt.settle(),
        Report::Ending {
            cause: Cause::Pin,
            detail,
        } => {
            let refused = latch(supervisor, token.serial, tag, detail).await;
            if supervisor.refused.is_none() {
                attempt.settle();
            }
            return Err(refused);
        }
        // The PIN did not get as far as the token.
        other @ Report::Ending { .. } => {
            attempt.settle();
            return Err(unexpected(other));
        }
        other => return Err(unexpected(other)),
    }
    match process.next_report().await? {
        Report::Ready(ready) => {
            adopt(supervisor, &ready)?;
            Ok(ready)
        }
        other => Err(unexpected(other)),
    }
}

/// Notes the login, on a thread that may wait for the disk.
async fn begin(attempt: &Arc<Attempt>) -> Result<bool, NotReady> {
    let attempt = Arc::clone(attempt);
    let (sender, noted) = oneshot::channel();
    let note = move || {
        // Nobody waits if the start deadline has passed.
        let _ = sender.send(attempt.begin());
    };
    let failed = |error: &dyn std::error::Error| {
        let error = chain(error);
        NotReady::Ending(format!(
            "the login cannot be noted on the disk, and is not tried without: {error}"
        ))
    };
    std::thread::Builder::new()
        .name("login-note".to_owned())
        .spawn(note)
        .map_err(|error| failed(&error))?;
    noted
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))
}

/// Whether a login may be tried at all.
fn may_log_in(supervisor: &Supervisor, token: &TokenReport, tag: [u8; 32]) -> Result<(), NotReady> {
    let refused = |detail: &str| NotReady::PinRefused {
        serial: token.serial.clone(),
        tag,
        detail: detail.to_owned(),
    };
    if supervisor.is_refused(&token.serial, &tag) {
        return Err(refused(LATCHED));
    }
    if token.pin_locked {
        return Err(NotReady::Ending(PIN_LOCKED.to_owned()));
    }
    let counts = token.pin_count_low || token.pin_final_try;
    if counts && !supervisor.force && !supervisor.shared.context.force_login {
        return Err(NotReady::CountLow);
    }
    Ok(())
}

/// Remembers that the PIN was refused, before anything could try it again.
async fn latch(
    supervisor: &mut Supervisor,
    serial: String,
    tag: [u8; 32],
    detail: String,
) -> NotReady {
    // A latch that was lifted before this one is no word on it.
    supervisor.unlatched.mark_unchanged();
    supervisor.refused = Some(tag);
    let latch = Arc::clone(&supervisor.shared.context.latch);
    match latch.latch(&serial, tag, &detail).await {
        // The store remembers it from here on, and lifting the latch there must have an effect.
        Ok(()) => supervisor.refused = None,
        Err(error) => tracing::error!(error = chain(&error), "a restart would try the PIN again"),
    }
    NotReady::PinRefused {
        serial,
        tag,
        detail,
    }
}

/// Checks the worker's key and trial signatures, and compares them with the pool's or makes them
/// the pool's.
fn adopt(supervisor: &Supervisor, ready: &WorkerReady) -> Result<(), NotReady> {
    let ending = |reason: &str| NotReady::Ending(reason.to_owned());
    let public = PublicKey::parse(ready.public_key.as_bytes())
        .map_err(|error| NotReady::Ending(error.to_string()))?;
    let mut trials = BTreeMap::new();
    for trial in &ready.trials {
        public
            .verify(trial.algorithm, &public, &trial.signature)
            .map_err(|_| ending("a trial signature does not verify"))?;
        trials.insert(trial.algorithm, trial.signature.clone());
    }
    if trials.is_empty() || ready.sessions == 0 {
        return Err(ending("the worker made no trial signature"));
    }
    may_define(supervisor, &public)?;
    let candidate = Arc::new(SharedKey {
        public: Arc::new(public),
        trials,
    });
    let mut verdict = Ok(());
    supervisor.shared.key.send_if_modified(|key| match key {
        None => {
            *key = Some(candidate);
            true
        }
        Some(key) => {
            verdict = same_key(key, &candidate);
            false
        }
    });
    verdict
}

/// Whether this HSM's key may be the pool's, should no other HSM have set it.
///
/// The fleet trusts one key, so the order in which HSMs come up must not choose it: it is the
/// store's; for an empty store, the one that is pinned or that of the first configured HSM.
fn may_define(supervisor: &Supervisor, key: &PublicKey) -> Result<(), NotReady> {
    match supervisor.shared.context.signing_key {
        Some(active) if active == key.hash() => Ok(()),
        Some(active) => Err(NotReady::OtherKey(format!(
            "the token's key {} is not {active}, the signing key of this store",
            key.hash()
        ))),
        None if supervisor.index == 0 || supervisor.hsm.public_key.is_some() => Ok(()),
        None if supervisor.shared.key.borrow().is_some() => Ok(()),
        None => Err(NotReady::Ending(NOT_FIRST.to_owned())),
    }
}

/// Equal modulus and byte-equal trial signatures: anything else is another key, or a token that
/// signs differently.
fn same_key(ours: &SharedKey, theirs: &SharedKey) -> Result<(), NotReady> {
    if ours.public != theirs.public {
        return Err(NotReady::OtherKey(format!(
            "the token's key {} is not {}, with which this service signs",
            theirs.public.hash(),
            ours.public.hash()
        )));
    }
    let is_equal = |(algorithm, signature)| ours.trials.get(algorithm) == Some(signature);
    if theirs.trials.len() == ours.trials.len() && theirs.trials.iter().all(is_equal) {
        Ok(())
    } else {
        let detail =
            "the token's trial signatures differ from those of the other tokens with this key";
        Err(NotReady::OtherKey(detail.to_owned()))
    }
}

fn unexpected(report: Report) -> NotReady {
    match report {
        Report::Ending { detail, .. } => NotReady::Ending(detail),
        Report::Ready(_)
        | Report::LoggedIn
        | Report::Refused { .. }
        | Report::Rejected { .. }
        | Report::Signature(_)
        | Report::Token(_) => NotReady::Ending("the worker spoke out of turn".to_owned()),
    }
}

pub(super) const COUNT_LOW: &str = "the token reports that a wrong PIN was presented since the last login; \
    log in once with the right PIN, hand it over with `mastersign hsm unlock --force`, or start the \
    service with --force-login";
const NOT_FIRST: &str = "the store has no signing key yet, and only the first configured HSM may bring one, or one whose \
    public_key is pinned";
const LATCHED: &str = "this token refused this PIN before, or was asked with it and did not answer; put the right \
    PIN into its source, and restart the service unless the source is a file, a credential or a \
    command; or hand it over with `mastersign hsm unlock`";
const UNKNOWN: &str =
    "two logins with this PIN were begun and their outcome never seen; it is not tried again";
const PIN_LOCKED: &str = "the token's PIN is locked; its security officer has to reset it";
