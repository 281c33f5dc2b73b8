//! How hard one token may be driven.
//!
//! Every value has a bound, because a wrong unit here is an outage later: a deadline of an hour
//! keeps callers waiting behind a dead HSM, a queue without end promises what nobody will wait for.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Sessions, queue and deadlines of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Signing sessions in the worker; none lets the worker choose by cores and by the token's
    /// limit.
    pub sessions: Option<NonZeroUsize>,
    /// Requests that may wait; the next one is answered 503 at once.
    pub queue: usize,
    /// From taking a request to its signature; a worker that is later than this is replaced.
    pub sign_deadline: Duration,
    /// From starting a worker to its first trial signature.
    pub start_deadline: Duration,
}

impl Pool {
    /// Reads the four keys; a missing one has its default.
    pub(crate) fn read(
        sessions: Option<usize>,
        queue: Option<usize>,
        sign_deadline: Option<&str>,
        start_deadline: Option<&str>,
    ) -> Result<Self, (&'static str, PoolError)> {
        let sessions = match sessions {
            None => None,
            Some(count) => Some(
                NonZeroUsize::new(count)
                    .filter(|count| count.get() <= MAX_SESSIONS)
                    .ok_or(("sessions", PoolError::Sessions))?,
            ),
        };
        let queue = queue.unwrap_or(DEFAULT_QUEUE);
        if !(1..=MAX_QUEUE).contains(&queue) {
            return Err(("queue", PoolError::Queue));
        }
        let sign_deadline = duration(sign_deadline.unwrap_or("5s"), SIGN_DEADLINES)
            .map_err(|error| ("sign_deadline", error))?;
        let start_deadline = duration(start_deadline.unwrap_or("30s"), START_DEADLINES)
            .map_err(|error| ("start_deadline", error))?;
        Ok(Self {
            sessions,
            queue,
            sign_deadline,
            start_deadline,
        })
    }
}

/// Reads `"250ms"` and checks it against both bounds.
pub(crate) fn duration(
    text: &str,
    (shortest, longest): (Duration, Duration),
) -> Result<Duration, PoolError> {
    let value = humantime::parse_duration(text).map_err(|_| PoolError::Duration)?;
    if (shortest..=longest).contains(&value) {
        Ok(value)
    } else {
        Err(PoolError::OutOfBounds { shortest, longest })
    }
}

/// Why a size or a deadline is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// A text that is no duration.
    #[error("a duration has a number and a unit, like \"250ms\", \"5s\" or \"1m\"")]
    Duration,
    /// A duration outside its bounds.
    #[error(
        "the duration must lie between {} and {}",
        humantime::format_duration(*.shortest), humantime::format_duration(*.longest)
    )]
    OutOfBounds {
        /// The shortest that is accepted.
        shortest: Duration,
        /// The longest that is accepted.
        longest: Duration,
    },
    /// A queue of no length, or of one that nobody waits for.
    #[error("the queue must hold between 1 and {MAX_QUEUE} requests")]
    Queue,
    /// No session, or more than a worker has threads for.
    #[error(
        "there must be between 1 and {MAX_SESSIONS} sessions; leave the key out to let the worker \
         choose"
    )]
    Sessions,
    /// More sessions than the provider has.
    #[error("the profile allows {limit} sessions, and one is kept for the login")]
    SessionsOverProfile {
        /// What the profile says.
        limit: usize,
    },
}

/// A burst of one request by every master of a large installation; at 100 signatures a second the
/// last of them waits for less than a sign deadline.
const DEFAULT_QUEUE: usize = 256;
const MAX_QUEUE: usize = 65_536;
/// One thread each in the worker.
const MAX_SESSIONS: usize = 256;
const SIGN_DEADLINES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(120));
const START_DEADLINES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_lie_within_the_bounds() {
        let pool = Pool::read(None, None, None, None).unwrap();
        assert_eq!(pool.sessions, None);
        assert_eq!(pool.queue, 256);
        assert_eq!(pool.sign_deadline, Duration::from_secs(5));
        assert_eq!(pool.start_deadline, Duration::from_secs(30));
    }

    #[test]
    fn each_bound_is_checked_and_the_key_is_named() {
        let refused = [
            (Pool::read(Some(0), None, None, None), "sessions"),
            (Pool::read(Some(257), None, None, None), "sessions"),
            (Pool::read(None, Some(0), None, None), "queue"),
            (Pool::read(None, Some(65_537), None, None), "queue"),
            (Pool::read(None, None, Some("99ms"), None), "sign_deadline"),
            (Pool::read(None, None, Some("1h"), None), "sign_deadline"),
            (Pool::read(None, None, Some("5"), None), "sign_deadline"),
            (Pool::read(None, None, None, Some("0s")), "start_deadline"),
            (Pool::read(None, None, None, Some("11m")), "start_deadline"),
        ];
        for (result, key) in refused {
            assert_eq!(result.map_err(|(key, _)| key), Err(key));
        }
    }
}
