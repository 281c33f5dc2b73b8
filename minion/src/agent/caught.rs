//! The panic of a task, for whoever must hear of it.
//!
//! The runtime keeps a panic to the task that it ends. A task whose end somebody waits for would then
//! be as good as one that hangs: a feed that is gone hears no job, and nobody knows.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// Awaits the future; none if it panics. The panic itself was told on standard error.
///
/// What the future has borrowed may be half changed then, so the caller only says that it ends.
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(future).catch_unwind().await.ok()
}
