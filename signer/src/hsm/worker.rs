//! The worker process: the only one that loads a PKCS#11 module and sees a session.
//!
//! The first thread reads orders, checks them and nothing else. It never calls the module, so it
//! sees the end of the service even while a call into the module hangs, and ends the process then.
//! The keeper thread finds the token, logs in once, tests the key and stays; session threads sign.
//! There is no tokio here: a worker is started when signatures wait.

mod gate;
mod jobs;
mod keeper;
mod link;
mod session;

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use hsm_config::Hsm;
use nix::sys::signal::{SigSet, Signal, raise};
use secrecy::SecretString;
use uuid::Uuid;

use self::gate::Gate;
use self::jobs::{Job, Jobs};
use self::link::Link;
use super::protocol::{Cause, Decoder, Order, Report};
use crate::authorize::OperatorsCa;
use crate::memory;

/// A worker before it has read its configuration: it can already say why it ends.
#[derive(Debug)]
pub struct Worker {
    socket: UnixStream,
    link: Arc<Link>,
}

impl Worker {
    /// Takes the socket that is the process's standard input, and makes the process less talkative
    /// about its memory.
    ///
    /// # Errors
    ///
    /// Fails if standard input is no socket, so if somebody else than the service started the
    /// process.
    pub fn from_stdin() -> io::Result<Self> {
        harden();
        let socket = link::stdin_socket()?;
        let link = Arc::new(Link::new(socket.try_clone()?));
        Ok(Self { socket, link })
    }

    /// Tells the service why this worker cannot work.
    pub fn give_up(&self, reason: &str) {
        self.link.end(Cause::Token, reason);
    }

    /// Serves until the service closes the socket or the token is lost; then ends the process.
    ///
    /// Without a `store` the service says whose acceptances count.
    ///
    /// # Errors
    ///
    /// Fails only if a thread could not be started.
    pub fn run(self, hsm: Hsm, operators: OperatorsCa, store: Option<Uuid>) -> io::Result<()> {
        let gate = Arc::new(Gate::new(operators, store, hsm.sign_mechanism));
        let jobs = Arc::new(Jobs::default());
        let (pin, login) = sync_channel(1);
        let keeper = keeper::Keeper {
            hsm,
            link: Arc::clone(&self.link),
            jobs: Arc::clone(&jobs),
            gate: Arc::clone(&gate),
        };
        std::thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || {
                let _end = EndWithPanic;
                keeper.run(&login);
            })?;
        let reader = Reader {
            link: self.link,
            gate,
            jobs,
            pin,
        };
        reader.run(self.socket);
        end_process();
        Ok(())
    }
}

/// Ends the process when its thread panics: the first thread would go on waiting for orders that
/// nobody carries out, and the service for a worker that seems to start, up to its deadline.
///
/// Without a report, for whether the token judged the PIN is as unknown as when a worker crashes.
struct EndWithPanic;

impl Drop for EndWithPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            end_process();
        }
    }
}

/// Reads orders on the process's first thread.
struct Reader {
    link: Arc<Link>,
    gate: Arc<Gate>,
    jobs: Arc<Jobs>,
    pin: SyncSender<SecretString>,
}

impl Reader {
    /// Ends when the service is gone or breaks the protocol.
    fn run(self, mut socket: UnixStream) {
        let mut decoder = Decoder::default();
        loop {
            match socket.read(decoder.space()) {
                Ok(0) => return,
                Ok(count) => decoder.filled(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
            loop {
                let frame = match decoder.next() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(_) => return,
                };
                let Ok(order) = Order::parse(frame.body) else {
                    return;
                };
                if matches!(order, Order::Login { .. }) {
                    self.obey(frame.id, order);
                    decoder.wipe();
                } else {
                    self.obey(frame.id, order);
                }
            }
        }
    }

    fn obey(&self, id: u32, order: Order<'_>) {
        match order {
            Order::Describe => match self.gate.description() {
                Some(ready) => self.link.report(id, &Report::Ready(ready.clone())),
                None => self.refuse(id, "the worker is not ready"),
            },
            Order::Login { store, pin } => {
                // A second one finds the store set or the keeper gone: one login in the life of a
                // worker.
                match self.gate.set_store(store) {
                    Ok(true) => drop(self.pin.try_send(pin)),
                    Ok(false) => {}
                    Err(refusal) => self.link.end(Cause::Token, &refusal),
                }
            }
            Order::Probe => self.push(Job::Probe { id }),
            Order::Sign {
                algorithm,
                key,
                acceptance,
            } => match self.gate.admit(algorithm, &key, &acceptance) {
                Ok(input) => self.push(Job::Sign { id, input }),
                Err(reason) => self.refuse(id, &reason),
            },
        }
    }

    fn push(&self, job: Job) {
        if let Err(job) = self.jobs.push(job) {
            self.refuse(job.id(), "more calls than a worker takes");
        }
    }

    fn refuse(&self, id: u32, reason: &str) {
        let reason = reason.to_owned();
        self.link.report(id, &Report::Refused { reason });
    }
}

/// Keeps PIN and key handles out of core files and debuggers, and leaves the end of the process to
/// the service.
///
/// Each of these is one layer of several; where the system refuses one, the others hold.
fn harden() {
    close_inherited();
    let _ = memory::harden();
    // systemd and a terminal signal the whole group, and the service wants to answer what it has
    // taken first.
    let mut ignored = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        ignored.add(signal);
    }
    let _ = ignored.thread_block();
}

/// Closes what the service has open without close-on-exec, like a descriptor with the PIN of
/// another token.
///
/// Nothing in this process has opened anything yet.
fn close_inherited() {
    let Ok(directory) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<i32> = directory
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // One of them was the listing itself, and is closed already.
        let _ = nix::unistd::close(descriptor);
    }
}

/// Ends the process without running exit handlers.
///
/// They belong to the module and to libraries under it, some crash there, and one that waits for a
/// lock in a call that hangs would keep the process for ever.
fn end_process() {
    let _ = raise(Signal::SIGKILL);
}
