//! The one task that knows a machine: it performs what the machine decides and reports what became
//! of it.
//!
//! It never waits for anything but the next thing to happen, so no task that it started can keep it
//! from a deadline.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Shared;
use super::attempt::{Asked, SignedIn, Wanted, sign_in};
use super::board::Board;
use super::channel::Channel;
use super::clock::{Monotonic, after};
use super::notice::{Half, NOTICES, Notice};
use super::outcome::Failed;
use super::session::{Beginning, Session};
use super::setup::Setup;
use super::speak::Line;
use super::work::Work;
use crate::failover::{
    Action, AttemptId, Event, Exit, Level, Machine, Moment, Outcome, Policy, Position, ProbeId,
    Reason,
};
use crate::jobs::matches;
use crate::wire::msgpack::Value;
use crate::wire::publish::Publication;

/// The state of the task.
#[derive(Debug)]
pub(super) struct Driver {
    shared: Arc<Shared>,
    board: Board,
    clock: Monotonic,
    /// When the machine wants to be called.
    wake: Option<Instant>,
    /// How the machine gave up, if it did.
    exit: Option<Exit>,
    /// What happened and was not yet told to the machine.
    events: VecDeque<Event>,
    attempts: BTreeMap<AttemptId, Attempt>,
    /// Attempts that succeeded, until the machine has said what is to become of them.
    signed_in: BTreeMap<AttemptId, (Position, SignedIn)>,
    session: Option<Session>,
    /// When the revoked keys are read anew.
    recheck: Interval,
    /// The probe that is out, and what has answered.
    probe: Option<(ProbeId, Vec<Half>)>,
    grains: Arc<Value>,
    jobs: JoinSet<()>,
    sessions: watch::Sender<Option<Arc<Channel>>>,
    sender: mpsc::Sender<Notice>,
    notices: mpsc::Receiver<Notice>,
}

/// An attempt under way; it ends when it is dropped.
#[derive(Debug)]
struct Attempt {
    master: Position,
    deadline: Moment,
    within: Duration,
    _task: AbortOnDropHandle<()>,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (sender, notices) = mpsc::channel(NOTICES);
        Self {
            board: Board::new(Arc::clone(&shared)),
            clock: Monotonic::start(),
            wake: None,
            exit: None,
            events: VecDeque::new(),
            attempts: BTreeMap::new(),
            signed_in: BTreeMap::new(),
            session: None,
            recheck: recheck(&shared.setup),
            probe: None,
            grains: Arc::clone(&shared.setup.grains),
            jobs: JoinSet::new(),
            sessions: watch::Sender::new(None),
            sender,
            notices,
            shared,
        }
    }

    /// Drives one machine until it gives up or the agent is told to stop.
    pub(super) async fn run(
        mut self,
        policy: Policy,
        seed: u64,
        stop: CancellationToken,
    ) -> Option<Exit> {
        let (mut machine, actions) = Machine::start(policy, seed, Moment::default());
        self.perform_all(actions);
        while self.exit.is_none() {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(notice) = self.notices.recv() => self.take(notice),
                Some(ended) = self.jobs.join_next() => done(&ended),
                _ = self.recheck.tick() => self.leave_if_revoked(),
                () = until(self.wake) => self.events.push_back(Event::Woke),
            }
            while let Some(event) = self.events.pop_front() {
                let actions;
                (machine, actions) = machine.step(event, self.clock.now());
                self.wake = None;
                self.perform_all(actions);
            }
            // Whatever the machine had no use for is closed.
            self.signed_in.clear();
        }
        self.drain().await;
        self.exit
    }

    /// Lets the jobs that are under way bring their returns home, for a moment.
    async fn drain(&mut self) {
        self.attempts.clear();
        let grace = self.shared.grace;
        let all = async {
            while let Some(ended) = self.jobs.join_next().await {
                done(&ended);
            }
        };
        if timeout(grace, all).await.is_err() {
            let left = self.jobs.len();
            Line::new(
                Level::Warning,
                format!("{left} jobs were under way at the end; their returns are lost"),
            )
            .say();
        }
        self.session = None;
        self.board.closed();
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Alive { probe, half } => self.alive(probe, half),
            Notice::Ended { attempt, result } => self.ended(attempt, *result),
            Notice::Gone { attempt, why } => {
                if self.is_current(attempt) {
                    tracing::debug!(target: "minion::agent", "a connection is gone: {why}");
                }
                self.events.push_back(Event::Disconnected { attempt });
            }
            Notice::KeysRefused { attempt } => {
                self.events.push_back(Event::KeysRefused { attempt });
            }
            Notice::Published {
                channel,
                publication,
            } => self.published(channel, *publication),
            Notice::Reached { attempt } => self.events.push_back(Event::Reached { attempt }),
        }
    }

    /// A key that was revoked after its sign-in.
    fn leave_if_revoked(&mut self) {
        let Some(session) = &self.session else {
            return;
        };
        match self.shared.setup.store.revoked() {
            Ok(revoked) if revoked.contains(&session.channel.key.hash()) => {
                let name = self.shared.name(session.channel.master);
                let text = format!("The Salt Master server's public key is revoked ({name})");
                Line::new(Level::Critical, text).say();
                let attempt = session.attempt();
                self.events.push_back(Event::Disconnected { attempt });
            }
            Ok(_) => {}
            Err(error) => tracing::error!(
                target: "minion::agent",
                "it is not known which keys are revoked, so the session goes on: {error}"
            ),
        }
    }

    fn is_current(&self, attempt: AttemptId) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.attempt() == attempt)
    }

    fn alive(&mut self, probe: ProbeId, half: Half) {
        let Some((_, halves)) = self.probe.as_mut().filter(|(out, _)| *out == probe) else {
            return;
        };
        if !halves.contains(&half) {
            halves.push(half);
        }
        if halves.len() == 2 {
            self.probe = None;
            self.events.push_back(Event::ProbeAnswered { probe });
        }
    }

    fn ended(&mut self, id: AttemptId, result: Result<SignedIn, Failed>) {
        let Some(attempt) = self.attempts.remove(&id) else {
            return;
        };
        let Some(master) = self.shared.setup.masters.get(attempt.master.index()) else {
            return;
        };
        let name = &master.name;
        let outcome = match result {
            Ok(signed_in) => {
                // The whole handshake is over: only now is anything written down.
                let key = &signed_in.session.master;
                if let Err(error) = self.shared.setup.store.pin(&master.endpoint(), key) {
                    tracing::error!(
                        target: "minion::agent",
                        "the key of the master {name} could not be written down: {error}"
                    );
                }
                self.board.accepted(attempt.master, &signed_in);
                self.signed_in.insert(id, (attempt.master, signed_in));
                Outcome::Accepted
            }
            Err(failed) => {
                for line in failed.lines(name) {
                    line.say();
                }
                self.board.refused(attempt.master, &failed);
                failed.outcome()
            }
        };
        self.events.push_back(Event::Answered {
            attempt: id,
            outcome,
        });
    }

    /// A job is run also if its master was lost meanwhile: it is not published again.
    fn published(&mut self, channel: Arc<Channel>, job: Publication) {
        let id = self.shared.setup.identity.id();
        if !matches(&job.target, id, &self.grains) || !self.shared.is_new(&job.jid) {
            return;
        }
        if self.jobs.len() >= JOBS {
            let jid = &job.jid;
            Line::new(
                Level::Error,
                format!("{JOBS} jobs are under way; job {jid} is not begun"),
            )
            .say();
            return;
        }
        let work = Work {
            setup: Arc::clone(&self.shared.setup),
            running: Arc::clone(&self.shared.running),
            grains: Arc::clone(&self.grains),
            channel,
            sessions: self.sessions.subscribe(),
            notices: self.sender.clone(),
        };
        self.jobs.spawn(work.run(job));
    }

    fn perform_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Authenticate {
                attempt,
                master,
                deadline,
            } => self.authenticate(attempt, master, deadline),
            Action::Close(attempt) => self.close(attempt),
            Action::GiveUp(exit) => self.exit = Some(exit),
            Action::Probe {
                probe,
                attempt,
                deadline,
            } => self.ask(probe, attempt, deadline),
            Action::Report(report) => Line::new(report.level(), report.to_string()).say(),
            Action::Switch {
                attempt,
                master,
                reason,
            } => self.switch(attempt, master, reason),
            Action::WaitUntil(moment) => {
                self.wake = Some(after(self.clock.until(moment)));
            }
        }
    }

    fn authenticate(&mut self, attempt: AttemptId, master: Position, deadline: Moment) {
        let shared = Arc::clone(&self.shared);
        let sender = self.sender.clone();
        let within = self.clock.until(deadline);
        let current = self.session.as_ref();
        let publications = current
            .filter(|session| session.channel.master == master)
            .map_or(Wanted::All, |session| {
                Wanted::Elsewhere(session.publisher())
            });
        self.board.asking(master);
        let task = tokio::spawn(async move {
            let result = match shared.setup.masters.get(master.index()) {
                Some(master) => {
                    let asked = Asked {
                        master,
                        within,
                        publications,
                    };
                    // A driver with that many notices is told by the deadline; it waits less then.
                    let reached = || drop(sender.try_send(Notice::Reached { attempt }));
                    sign_in(&shared.setup, asked, reached).await
                }
                None => Err(Failed::NoAddress),
            };
            let result = Box::new(result);
            // The driver that has no ear for it has ended.
            let _ = sender.send(Notice::Ended { attempt, result }).await;
        });
        let task = AbortOnDropHandle::new(task);
        let begun = Attempt {
            master,
            deadline,
            within,
            _task: task,
        };
        self.attempts.insert(attempt, begun);
    }

    fn close(&mut self, attempt: AttemptId) {
        if let Some(closed) = self.attempts.remove(&attempt) {
            self.given_up(&closed);
        }
        self.signed_in.remove(&attempt);
        if let Some(session) = self.session.take_if(|one| one.attempt() == attempt) {
            self.board.lost(session.channel.master);
            self.probe = None;
            self.sessions.send_replace(None);
        }
    }

    /// The machine's deadline and the attempt's own are the same moment; whichever is noticed
    /// first, the log says so.
    fn given_up(&self, closed: &Attempt) {
        if closed.deadline > self.clock.now() {
            return self.board.outrun(closed.master);
        }
        let failed = Failed::NoAnswer(closed.within);
        for line in failed.lines(self.shared.name(closed.master)) {
            line.say();
        }
        self.board.refused(closed.master, &failed);
    }

    fn ask(&mut self, probe: ProbeId, attempt: AttemptId, deadline: Moment) {
        let within = self.clock.until(deadline);
        if let Some(session) = self.session.as_ref().filter(|one| one.attempt() == attempt) {
            session.probe(probe, within);
            self.probe = Some((probe, Vec::new()));
        }
    }

    fn switch(&mut self, attempt: AttemptId, master: Position, reason: Reason) {
        let Some((_, signed_in)) = self.signed_in.remove(&attempt) else {
            self.events.push_back(Event::Disconnected { attempt });
            return;
        };
        let before = self.session.take();
        self.grains = self.shared.grains_at(master);
        let beginning = Beginning {
            attempt,
            master,
            signed_in,
            grains: Arc::clone(&self.grains),
        };
        self.probe = None;
        self.session = Session::begin(&self.shared.setup, beginning, before, &self.sender);
        let channel = self.session.as_ref().map(|one| Arc::clone(&one.channel));
        if channel.is_none() {
            self.events.push_back(Event::Disconnected { attempt });
        }
        self.sessions.send_replace(channel);
        self.board.connected(master, reason);
    }
}

/// What a job's own code panics with is its return; see [`Work::run`].
fn done(ended: &Result<(), JoinError>) {
    if ended.is_err() {
        let text = "a job ended by a bug of the minion's own; its return is lost";
        Line::new(Level::Error, text).say();
    }
}

fn recheck(setup: &Setup) -> Interval {
    let mut ticks = interval(setup.revocation_interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Jobs under way, each of which may hold a return that is tried for half a minute. A master that
/// has more than this on one minion has lost count as well.
const JOBS: usize = 256;
