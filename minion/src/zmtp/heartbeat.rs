//! When to ask a silent peer whether it lives, and when to take it for dead (RFC 37, "Connection
//! Heartbeating").
//!
//! Any traffic is a sign of life, not only the PONG: it may be queued behind a large publication.

use std::time::{Duration, Instant};

/// How soon to ask, and how long to wait for any answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// After this long without traffic a PING is due.
    pub interval: Duration,
    /// After this long without traffic since the PING the peer counts as dead.
    pub patience: Duration,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// Send a PING, then call [`Heartbeat::asked`].
    Ask,
    /// The peer has been silent too long, for this long.
    Dead(Duration),
    /// Nothing, until this instant.
    Wait(Instant),
}

/// The state of one connection's heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    rhythm: Rhythm,
    /// The latest sign of life.
    heard: Instant,
    /// The PING that nothing has followed yet.
    asked: Option<Instant>,
    /// What the peer's last PING demanded, unless something has followed it.
    ttl: Option<Duration>,
}

impl Heartbeat {
    /// Starts with a peer that was heard at this moment.
    #[must_use]
    pub fn new(rhythm: Rhythm, now: Instant) -> Self {
        Self {
            rhythm: Rhythm {
                interval: rhythm.interval.min(LONGEST),
                patience: rhythm.patience.min(LONGEST),
            },
            heard: now,
            asked: None,
            ttl: None,
        }
    }

    /// Something arrived, if only a byte.
    pub const fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
        self.ttl = None;
    }

    /// The peer sent a PING: it wants to be given up if nothing follows within `ttl`, unless zero.
    pub fn set_ttl(&mut self, ttl: Duration) {
        self.ttl = Some(ttl).filter(|ttl| !ttl.is_zero());
    }

    /// A PING went out. A second one before any answer doesn't extend the patience.
    pub fn asked(&mut self, now: Instant) {
        self.asked.get_or_insert(now);
    }

    /// What is due now.
    #[must_use]
    pub fn pulse(&self, now: Instant) -> Pulse {
        let due = match self.asked {
            Some(asked) => asked + self.rhythm.patience,
            None => self.heard + self.rhythm.interval,
        };
        let expiry = self.ttl.map(|ttl| self.heard + ttl);
        if expiry.is_some_and(|expiry| expiry <= now) || (self.asked.is_some() && due <= now) {
            Pulse::Dead(now.saturating_duration_since(self.heard))
        } else if due <= now {
            Pulse::Ask
        } else {
            Pulse::Wait(expiry.map_or(due, |expiry| expiry.min(due)))
        }
    }
}

/// A heartbeat slower than a day is none; this keeps the sums within what an [`Instant`] can hold.
const LONGEST: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm = Rhythm {
        interval: Duration::from_secs(10),
        patience: Duration::from_secs(3),
    };

    fn start() -> (Instant, Heartbeat) {
        let start = Instant::now();
        (start, Heartbeat::new(RHYTHM, start))
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_given_up() {
        let (start, mut heartbeat) = start();
        assert_eq!(heartbeat.pulse(start), Pulse::Wait(start + seconds(10)));
        assert_eq!(heartbeat.pulse(start + seconds(10)), Pulse::Ask);
        heartbeat.asked(start + seconds(10));
        assert_eq!(
            heartbeat.pulse(start + seconds(11)),
            Pulse::Wait(start + seconds(13))
        );
        assert_eq!(
            heartbeat.pulse(start + seconds(13)),
            Pulse::Dead(seconds(13))
        );
    }

    #[test]
    fn any_traffic_answers_the_ping() {
        let (start, mut heartbeat) = start();
        heartbeat.asked(start + seconds(10));
        heartbeat.heard(start + seconds(12));
        assert_eq!(
            heartbeat.pulse(start + seconds(13)),
            Pulse::Wait(start + seconds(22))
        );
    }

    #[test]
    fn asking_again_does_not_extend_the_patience() {
        let (start, mut heartbeat) = start();
        heartbeat.asked(start);
        heartbeat.asked(start + seconds(2));
        assert_eq!(heartbeat.pulse(start + seconds(3)), Pulse::Dead(seconds(3)));
    }

    #[test]
    fn the_peers_own_time_to_live_is_kept_until_it_is_heard_again() {
        let (start, mut heartbeat) = start();
        heartbeat.set_ttl(seconds(2));
        assert_eq!(heartbeat.pulse(start), Pulse::Wait(start + seconds(2)));
        assert_eq!(heartbeat.pulse(start + seconds(2)), Pulse::Dead(seconds(2)));
        heartbeat.heard(start + seconds(1));
        assert_eq!(
            heartbeat.pulse(start + seconds(2)),
            Pulse::Wait(start + seconds(11))
        );
    }

    #[test]
    fn an_endless_rhythm_does_not_overflow() {
        let endless = Rhythm {
            interval: Duration::MAX,
            patience: Duration::MAX,
        };
        let now = Instant::now();
        let mut heartbeat = Heartbeat::new(endless, now);
        assert_eq!(heartbeat.pulse(now), Pulse::Wait(now + LONGEST));
        heartbeat.asked(now);
        assert_eq!(heartbeat.pulse(now), Pulse::Wait(now + LONGEST));
    }

    #[test]
    fn a_time_to_live_of_zero_is_none() {
        let (start, mut heartbeat) = start();
        heartbeat.set_ttl(Duration::ZERO);
        assert_eq!(heartbeat.pulse(start), Pulse::Wait(start + seconds(10)));
    }
}
