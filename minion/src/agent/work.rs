//! One job, from its publication to the master that has its return.
//!
//! A job belongs to the master that published it. When that master is lost in the middle, the
//! return is still brought to it over a connection of its own, or is tried as often as
//! `return_retry_tries` says and then reported lost; another master would not know what it is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::attempt::{Asked, Wanted, request_options, sign_in};
use super::caught::caught;
use super::channel::{Channel, Parts};
use super::clock::{after, stamp};
use super::notice::Notice;
use super::random::seed;
use super::resolve::addresses;
use super::setup::Setup;
use super::speak::{Line, chain};
use crate::config;
use crate::failover::{Level, Random};
use crate::jobs::{Answer, Context, Master, Reply};
use crate::log::Escaped;
use crate::net::Request;
use crate::wire::msgpack::Value;
use crate::wire::publish::{Function, Jid, Publication};
use crate::wire::request::{self, Command, Requests};

/// The jobs of one agent that are under way, of all its masters.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<Vec<Arc<Publication>>>);

impl Running {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Arc<Publication>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn others(&self, job: &Publication) -> Vec<Arc<Publication>> {
        self.with(|jobs| {
            let others = jobs.iter().filter(|other| other.jid != job.jid);
            others.map(Arc::clone).collect()
        })
    }
}

/// A job that is under way, until it is dropped.
struct Entry {
    running: Arc<Running>,
    job: Arc<Publication>,
}

impl Entry {
    fn new(running: Arc<Running>, job: Publication) -> Self {
        let job = Arc::new(job);
        running.with(|jobs| jobs.push(Arc::clone(&job)));
        Self { running, job }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let done = &self.job;
        self.running
            .with(|jobs| jobs.retain(|job| !Arc::ptr_eq(job, done)));
    }
}

/// What a job needs to run.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) setup: Arc<Setup>,
    pub(super) running: Arc<Running>,
    pub(super) grains: Arc<Value>,
    /// The session that the job came by.
    pub(super) channel: Arc<Channel>,
    /// The session in use, which may become another one.
    pub(super) sessions: watch::Receiver<Option<Arc<Channel>>>,
    pub(super) notices: mpsc::Sender<Notice>,
}

impl Work {
    /// Runs the job and brings its return to the master.
    pub(super) async fn run(self, job: Publication) {
        announce(&job);
        let entry = Entry::new(Arc::clone(&self.running), job);
        let jid = &entry.job.jid;
        let reply = match caught(self.reply(&entry.job)).await {
            Some(reply) => reply,
            None => {
                let text = format!("Job {jid} panicked: {BUG}");
                Line::new(Level::Error, text).about(jid).say();
                Reply::failed(format!("The minion function caused an exception: {BUG}").as_str())
            }
        };
        let text = format!("Returning information for job: {jid}");
        Line::new(Level::Info, text).about(jid).say();
        let command = Command::Return(Box::new(reply.into_return(&entry.job, stamp())));
        self.deliver(jid, &command).await;
    }

    async fn reply(&self, job: &Publication) -> Reply {
        let mut pings = BTreeMap::new();
        let mut found = BTreeMap::new();
        loop {
            match self.step(job, &pings, &found) {
                Answer::Reply(reply) => return reply,
                Answer::Ping { master } => {
                    let alive = self.ping(&master).await;
                    pings.insert(master, alive);
                }
                Answer::Resolve { host } => {
                    let at = self.resolve(&host).await;
                    found.insert(host, at);
                }
            }
        }
    }

    fn step(
        &self,
        job: &Publication,
        pings: &BTreeMap<String, bool>,
        addresses: &BTreeMap<String, Vec<IpAddr>>,
    ) -> Answer {
        let others = self.running.others(job);
        let running: Vec<&Publication> = others.iter().map(AsRef::as_ref).collect();
        let identity = &self.setup.identity;
        let master = self.channel.master;
        let masters = &self.setup.masters;
        let current = self.sessions.borrow();
        let connected = current.as_ref().is_some_and(|one| one.master == master);
        let context = Context {
            id: identity.id(),
            grains: &self.grains,
            pid: std::process::id(),
            running: &running,
            key: identity.key().public(),
            hash_type: &self.setup.hash_type,
            master: Some(Master {
                name: masters.get(master.index()).map_or("", |one| &one.name),
                address: self.channel.publisher.ip(),
                key: &self.channel.key,
                connected,
            }),
            pings,
            addresses,
        };
        self.setup.handler.run(job, &context)
    }

    /// Whether a master answers Salt's clear `ping`; anybody at that address could.
    async fn ping(&self, master: &str) -> bool {
        let within = self.setup.failover.auth_timeout;
        let Some((host, port)) = self.place(master) else {
            let master = Escaped(master);
            tracing::warn!(
                target: "minion::agent",
                "a job asks for a ping of {master}, which is none of this minion's masters; it is answered with no"
            );
            return false;
        };
        let answered = timeout(within, async {
            for target in addresses(&host, port, self.setup.network.ipv6).await.ok()? {
                let options = request_options(&self.setup, target, within);
                if let Ok(connection) = Request::connect(&options).await {
                    let body = request::ping().ok()?;
                    let (reply, _) = connection.exchange(&body, within).await.ok()?;
                    return Some(request::is_pong(&reply));
                }
            }
            None
        });
        answered.await.ok().flatten().unwrap_or(false)
    }

    /// Where a master is that a job names, by its configured name or by its host and perhaps a port
    /// behind a colon; an IPv6 address with a port stands in brackets.
    ///
    /// None for any other place: who has taken a master, or one of its users, must not look through
    /// the minion at what listens in its network. Salt's own jobs name masters of the list.
    fn place(&self, name: &str) -> Option<(String, u16)> {
        let masters = &self.setup.masters;
        let at = |one: &config::Master| (one.host.clone(), one.port.get());
        if let Some(known) = masters.iter().find(|one| one.name == name) {
            return Some(at(known));
        }
        let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
        let parts = name.rsplit_once(':');
        let (host, port) = match parts.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            Some((host, port)) if name.parse::<IpAddr>().is_err() => (bare(host), Some(port)),
            Some(_) | None => (bare(name), None),
        };
        let mut known = masters.iter();
        let known = known
            .find(|one| one.host == host && port.is_none_or(|port: u16| port == one.port.get()));
        known.map(at)
    }

    async fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let within = self.setup.failover.auth_timeout;
        let found = timeout(within, addresses(host, 0, self.setup.network.ipv6)).await;
        let found = found.ok().and_then(Result::ok).unwrap_or_default();
        found.iter().map(std::net::SocketAddr::ip).collect()
    }

    async fn deliver(&self, jid: &Jid, command: &Command) {
        let Ok(seed) = seed() else {
            return lost(jid, "there is no randomness");
        };
        let mut random = Random::new(seed);
        let mut channel = Arc::clone(&self.channel);
        let mut last = String::new();
        let mut signed_in = false;
        for _ in 0..self.setup.returns.retry_tries.max(1) {
            let within = self.setup.patience(&mut random);
            let spread = self.setup.failover.random_reauth_delay;
            let (end, later) = (after(within), after(within.saturating_add(spread)));
            let stale = match channel.call(command, within).await {
                Ok(_) => return,
                Err(error) => {
                    last = chain(&error);
                    error.is_stale()
                }
            };
            let text = format!("job {jid} was not returned: {last}");
            Line::new(Level::Debug, text).about(jid).say();
            if stale {
                let attempt = channel.attempt;
                let _ = self.notices.send(Notice::KeysRefused { attempt }).await;
            }
            // Under stale keys another try is of no use; the new ones take as long as the fleet's
            // spread.
            let end = if stale { later } else { end };
            if let Some(fresh) = self.renewed(&channel, end).await {
                channel = fresh;
            } else if stale
                && !std::mem::replace(&mut signed_in, true)
                && let Some(fresh) = self.sign_in_again(&channel).await
            {
                channel = fresh;
            }
        }
        lost(jid, &last);
    }

    /// Signs in to a master for the sake of one return: the minion works with another one by now,
    /// and the keys of the session that the job came by have expired.
    async fn sign_in_again(&self, old: &Channel) -> Option<Arc<Channel>> {
        let setup = &self.setup;
        let asked = Asked {
            master: setup.masters.get(old.master.index())?,
            within: setup.failover.auth_timeout,
            publications: Wanted::None,
        };
        let signed_in = sign_in(setup, asked, || ()).await.ok()?;
        let session = signed_in.session;
        Some(Channel::open(Parts {
            attempt: old.attempt,
            master: old.master,
            key: session.master,
            publisher: signed_in.publisher,
            requests: Requests::new(session.session, &setup.identity.as_wire()),
            request: signed_in.request,
            options: request_options(setup, signed_in.address, setup.failover.auth_timeout),
            notices: self.notices.clone(),
        }))
    }

    /// Waits until there is a newer session with the same master, or until the end.
    async fn renewed(&self, old: &Channel, end: Instant) -> Option<Arc<Channel>> {
        let mut sessions = self.sessions.clone();
        let newer = |current: &Option<Arc<Channel>>| {
            let same = current.as_ref().filter(|one| one.master == old.master);
            same.is_some_and(|one| one.attempt != old.attempt)
        };
        let found = timeout_at(end, async {
            // The borrow ends here: it is a lock, and must not be held while something waits.
            sessions.wait_for(newer).await.ok()?.clone()
        });
        found.await.ok().flatten()
    }
}

/// Salt 3008.5, `salt/minion.py`, `_handle_decoded_payload_impl`.
fn announce(job: &Publication) {
    let function = match &job.function {
        Function::One(call) => Escaped(&call.name).to_string(),
        Function::Several(calls) => {
            let names: Vec<_> = calls
                .iter()
                .map(|call| format!("'{}'", Escaped(&call.name)))
                .collect();
            format!("[{}]", names.join(", "))
        }
    };
    let (user, jid) = (Escaped(&job.user), &job.jid);
    let text = if job.user.is_empty() {
        format!("Executing command {function} with jid {jid}")
    } else {
        format!("User {user} Executing command {function} with jid {jid}")
    };
    Line::new(Level::Info, text).say();
}

/// Salt 3008.5, `salt/minion.py`, `_return_pub`.
fn lost(jid: &Jid, why: &str) {
    let text = format!(
        "The minion failed to return the job information for job {jid}. This is often due to the \
         master being shut down or overloaded. If the master is running, consider increasing the \
         worker_threads value. The return is lost: {why}"
    );
    Line::new(Level::Warning, text).about(jid).say();
}

/// What a master is told of a function that panicked; its words are for standard error alone.
const BUG: &str = "the minion has a bug, and its standard error says where";
