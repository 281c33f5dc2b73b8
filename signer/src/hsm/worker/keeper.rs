//! From the module's file to a key that has signed: what happens once in the life of a worker.
//!
//! The thread and its session stay for as long as the process does. PKCS#11 logs a process out when
//! it closes its last session, and session threads close theirs after an error.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, channel};
use std::thread;

use hsm_config::Hsm;
use minion::verify::Algorithm;
use secrecy::SecretString;

use super::gate::Gate;
use super::jobs::Jobs;
use super::link::Link;
use super::session::{Desk, Event, SessionThread};
use crate::confinement::{self, Enforced};
use crate::hsm::protocol::{Cause, Report, TokenReport, Trial, WorkerReady};
use crate::hsm::supervisor::chain;
use crate::hsm::token::{self, Class, Error, Module, SigningKey, TokenInfo};

/// Starts the token and keeps it.
pub(super) struct Keeper {
    pub(super) hsm: Hsm,
    pub(super) link: Arc<Link>,
    pub(super) jobs: Arc<Jobs>,
    pub(super) gate: Arc<Gate>,
}

impl Keeper {
    /// Runs until the first error that only a fresh process cures, and reports it.
    pub(super) fn run(self, login: &Receiver<SecretString>) {
        let link = Arc::clone(&self.link);
        let error = match self.keep(login) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        let cause = match &error {
            // Modules answer a wrong PIN with all kinds of codes, also with their vendor's.
            Failure::Login(error) if !error.is_transport() => Cause::Pin,
            Failure::Login(_)
            | Failure::NoPin
            | Failure::NoSession
            | Failure::Thread(_)
            | Failure::Token(_) => Cause::Token,
        };
        link.end(cause, &chain(&error));
    }

    fn keep(self, login: &Receiver<SecretString>) -> Result<Infallible, Failure> {
        let module = Arc::new(Module::load(&self.hsm.module)?);
        let info = module.find(&self.hsm.token)?;
        self.link.report(0, &Report::Token(report(&info)));
        let Ok(pin) = login.recv() else {
            return Err(Failure::NoPin);
        };
        let keeper = module.open_session(&info)?;
        keeper.login(&pin).map_err(Failure::Login)?;
        drop(pin);
        // The module has what it needs by here: helpers of modules are started when those are
        // initialised, and nothing that takes the worker from here on gets to start one.
        if confinement::forbid_programs() != Enforced::Whole {
            tracing::warn!(
                hsm = self.hsm.name.as_str(),
                "the worker may start programs"
            );
        }
        self.link.report(0, &Report::LoggedIn);
        let key = keeper.find_key(&self.hsm.key)?;
        let suspicious = key.admit(self.hsm.never_extractable)?;
        for reason in suspicious {
            tracing::warn!(
                hsm = self.hsm.name.as_str(),
                reason,
                "the key may have copies outside"
            );
        }
        if let Some(path) = &self.hsm.public_key {
            token::check_pinned(&key, &token::read_trusted(path)?, path)?;
        }
        let desk = Arc::new(Desk {
            module,
            token: info,
            hsm: self.hsm.clone(),
            public: key.public.clone(),
        });
        let trials = desk.trials()?;
        let error = self.serve(&desk, &key, trials);
        // The session must live until here: the process is logged out when its last one closes.
        drop(keeper);
        error
    }

    fn serve(
        &self,
        desk: &Arc<Desk>,
        key: &SigningKey,
        trials: Vec<Trial>,
    ) -> Result<Infallible, Failure> {
        let (events, event) = channel();
        let wanted = wanted_sessions(&self.hsm, &desk.token);
        for number in 0..wanted {
            let session = SessionThread {
                desk: Arc::clone(desk),
                jobs: Arc::clone(&self.jobs),
                link: Arc::clone(&self.link),
                events: events.clone(),
                probe: trials
                    .first()
                    .map_or(Algorithm::Sha1, |trial| trial.algorithm),
            };
            thread::Builder::new()
                .name(format!("session-{number}"))
                .spawn(move || session.run())
                .map_err(Failure::Thread)?;
        }
        drop(events);
        let mut sessions = Sessions {
            open: 0,
            pending: wanted,
        };
        while sessions.pending > 0 {
            sessions.note(event.recv())?;
        }
        let ready = WorkerReady {
            public_key: key.public.canonical().to_owned(),
            sessions: u16::try_from(sessions.open).unwrap_or(u16::MAX),
            verdict: key.attributes.verdict().to_string(),
            trials,
        };
        let description = WorkerReady {
            trials: Vec::new(),
            ..ready.clone()
        };
        self.gate.open(key.public.clone(), description);
        self.link.report(0, &Report::Ready(ready));
        loop {
            sessions.note(event.recv())?;
        }
    }
}

/// How many session threads there are.
struct Sessions {
    open: usize,
    pending: usize,
}

impl Sessions {
    /// Counts; fails if only a fresh process helps, or if no session is left.
    fn note(&mut self, event: Result<Event, RecvError>) -> Result<(), Failure> {
        let error = match event {
            Ok(Event::Opened) => {
                self.pending = self.pending.saturating_sub(1);
                self.open = self.open.saturating_add(1);
                return Ok(());
            }
            Ok(Event::Failed(error)) if error.class() == Class::Capacity => error,
            Ok(Event::Failed(error)) => return Err(error.into()),
            Err(RecvError) => return Err(Failure::NoSession),
        };
        tracing::warn!(%error, "the token gives no more sessions; the others go on");
        if self.pending > 0 {
            self.pending = self.pending.saturating_sub(1);
        } else {
            self.open = self.open.saturating_sub(1);
        }
        if self.pending == 0 && self.open == 0 {
            return Err(error.into());
        }
        Ok(())
    }
}

/// Why a worker ends by itself.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The login failed.
    #[error(transparent)]
    Login(Error),
    /// Every session thread has ended.
    #[error("no session is left")]
    NoSession,
    /// The service sent no PIN.
    #[error("the service sent no PIN")]
    NoPin,
    /// A thread did not start.
    #[error("failed to start a session thread")]
    Thread(#[source] std::io::Error),
    /// Something on the token failed.
    #[error(transparent)]
    Token(#[from] Error),
}

fn report(token: &TokenInfo) -> TokenReport {
    TokenReport {
        serial: token.serial.clone(),
        label: token.label.clone(),
        pin_count_low: token.pin_count_low,
        pin_final_try: token.pin_final_try,
        pin_locked: token.pin_locked,
    }
}

/// What is configured, or one for each core that may help; never what the token has not, and two
/// less than it has: one for the keeper, and one for whoever looks at the token meanwhile.
fn wanted_sessions(hsm: &Hsm, token: &TokenInfo) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let known = hsm.profile.as_ref().map(|profile| profile.sessions);
    let useful = known
        .and_then(|sessions| sessions.useful)
        .unwrap_or(MOST_BY_DEFAULT);
    let wanted = hsm
        .pool
        .sessions
        .map_or_else(|| cores.min(useful), NonZeroUsize::get);
    let of_token = token
        .max_sessions
        .and_then(|most| usize::try_from(most).ok());
    let of_profile = known.and_then(|sessions| sessions.limit);
    [of_token, of_profile]
        .into_iter()
        .flatten()
        .map(|most| most.saturating_sub(2))
        .fold(wanted, usize::min)
        .max(1)
}

/// More threads than this bring nothing on a token in software, and a token in a box has a profile.
const MOST_BY_DEFAULT: usize = 8;
