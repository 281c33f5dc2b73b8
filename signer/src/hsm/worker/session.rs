//! One thread with one session, which signs.
//!
//! A session is used by one thread only (some modules crash otherwise) and never again after an
//! error in it: the failed operation may still be active there, and only some modules can cancel
//! it.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use hsm_config::Hsm;
use minion::verify::{Algorithm, PublicKey, Signature};

use super::jobs::{Job, Jobs};
use super::link::Link;
use crate::hsm::protocol::{Report, Trial};
use crate::hsm::token::{Class, Error, Input, Module, Session, SigningKey, TokenInfo};

/// What every session is opened from.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) module: Arc<Module>,
    pub(super) token: TokenInfo,
    pub(super) hsm: Hsm,
    /// The key that the self-test was made with; a session that finds another one is of no use.
    pub(super) public: PublicKey,
}

impl Desk {
    fn open(&self) -> Result<Seat, Error> {
        let session = self.module.open_session(&self.token)?;
        match session.find_key(&self.hsm.key) {
            Ok(key) if key.public == self.public => Ok(Seat { session, key }),
            Ok(key) => {
                close(session);
                Err(Error::KeyUnreadable {
                    key: key.public.hash().to_string(),
                    why: format!("the self-test was made with {}", self.public.hash()),
                })
            }
            Err(error) => {
                close(session);
                Err(error)
            }
        }
    }

    /// A verified signature over the key's own public half in each algorithm that the token has.
    pub(super) fn trials(&self) -> Result<Vec<Trial>, Error> {
        let mut trials = Vec::new();
        let mut refusal = None;
        for algorithm in Algorithm::ALL {
            let Seat { mut session, key } = self.open()?;
            let tried = session.sign_trial(&key, self.hsm.sign_mechanism, algorithm);
            close(session);
            match tried {
                Ok(signature) => trials.push(Trial {
                    algorithm,
                    signature,
                }),
                Err(error) if error.class() == Class::Caller => {
                    tracing::warn!(%error, %algorithm, "the token cannot sign this way");
                    refusal = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match refusal {
            Some(error) if trials.is_empty() => Err(error),
            Some(_) | None => Ok(trials),
        }
    }
}

/// A session and the key in it.
struct Seat {
    session: Session,
    key: SigningKey,
}

/// What a session thread tells the keeper.
#[derive(Debug)]
pub(super) enum Event {
    /// It ends, and took no job with it that nobody else does; or the process has to end.
    Failed(Error),
    /// Its session is open.
    Opened,
}

/// A thread that signs.
pub(super) struct SessionThread {
    pub(super) desk: Arc<Desk>,
    pub(super) jobs: Arc<Jobs>,
    pub(super) link: Arc<Link>,
    pub(super) events: Sender<Event>,
    /// How trial signatures are made when the service asks for one.
    pub(super) probe: Algorithm,
}

impl SessionThread {
    /// Signs until something happens that a fresh session does not cure.
    pub(super) fn run(self) {
        let error = match self.serve() {
            Ok(never) => match never {},
            Err(error) => error,
        };
        // The keeper is gone only if the process ends.
        let _ = self.events.send(Event::Failed(error));
    }

    fn serve(&self) -> Result<std::convert::Infallible, Error> {
        let mut seat = Some(self.desk.open()?);
        let _ = self.events.send(Event::Opened);
        loop {
            let job = self.jobs.next();
            match self.sign(&mut seat, &job) {
                Ok(signature) => self.link.report(job.id(), &Report::Signature(signature)),
                Err(error) if error.class() == Class::Caller => {
                    let reason = error.to_string();
                    self.link.report(job.id(), &Report::Rejected { reason });
                }
                Err(error) => {
                    // Without a session here, another thread may still have one; if the process
                    // ends, the service knows.
                    self.jobs.push_front(job);
                    return Err(error);
                }
            }
        }
    }

    /// Signs, and once more in a fresh session if the first try failed for lack of one.
    fn sign(&self, seat: &mut Option<Seat>, job: &Job) -> Result<Signature, Error> {
        match self.sign_once(seat, job) {
            Err(error) if matches!(error.class(), Class::Handle | Class::Session) => {
                tracing::warn!(%error, "trying once more in a fresh session");
                self.sign_once(seat, job)
            }
            result => result,
        }
    }

    fn sign_once(&self, place: &mut Option<Seat>, job: &Job) -> Result<Signature, Error> {
        let mut seat = match place.take() {
            Some(seat) => seat,
            None => self.desk.open()?,
        };
        let mut signature = Vec::new();
        let result = match job {
            Job::Probe { .. } => {
                let input = Input::new(self.desk.hsm.sign_mechanism, self.probe, &self.desk.public);
                seat.session.sign(&seat.key, &input, &mut signature)
            }
            Job::Sign { input, .. } => seat.session.sign(&seat.key, input, &mut signature),
        };
        match result {
            Ok(()) => {
                *place = Some(seat);
                Ok(Signature::new(signature))
            }
            Err(error) => {
                close(seat.session);
                Err(error)
            }
        }
    }
}

/// Gives a session back; one that cannot be given back ends with the process.
fn close(session: Session) {
    if let Err(error) = session.close() {
        tracing::debug!(%error, "a session was not closed");
    }
}
