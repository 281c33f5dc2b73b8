//! The order in which masters are tried, and what each has done to deserve its place.
//!
//! The list is reordered in place and every entry keeps its position in the configuration. O(n)
//! searches: a list of masters has a handful of entries.

use std::sync::Arc;

use super::backoff::Random;
use super::event::Failure;
use super::moment::Moment;
use super::policy::{Policy, Position};

/// All masters, in the order of trying.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Candidates(Vec<Candidate>);

impl Candidates {
    /// The configured order, shuffled if the policy says so.
    pub(super) fn new(policy: &Policy, random: &mut Random) -> Self {
        let fresh = |(position, address): &(Position, Arc<str>)| Candidate {
            address: Arc::clone(address),
            crowd_until: Moment::default(),
            crowds: 0,
            flaps: 0,
            hold_until: Moment::default(),
            position: *position,
            timeouts: 0,
            verdict: None,
        };
        let mut candidates = Self(policy.masters.iter().map(fresh).collect());
        candidates.reorder(policy, random);
        candidates
    }

    /// Back to the configured order, as Salt does at failback.
    pub(super) fn reorder(&mut self, policy: &Policy, random: &mut Random) {
        self.0.sort_by_key(|candidate| candidate.position);
        self.shuffle(policy, random, self.0.len());
    }

    /// Puts a lost master at the end.
    pub(super) fn demote(&mut self, lost: Position, policy: &Policy, random: &mut Random) {
        self.0.sort_by_key(|candidate| candidate.position == lost);
        self.shuffle(policy, random, self.0.len().saturating_sub(1));
    }

    // Salt 3008.5, salt/minion.py, eval_master: with failback the first entry keeps its place.
    fn shuffle(&mut self, policy: &Policy, random: &mut Random, count: usize) {
        if !policy.shuffle {
            return;
        }
        let leads = self.0.first().map(|candidate| candidate.position);
        let fixed = usize::from(policy.keeps_first && leads == Some(Position::FIRST));
        if let Some(free) = self.0.get_mut(fixed..count) {
            random.shuffle(free);
        }
    }

    /// Forgets what this round has shown.
    pub(super) fn begin_round(&mut self) {
        for candidate in &mut self.0 {
            candidate.timeouts = 0;
            candidate.verdict = None;
        }
    }

    /// Forgets how busy they were, and that they were to be left alone for that.
    pub(super) fn forget_crowds(&mut self) {
        for candidate in &mut self.0 {
            candidate.crowds = 0;
            candidate.crowd_until = Moment::default();
        }
    }

    pub(super) fn get(&self, position: Position) -> Option<&Candidate> {
        self.0
            .iter()
            .find(|candidate| candidate.position == position)
    }

    pub(super) fn get_mut(&mut self, position: Position) -> Option<&mut Candidate> {
        self.0
            .iter_mut()
            .find(|candidate| candidate.position == position)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.0.iter()
    }

    pub(super) const fn several(&self) -> bool {
        self.0.len() > 1
    }

    /// The name of a master as configured.
    pub(super) fn address(&self, position: Position) -> Arc<str> {
        self.get(position)
            .map_or_else(|| Arc::from(""), |candidate| Arc::clone(&candidate.address))
    }

    /// Whether every master failed in this round, each in a way that `matches`.
    pub(super) fn all_failed(&self, matches: impl Fn(Failure) -> bool) -> bool {
        self.iter().all(|candidate| match candidate.verdict {
            Some(Verdict::Failed(failure)) => matches(failure),
            Some(Verdict::Pending) | None => false,
        })
    }

    /// Whether some master failed in this round in this way.
    pub(super) fn any_failed(&self, failure: Failure) -> bool {
        let verdict = Some(Verdict::Failed(failure));
        self.iter().any(|candidate| candidate.verdict == verdict)
    }
}

/// One master.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Candidate {
    /// Its name as configured.
    pub(super) address: Arc<str>,
    /// It is left alone until this, because it had no time.
    pub(super) crowd_until: Moment,
    /// How often in a row it took the question and had no time for an answer.
    pub(super) crowds: u32,
    /// How many short sessions in a row it has ended.
    pub(super) flaps: u32,
    /// It is not asked before this.
    pub(super) hold_until: Moment,
    /// Its place in the configured list.
    pub(super) position: Position,
    /// Unanswered attempts in this round.
    pub(super) timeouts: u32,
    /// What this round has shown; none while it may still be asked.
    pub(super) verdict: Option<Verdict>,
}

impl Candidate {
    /// When it may be asked.
    pub(super) fn free_at(&self) -> Moment {
        self.hold_until.max(self.crowd_until)
    }
}

/// What a master made of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It is of no use in this round.
    Failed(Failure),
    /// It does not know the minion yet.
    Pending,
}
