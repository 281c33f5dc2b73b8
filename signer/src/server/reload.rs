//! Taking over new certificates, authorities and revocation lists while the service runs.
//!
//! By itself within seconds of a file's change, and at once on SIGHUP. A tool that renews
//! certificates then needs no right to signal the service, and nobody forgets to.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::telemetry::Chain;
use crate::tls::{Live, Look};

/// Looks at the files until it is stopped.
pub(super) async fn follow(live: Arc<Live>, stop: CancellationToken) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, "certificates are not reloaded: no signals");
            return;
        }
    };
    loop {
        let look = tokio::select! {
            () = stop.cancelled() => return,
            told = hangup.recv() => match told {
                Some(()) => Look::Always,
                None => return,
            },
            () = tokio::time::sleep(PAUSE) => Look::IfChanged,
        };
        // Some small files on a local disk; the service reads them at start just so.
        match live.reload(SystemClock.now(), look) {
            Ok(true) => {
                tracing::info!(certificate_not_after = %live.not_after(), "certificates reloaded");
                match live.problem() {
                    Some(problem) => tracing::warn!(problem, "certificates reloaded"),
                    None => continue,
                }
            }
            Ok(false) => continue,
            Err(error) => {
                tracing::error!(error = %Chain(&error), "new certificates are not taken over");
            }
        }
    }
}

/// A revocation counts within this time even if nobody sends a signal.
const PAUSE: Duration = Duration::from_secs(2);
