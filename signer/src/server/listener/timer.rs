//! The time that a header may take, with one timer for all requests of a connection.
//!
//! hyper sets a timer for each request and drops it when the header is there, which is nearly
//! always at once. Setting and dropping one goes through a lock that all connections share. Here
//! the timer that was set stays; when it goes off, it is set anew if there is time left, and so
//! once in a header's time instead of once in a request.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// The timer of one connection.
#[derive(Debug, Default)]
pub(super) struct HeaderTimer {
    shared: Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>,
}

impl Timer for HeaderTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let now = Instant::now();
        self.sleep_until(now.checked_add(duration).unwrap_or(now))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Deadline {
            at: deadline.into(),
            shared: Arc::clone(&self.shared),
        })
    }
}

/// One wait until a point in time.
struct Deadline {
    at: tokio::time::Instant,
    shared: Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>,
}

impl Sleep for Deadline {}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = shared.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.at)));
        if timer.deadline() > self.at {
            timer.as_mut().reset(self.at);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= self.at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.at);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// As hyper does it when a header is not there at once, and then is.
    async fn begin(timer: &HeaderTimer, wait: Duration) {
        let mut sleep = timer.sleep(wait);
        poll_fn(|context| {
            assert!(sleep.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_deadline_is_kept_whatever_was_waited_for_before() {
        let timer = HeaderTimer::default();
        let (short, long) = (Duration::from_millis(20), Duration::from_millis(60));
        let hours = Duration::from_secs(10_000);
        begin(&timer, hours).await;
        for wait in [short, long, short] {
            let start = Instant::now();
            timer.sleep(wait).await;
            assert!(start.elapsed() >= wait);
        }
        begin(&timer, short).await;
        let start = Instant::now();
        timer.sleep(long).await;
        assert!(start.elapsed() >= long, "it went off for the one before");
        begin(&timer, hours).await;
    }
}
