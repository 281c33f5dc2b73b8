//! What waits for an HSM, and in which order it is sent.
//!
//! A call that was in a worker's hands when the worker was lost goes first, because its caller has
//! waited longest. A call that may be the reason of the loss goes alone and after all of those: if
//! it is the reason, it takes nobody along. A call that lost two workers is given up.

use std::collections::VecDeque;

/// A call with the number of workers that were lost over it.
#[derive(Debug)]
pub(super) struct Ticket<T> {
    pub(super) call: T,
    losses: u8,
}

/// How a call must be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// With nothing else in the worker's hands.
    Alone,
    /// With others.
    Shared,
}

/// The calls of all HSMs of the pool; whichever may sign takes from here.
#[derive(Debug)]
pub(super) struct Queue<T> {
    again: VecDeque<Ticket<T>>,
    suspects: VecDeque<Ticket<T>>,
    waiting: VecDeque<Ticket<T>>,
    bound: usize,
}

impl<T> Queue<T> {
    pub(super) const fn new(bound: usize) -> Self {
        Self {
            again: VecDeque::new(),
            suspects: VecDeque::new(),
            waiting: VecDeque::new(),
            bound,
        }
    }

    /// Puts a new call at the end, or returns it if as many wait as may.
    pub(super) fn push(&mut self, call: T) -> Result<(), T> {
        if self.waiting.len() >= self.bound {
            return Err(call);
        }
        self.waiting.push_back(Ticket { call, losses: 0 });
        Ok(())
    }

    /// The next call for a worker that holds `held` others.
    pub(super) fn take(&mut self, held: usize) -> Option<(Ticket<T>, Company)> {
        if let Some(ticket) = self.again.pop_front() {
            return Some((ticket, Company::Shared));
        }
        if !self.suspects.is_empty() {
            let alone = held == 0;
            let ticket = alone.then(|| self.suspects.pop_front()).flatten()?;
            return Some((ticket, Company::Alone));
        }
        let ticket = self.waiting.pop_front()?;
        Some((ticket, Company::Shared))
    }

    /// Takes back what a lost worker held, or returns it if it was the second.
    pub(super) fn give_back(&mut self, mut ticket: Ticket<T>, is: Suspicion) -> Result<(), T> {
        ticket.losses = ticket.losses.saturating_add(1);
        match is {
            _ if ticket.losses >= MOST_LOSSES => return Err(ticket.call),
            Suspicion::Innocent => self.again.push_back(ticket),
            Suspicion::Suspect => self.suspects.push_back(ticket),
        }
        Ok(())
    }

    /// Takes out everything, because nobody will sign it.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = T> {
        let lines = [&mut self.again, &mut self.suspects, &mut self.waiting];
        let tickets: Vec<Ticket<T>> = lines.into_iter().flat_map(std::mem::take).collect();
        tickets.into_iter().map(|ticket| ticket.call)
    }

    pub(super) fn len(&self) -> usize {
        let lines = [&self.again, &self.suspects, &self.waiting];
        lines.into_iter().map(VecDeque::len).sum()
    }
}

/// Whether a call may be the reason why its worker was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// It only was there.
    Innocent,
    /// It was past the deadline, or in the token's hands when the process died.
    Suspect,
}

/// Signing is deterministic, so once more is safe; more often, one bad call could keep the HSM down
/// for long.
const MOST_LOSSES: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = Queue::new(2);
        assert_eq!(queue.push('a'), Ok(()));
        assert_eq!(queue.push('b'), Ok(()));
        assert_eq!(queue.push('c'), Err('c'));
        queue.take(0).unwrap();
        assert_eq!(queue.push('c'), Ok(()));
    }

    #[test]
    fn what_was_lost_goes_first_and_the_suspect_alone_after_it() {
        let mut queue = filled("abcd");
        let [a, b] = [taken(&mut queue), taken(&mut queue)];
        queue.give_back(a, Suspicion::Suspect).unwrap();
        queue.give_back(b, Suspicion::Innocent).unwrap();
        assert_eq!(order(&mut queue, 0), Some(('b', Company::Shared)));
        assert_eq!(order(&mut queue, 1), None, "the suspect waits for b");
        assert_eq!(order(&mut queue, 0), Some(('a', Company::Alone)));
        assert_eq!(order(&mut queue, 0), Some(('c', Company::Shared)));
        assert_eq!(order(&mut queue, 1), Some(('d', Company::Shared)));
    }

    #[test]
    fn two_losses_are_the_end_of_a_call() {
        for suspicion in [Suspicion::Innocent, Suspicion::Suspect] {
            let mut queue = filled("a");
            let first = taken(&mut queue);
            assert_eq!(queue.give_back(first, suspicion), Ok(()));
            let second = taken(&mut queue);
            assert_eq!(queue.give_back(second, suspicion), Err('a'));
        }
    }

    #[test]
    fn what_is_given_back_does_not_count_against_the_bound() {
        let mut queue = Queue::new(1);
        queue.push('a').unwrap();
        let a = taken(&mut queue);
        queue.push('b').unwrap();
        assert_eq!(queue.give_back(a, Suspicion::Innocent), Ok(()));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn clearing_finds_every_call() {
        let mut queue = filled("abc");
        let [a, b] = [taken(&mut queue), taken(&mut queue)];
        queue.give_back(a, Suspicion::Suspect).unwrap();
        queue.give_back(b, Suspicion::Innocent).unwrap();
        let mut cleared: Vec<char> = queue.clear().collect();
        cleared.sort_unstable();
        assert_eq!(cleared, ['a', 'b', 'c']);
        assert_eq!(queue.len(), 0);
    }

    fn filled(calls: &str) -> Queue<char> {
        let mut queue = Queue::new(10);
        calls.chars().for_each(|call| queue.push(call).unwrap());
        queue
    }

    fn taken(queue: &mut Queue<char>) -> Ticket<char> {
        queue.take(0).unwrap().0
    }

    fn order(queue: &mut Queue<char>, held: usize) -> Option<(char, Company)> {
        let (ticket, company) = queue.take(held)?;
        Some((ticket.call, company))
    }
}
