//! The panic of a task, for whoever must hear of it.
//!
//! The runtime keeps a panic to the task that it ends. A task whose end somebody waits for would then
//! be as good as one that hangs: a feed that is gone hears no job, and nobody knows.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Awaits the future; none if it panics. The panic itself was told on standard error.
///
/// What the future has borrowed may be half changed then, so the caller only says that it ends.
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let step = |context: &mut std::task::Context<'_>| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    };
    poll_fn(step).await
}
