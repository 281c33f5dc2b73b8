//! The one task that changes the state.
//!
//! It takes all operations that wait, decides them in order, chains their audit records and writes
//! them as one transaction: the disk is asked for durability once for all of them, and the audit
//! chain has one writer. An operation that would touch a row which an earlier one of the same group
//! writes starts the next group. Letting callers chain their own records instead would make them
//! all race for the head of the chain.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::mem;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::backend::{self, Backend, Commit, Guard, Key, Transaction};
use super::change::{Change, Once, Operation, Step, View};
use super::coming::Coming;
use super::layout::Row;
use super::row::{self, HeadRow};
use super::{Error, State};
use crate::audit::Record;
use crate::audit::chain::Head;
use crate::clock::Clock;

/// An operation that waits, whatever its types are.
pub(super) trait Job: Send {
    /// Decides; without a change the operation was answered.
    fn decide(&mut self, view: &View<'_>) -> Option<Change>;
    /// Answers that the change is durable.
    fn succeed(&mut self);
    /// Answers that it is not, or may not be.
    fn fail(&mut self, error: Error);
}

/// An operation and who waits for it.
pub(super) struct Waiting<O: Operation> {
    operation: O,
    output: Option<O::Output>,
    answer: Option<oneshot::Sender<Result<O::Output, O::Error>>>,
}

impl<O: Operation> Waiting<O> {
    pub(super) const fn new(
        operation: O,
        answer: oneshot::Sender<Result<O::Output, O::Error>>,
    ) -> Self {
        Self {
            operation,
            output: None,
            answer: Some(answer),
        }
    }

    fn answer(&mut self, result: Result<O::Output, O::Error>) {
        if let Some(answer) = self.answer.take() {
            // A caller that went away gave up the wait, not the work.
            drop(answer.send(result));
        }
    }
}

impl<O: Operation> Job for Waiting<O> {
    fn decide(&mut self, view: &View<'_>) -> Option<Change> {
        match self.operation.decide(view) {
            Ok(Step::Write(change, output)) => {
                self.output = Some(output);
                Some(*change)
            }
            Ok(Step::Done(output)) => {
                self.answer(Ok(output));
                None
            }
            Err(error) => {
                self.answer(Err(error));
                None
            }
        }
    }

    fn succeed(&mut self) {
        if let Some(output) = self.output.take() {
            self.answer(Ok(output));
        }
    }

    fn fail(&mut self, error: Error) {
        self.answer(Err(error.into()));
    }
}

/// Decides and commits, one group after the other.
pub(super) struct Committer {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) state: Arc<RwLock<State>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Uuid,
    /// Told each head once its group is durable.
    pub(super) heads: broadcast::Sender<Head>,
    /// Where the audit chain ends, and at which revision its row was written.
    pub(super) head: (Head, u64),
    /// A group that may be in the database or not.
    pub(super) unsettled: Option<Group>,
    /// What a group may wait for.
    pub(super) coming: Coming,
}

impl Committer {
    /// Works until the store is closed or nobody can ask any more, and then lets go of the
    /// database.
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Box<dyn Job>>,
        stop: CancellationToken,
    ) {
        let mut batch = Vec::new();
        let mut before = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !queue.is_closed() => queue.close(),
                taken = queue.recv_many(&mut batch, MAX_BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    let end = before.checked_add(PACE).unwrap_or(before);
                    self.coming.gather(&mut batch, &mut queue, MAX_BATCH, end).await;
                    before = Instant::now();
                    self.batch(VecDeque::from(mem::take(&mut batch))).await;
                }
            }
        }
        self.backend.close().await;
    }

    async fn batch(&mut self, mut jobs: VecDeque<Box<dyn Job>>) {
        if let Err(error) = self.settle().await {
            jobs.iter_mut().for_each(|job| job.fail(error.clone()));
            return;
        }
        // How many of the first jobs go alone, because together they were refused.
        let mut alone = 0_usize;
        while !jobs.is_empty() {
            let limit = if alone > 0 { 1 } else { MAX_BATCH };
            let group = self.group(&mut jobs, limit);
            alone = alone.saturating_sub(1);
            let refused = self.commit(group).await;
            alone = alone.saturating_add(refused.len());
            for job in refused.into_iter().rev() {
                jobs.push_front(job);
            }
        }
    }

    /// Decides jobs from the front until one has to see what an earlier one of the group changes.
    fn group(&self, jobs: &mut VecDeque<Box<dyn Job>>, limit: usize) -> Group {
        let mut group = Group::new(self.head.0);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        while group.jobs.len() < limit {
            let Some(mut job) = jobs.pop_front() else {
                break;
            };
            let view = View {
                state: &state,
                store: self.store,
                now: self.clock.now(),
                seq: group.head.seq.saturating_add(1),
            };
            let Some(change) = job.decide(&view) else {
                continue;
            };
            if group.collides(&change) {
                jobs.push_front(job);
                break;
            }
            match group.add(change) {
                Ok(()) => group.jobs.push(job),
                Err(error) => job.fail(error),
            }
        }
        group
    }

    /// Commits a group; the jobs that are returned have to be tried one by one.
    async fn commit(&mut self, mut group: Group) -> Vec<Box<dyn Job>> {
        if group.jobs.is_empty() {
            return Vec::new();
        }
        let transaction = match group.transaction(self.head.1) {
            Ok(transaction) => transaction,
            Err(error) => {
                group.fail(&error);
                return Vec::new();
            }
        };
        let error = match self.backend.commit(transaction).await {
            Ok(Commit::Committed { revision }) => {
                self.apply(group, revision);
                return Vec::new();
            }
            Ok(Commit::Conflict) | Err(backend::Error::TooLarge { .. }) if group.jobs.len() > 1 => {
                return group.jobs;
            }
            Ok(Commit::Conflict) => Error::Conflict,
            Err(source @ backend::Error::OutcomeUnknown { .. }) => {
                tracing::warn!(%source, "the database did not say whether it applied a change");
                self.unsettled = Some(group);
                // If this fails as well, the callers were told, and the next batch tries again.
                drop(self.settle().await);
                return Vec::new();
            }
            Err(source) => Error::from(source),
        };
        group.fail(&error);
        Vec::new()
    }

    /// Finds out what became of a group that the database gave no answer about.
    async fn settle(&mut self) -> Result<(), Error> {
        let Some(mut group) = self.unsettled.take() else {
            return Ok(());
        };
        let entry = match self.backend.read(&[Row::AuditHead.name()]).await {
            Ok(snapshot) => snapshot.entries.into_iter().next().flatten(),
            Err(source) => {
                let error = Error::from(source);
                group.fail(&error);
                self.unsettled = Some(group);
                return Err(error);
            }
        };
        let found = entry.and_then(|entry| {
            let head: HeadRow = row::decode(&entry.value).ok()?;
            Some((Head::from(head), entry.revision))
        });
        match found {
            Some((head, revision)) if head == group.head => {
                self.apply(group, revision);
                Ok(())
            }
            Some(found) if found == self.head => {
                group.fail(&Error::NotCommitted);
                Ok(())
            }
            _ => {
                group.fail(&Error::Conflict);
                self.unsettled = Some(group);
                Err(Error::Conflict)
            }
        }
    }

    fn apply(&mut self, group: Group, revision: u64) {
        self.head = (group.head, revision);
        let Head { seq, hash } = group.head;
        tracing::info!(target: AUDIT, seq, %hash, records = group.changes.len(), "audit head");
        // Nobody may listen.
        let _ = self.heads.send(group.head);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for change in group.changes {
            change.apply(&mut state, revision);
        }
        state.head = Some(group.head);
        drop(state);
        for mut job in group.jobs {
            job.succeed();
        }
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer")
            .field("backend", &self.backend)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// Changes that go into one transaction, and the jobs that wait for them.
pub(super) struct Group {
    jobs: Vec<Box<dyn Job>>,
    changes: Vec<Change>,
    records: Vec<(Key, Vec<u8>)>,
    written: BTreeSet<Key>,
    /// What happens once, without a row that would say that it has happened.
    once: HashSet<Once>,
    /// Where the audit chain ends with this group.
    head: Head,
}

impl Group {
    fn new(head: Head) -> Self {
        Self {
            jobs: Vec::new(),
            changes: Vec::new(),
            records: Vec::new(),
            written: BTreeSet::new(),
            once: HashSet::new(),
            head,
        }
    }

    /// Whether the change was decided on a row that this group writes, or would be the second one
    /// of a kind that there is once.
    fn collides(&self, change: &Change) -> bool {
        let guarded = change.guards.iter().map(Guard::key);
        if change.once().any(|once| self.once.contains(&once)) {
            return true;
        }
        guarded
            .chain(change.written())
            .any(|key| self.written.contains(key))
    }

    fn add(&mut self, change: Change) -> Result<(), Error> {
        let seq = self.head.seq.checked_add(1).ok_or(Error::Conflict)?;
        let record = change.event.clone().chain(seq, self.head.hash);
        let bytes = record
            .to_bytes()
            .map_err(|source| Error::Record { source })?;
        self.head = Head {
            seq,
            hash: Record::hash(&bytes),
        };
        self.records.push((Row::AuditRecord(seq).name(), bytes));
        self.written.extend(change.written().cloned());
        self.once.extend(change.once());
        self.changes.push(change);
        Ok(())
    }

    fn transaction(&mut self, head_revision: u64) -> Result<Transaction, Error> {
        let head = Row::AuditHead.name();
        let mut transaction = Transaction {
            guards: vec![Guard::RevisionEquals(head.clone(), head_revision)],
            puts: vec![(head, row::encode(&HeadRow::from(self.head))?)],
            deletes: Vec::new(),
        };
        transaction.puts.append(&mut self.records);
        for change in &mut self.changes {
            transaction.guards.append(&mut change.guards);
            transaction.puts.extend(change.puts.iter().cloned());
            transaction.deletes.extend(change.deletes.iter().cloned());
        }
        Ok(transaction)
    }

    fn fail(&mut self, error: &Error) {
        self.jobs.iter_mut().for_each(|job| job.fail(error.clone()));
    }
}

/// The target of the lines that say where the audit chain ends.
///
/// The chain has no key, so whoever can write the database can make another one; what a log kept
/// elsewhere says of its head is what tells the two apart. Filters and alerts name this target.
pub(super) const AUDIT: &str = "audit";
/// Some tens of microseconds of work for one fsync of milliseconds; larger groups gain nothing and
/// wait longer.
const MAX_BATCH: usize = 64;
/// The least time from one commit to the next if more changes are coming: little beside what a
/// signature takes that waits for others to be made.
const PACE: Duration = Duration::from_millis(2);
