//! A machine with a clock of its own, and the naive model that watches every step of it.
//!
//! The model knows nothing of phases and rounds. It only keeps what an agent would: which attempts
//! are open, which session is live, when to wake up; and it panics when the machine asks for
//! something that makes no sense.

use std::collections::BTreeMap;
use std::time::Duration;

use minion::failover::{
    Action, AttemptId, Event, Evidence, Exit, Failure, Machine, MasterType, Moment, Outcome,
    ProbeId, Reason, Report, Settings,
};

pub(super) const GAP: Duration = Duration::from_millis(500);

/// One minion in a test.
pub(super) struct Scene {
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    pub(super) now: Duration,
    pub(super) open: BTreeMap<AttemptId, usize>,
    pub(super) session: Option<(AttemptId, usize)>,
    pub(super) over: Vec<AttemptId>,
    pub(super) probe: Option<ProbeId>,
    pub(super) wake: Option<Duration>,
    pub(super) exit: Option<Exit>,
    /// Every attempt so far, with its time.
    pub(super) asked: Vec<(Duration, usize)>,
    pub(super) switches: Vec<(usize, Reason)>,
    pub(super) reports: Vec<Report>,
    pub(super) log: Vec<Vec<Action>>,
    /// How the last attempt at each master ended, as far as one has.
    ended: BTreeMap<usize, Outcome>,
}

impl Scene {
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        let policy = settings.policies().unwrap().remove(0);
        let (machine, actions) = Machine::start(policy, seed, Moment::default());
        let mut scene = Self {
            machine,
            settings,
            now: Duration::ZERO,
            open: BTreeMap::new(),
            session: None,
            over: Vec::new(),
            probe: None,
            wake: None,
            exit: None,
            asked: Vec::new(),
            switches: Vec::new(),
            reports: Vec::new(),
            log: Vec::new(),
            ended: BTreeMap::new(),
        };
        scene.watch(actions);
        scene
    }

    pub(super) fn step(&mut self, event: Event) {
        let machine = self.machine.clone();
        let (machine, actions) = machine.step(event, Moment::at(self.now));
        self.machine = machine;
        self.watch(actions);
    }

    /// Answers the open attempt at this master.
    pub(super) fn answer(&mut self, master: usize, outcome: Outcome) -> &mut Self {
        let open = self.open.iter().find(|(_, at)| **at == master);
        assert!(open.is_some(), "master {master} is not asked");
        let (attempt, _) = open.map(|(id, at)| (*id, *at)).unwrap();
        self.end(attempt, outcome);
        self
    }

    pub(super) fn end(&mut self, attempt: AttemptId, outcome: Outcome) {
        self.ended.insert(self.open[&attempt], outcome);
        if outcome != Outcome::Accepted {
            self.open.remove(&attempt);
            self.over.push(attempt);
        }
        self.step(Event::Answered { attempt, outcome });
    }

    pub(super) fn accept(&mut self, master: usize) -> &mut Self {
        self.answer(master, Outcome::Accepted)
    }

    pub(super) fn fail(&mut self, master: usize, failure: Failure) -> &mut Self {
        self.answer(master, Outcome::Failed(failure))
    }

    pub(super) fn disconnect(&mut self) -> &mut Self {
        let (attempt, _) = self.session.unwrap();
        self.step(Event::Disconnected { attempt });
        self
    }

    pub(super) fn refuse_keys(&mut self) -> &mut Self {
        let (attempt, _) = self.session.unwrap();
        self.step(Event::KeysRefused { attempt });
        self
    }

    pub(super) fn answer_probe(&mut self) -> bool {
        let Some(probe) = self.probe.take() else {
            return false;
        };
        self.step(Event::ProbeAnswered { probe });
        true
    }

    /// Lets time pass, waking the machine exactly when it asked for it.
    pub(super) fn pass(&mut self, time: Duration) -> &mut Self {
        self.pass_with(time, |_| ())
    }

    /// As `pass`, and lets the world react to each wake-up.
    pub(super) fn pass_with(
        &mut self,
        time: Duration,
        mut react: impl FnMut(&mut Self),
    ) -> &mut Self {
        let end = self.now + time;
        while let Some(at) = self.wake.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step(Event::Woke);
            react(self);
        }
        self.now = end;
        self
    }

    /// Lets time pass until this master is asked.
    pub(super) fn until_asked(&mut self, master: usize) -> &mut Self {
        while !self.asking().contains(&master) {
            self.now = self.wake.unwrap();
            self.step(Event::Woke);
        }
        self
    }

    pub(super) fn current(&self) -> Option<usize> {
        self.session.map(|(_, master)| master)
    }

    /// The masters that are being asked, in the order of their attempts.
    pub(super) fn asking(&self) -> Vec<usize> {
        self.open.values().copied().collect()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.reports.iter().map(ToString::to_string).collect()
    }

    fn watch(&mut self, actions: Vec<Action>) {
        let before = self.session;
        let mut live: Vec<_> = before.into_iter().collect();
        self.wake = None;
        assert!(
            self.exit.is_none() || actions.is_empty(),
            "acts after giving up"
        );
        for (at, action) in actions.iter().enumerate() {
            match action {
                Action::Authenticate {
                    attempt,
                    master,
                    deadline,
                } => {
                    self.begin(*attempt, master.index(), *deadline, before);
                }
                Action::Close(attempt) => {
                    let session = live.iter().position(|(id, _)| id == attempt);
                    self.close(*attempt, session.map(|at| live.remove(at)));
                }
                Action::GiveUp(exit) => {
                    self.judge_exit(*exit);
                    self.exit = Some(*exit);
                }
                Action::Probe {
                    probe,
                    attempt,
                    deadline,
                } => {
                    assert_eq!(self.session.map(|(id, _)| id), Some(*attempt));
                    assert!(*deadline > Moment::at(self.now));
                    assert_eq!(self.probe, None, "a second probe beside the first");
                    self.probe = Some(*probe);
                }
                Action::Report(report) => self.reports.push(report.clone()),
                Action::Switch {
                    attempt,
                    master,
                    reason,
                } => {
                    assert_eq!(
                        self.open.remove(attempt),
                        Some(master.index()),
                        "switches blindly"
                    );
                    live.push((*attempt, master.index()));
                    self.probe = None;
                    self.judge_switch(master.index(), *reason, before);
                }
                Action::WaitUntil(moment) => {
                    assert_eq!(at + 1, actions.len(), "waits before it has done all");
                    self.wake = Some(moment.since(Moment::default()));
                }
            }
        }
        assert!(live.len() <= 1, "two current masters: {live:?}");
        self.session = live.pop();
        self.judge();
        self.log.push(actions);
    }

    fn begin(
        &mut self,
        attempt: AttemptId,
        master: usize,
        deadline: Moment,
        session: Option<(AttemptId, usize)>,
    ) {
        assert!(!self.over.contains(&attempt), "a name is used twice");
        assert!(
            !self.asking().contains(&master),
            "asks a master twice at once"
        );
        assert_eq!(deadline, Moment::at(self.now + self.settings.auth_timeout));
        let last = self.asked.iter().rev().find(|(_, at)| *at == master);
        assert!(
            last.is_none_or(|(at, _)| *at + GAP <= self.now),
            "asks {master} too often"
        );
        if let (Some((_, current)), Some(_)) = (session, self.machine.current()) {
            let failback = self.settings.master_failback && master == 0;
            assert!(
                master == current || failback,
                "courts {master} beside {current}"
            );
        }
        self.asked.push((self.now, master));
        self.open.insert(attempt, master);
    }

    fn close(&mut self, attempt: AttemptId, session: Option<(AttemptId, usize)>) {
        let asked = self.open.remove(&attempt);
        assert!(
            asked.is_some() || session.is_some(),
            "closes what is not open"
        );
        let unanswered = Outcome::Failed(Failure::NoAnswer);
        self.ended.extend(asked.map(|master| (master, unanswered)));
        self.over.push(attempt);
    }

    fn judge_switch(&mut self, master: usize, reason: Reason, old: Option<(AttemptId, usize)>) {
        match reason {
            Reason::Failback => assert_eq!(master, 0, "fails back to another than the first"),
            Reason::Renewed => assert_eq!(old.map(|(_, at)| at), Some(master)),
            Reason::Lost => assert!(old.is_none() && !self.switches.is_empty()),
            Reason::Started => assert!(old.is_none() && self.switches.is_empty()),
        }
        self.switches.push((master, reason));
    }

    /// The minion ends only by what it was told to end by.
    fn judge_exit(&self, exit: Exit) {
        assert!(self.session.is_none() && self.open.is_empty(), "{exit:?}");
        let masters = 0..self.settings.masters.len();
        let all = |meant: fn(Failure) -> bool| {
            masters.clone().all(|at| {
                let ended = self.ended.get(&at);
                matches!(ended, Some(Outcome::Failed(failure)) if meant(*failure))
            })
        };
        let allowed = match exit {
            Exit::NoMaster => self.settings.master_tries.is_some(),
            Exit::NoPermission => {
                let barred = |failure| failure == Failure::Rejected(Evidence::Verified);
                !self.settings.rejected_retry && all(barred)
            }
            Exit::Unresolved => {
                let single = self.settings.master_type == MasterType::Str;
                let counted = self.settings.retry_dns_count.is_some();
                single && counted && all(|failure| failure == Failure::Unresolved)
            }
            Exit::Untrusted => self.settings.master_tries.is_some() && all(is_distrust),
        };
        assert!(allowed, "{exit:?} after {:?}", self.ended);
    }

    fn judge(&self) {
        assert_eq!(self.machine.current().map(|at| at.index()), self.current());
        assert_eq!(self.machine.exit(), self.exit);
        assert!(
            self.wake.is_none_or(|at| at > self.now),
            "wakes up at once, for ever"
        );
        let alive = self.session.is_some() || self.wake.is_some() || self.exit.is_some();
        assert!(alive, "waits for nothing");
        assert!(
            self.open.is_empty() || self.wake.is_some(),
            "an attempt without a deadline"
        );
    }
}

/// A master that is there and proves no key.
fn is_distrust(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::BadSignature | Failure::FingerprintMismatch | Failure::MissingSignature
    )
}

/// Failover over so many masters, by the tutorial's addresses.
pub(super) fn failover(count: usize) -> Settings {
    Settings {
        masters: (0..count)
            .map(|at| format!("172.16.0.{}", 10 + at))
            .collect(),
        master_type: MasterType::Failover,
        ..Settings::default()
    }
}

pub(super) fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
