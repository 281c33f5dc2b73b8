//! What `mastersign-minion` can be asked for, a file each; `mastersign` has `verify` from here.

#[cfg(feature = "agent")]
pub mod check;
#[cfg(feature = "agent")]
pub mod masters;
#[cfg(feature = "agent")]
pub mod run;
pub mod verify;

#[cfg(feature = "agent")]
use anyhow::Context;

/// Runs the future on this thread, which is enough for one minion: a second thread costs more memory
/// than the rest. What is left of look-ups of names is not waited for: they run on threads of their
/// own and may hang for as long as the system's resolver does.
#[cfg(feature = "agent")]
fn alone<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

#[cfg(all(test, feature = "agent"))]
mod tests {
    use std::sync::mpsc;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "where tokio itself puts the look-ups of names"
    )]
    fn a_lookup_that_hangs_does_not_hold_up_the_end() {
        let (resolver, never) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let answer = super::alone(async {
            tokio::task::spawn_blocking(move || {
                begun.send(()).unwrap();
                never.recv()
            });
            has_begun.await.unwrap();
            7
        });
        assert_eq!(answer.unwrap(), 7);
        drop(resolver);
    }
}
