//! Checked orders on their way to the session threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::hsm::token::Input;

/// Something for a session thread to do.
#[derive(Debug)]
pub(super) enum Job {
    /// A trial signature.
    Probe { id: u32 },
    /// A key that passed the gate.
    Sign { id: u32, input: Input },
}

impl Job {
    pub(super) const fn id(&self) -> u32 {
        match self {
            Self::Probe { id } | Self::Sign { id, .. } => *id,
        }
    }
}

/// The queue of one worker; the service keeps it short.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
}

impl Jobs {
    /// Puts a job at the end, or returns it: the reading thread must never wait.
    pub(super) fn push(&self, job: Job) -> Result<(), Job> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= BOUND {
            return Err(job);
        }
        jobs.push_back(job);
        drop(jobs);
        self.arrived.notify_one();
        Ok(())
    }

    /// Returns a job that another thread has to do.
    pub(super) fn push_front(&self, job: Job) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.push_front(job);
        drop(jobs);
        self.arrived.notify_one();
    }

    /// Waits for the next job.
    pub(super) fn next(&self) -> Job {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = jobs.pop_front() {
                return job;
            }
            jobs = self
                .arrived
                .wait(jobs)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Four times the most sessions that can be configured; the service sends three times as many at
/// the most.
const BOUND: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_returns_the_job_instead_of_waiting() {
        let jobs = Jobs::default();
        for id in 1..=1024 {
            jobs.push(Job::Probe { id }).unwrap();
        }
        assert_eq!(jobs.push(Job::Probe { id: 1025 }).unwrap_err().id(), 1025);
        assert_eq!(jobs.next().id(), 1);
        jobs.push_front(Job::Probe { id: 1 });
        assert_eq!(jobs.next().id(), 1);
    }
}
