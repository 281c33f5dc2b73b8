//! The service's side of the door.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use super::frame::MOST;
use super::{Answer, ControlError, Request, SOCKET, through};
use crate::audit::Actor;
use crate::hsm::{Attempts, Pool};
use crate::store::Store;

/// What root can reach through the door.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The HSMs.
    pub pool: Pool,
    /// The latches.
    pub store: Store,
    /// The logins of unknown outcome.
    pub attempts: Attempts,
}

/// The open door; it is shut when it is dropped.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    directory: File,
    path: PathBuf,
    parts: Parts,
}

impl Door {
    /// Opens the door in the state directory, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails if another process listens there, or if the system does not let us.
    pub fn open(state_dir: &Path, parts: Parts) -> Result<Self, ControlError> {
        let path = state_dir.join(SOCKET);
        let failed = |source| ControlError::Socket {
            path: path.clone(),
            source,
        };
        let directory = File::open(state_dir).map_err(failed)?;
        let through = through(&directory);
        // What a killed service left behind answers nobody; whoever answers is not dead.
        if StdUnixStream::connect(&through).is_ok() {
            return Err(ControlError::InUse { path });
        }
        match fs::remove_file(&through) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&through).map_err(failed)?;
        fs::set_permissions(&through, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self {
            listener,
            directory,
            path,
            parts,
        })
    }

    /// Lets callers in until it is told to stop; whoever is inside then is left without an answer.
    pub async fn run(self, stop: CancellationToken) {
        let seats = Arc::new(Semaphore::new(SEATS));
        let visits = TaskTracker::new();
        let letting_in = async {
            loop {
                // It is never closed, so there is always a next seat.
                let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
                    break;
                };
                let stream = match self.listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, socket = %self.path.display(), "nobody can be let in");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
                let visit = visit(stream, self.parts.clone());
                let visit = stop.clone().run_until_cancelled_owned(visit);
                visits.spawn(async move {
                    visit.await;
                    drop(seat);
                });
            }
        };
        stop.run_until_cancelled(letting_in).await;
        visits.close();
        visits.wait().await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // The next start takes away what stays.
        let _ = fs::remove_file(through(&self.directory));
    }
}

async fn visit(mut stream: UnixStream, parts: Parts) {
    let answer = match admitted(&stream) {
        Ok(user) => match tokio::time::timeout(PATIENCE, request(&mut stream)).await {
            Ok(Ok(request)) => serve(request, user, &parts).await,
            Ok(Err(why)) => Answer::Refused { why },
            Err(_) => refused("the request did not come in time"),
        },
        Err(why) => Answer::Refused { why },
    };
    let Ok(answer) = serde_json::to_vec(&answer) else {
        return;
    };
    // The caller may have gone.
    if stream.write_all(&answer).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

/// The caller's user id, if it may come in.
fn admitted(stream: &UnixStream) -> Result<u32, String> {
    let peer = stream
        .peer_cred()
        .map_err(|error| format!("the kernel does not say who calls: {error}"))?;
    let user = peer.uid();
    if may_enter(user, nix::unistd::geteuid().as_raw()) {
        Ok(user)
    } else {
        tracing::warn!(
            user,
            pid = peer.pid(),
            "a stranger at the control socket was refused"
        );
        Err(format!("this is for root, not for user {user}"))
    }
}

/// Root, and whoever we are ourselves.
const fn may_enter(user: u32, ourselves: u32) -> bool {
    user == 0 || user == ourselves
}

async fn request(stream: &mut UnixStream) -> Result<Request, String> {
    let mut bytes = Zeroizing::new(vec![0; MOST.saturating_add(1)]);
    let mut length = 0_usize;
    while let Some(space) = bytes.get_mut(length..).filter(|space| !space.is_empty()) {
        match stream.read(space).await {
            Ok(0) => break,
            Ok(count) => length = length.saturating_add(count),
            Err(error) => return Err(error.to_string()),
        }
    }
    let bytes = bytes.get(..length).unwrap_or_default();
    Request::from_bytes(bytes).map_err(|error| error.to_string())
}

async fn serve(request: Request, user: u32, parts: &Parts) -> Answer {
    match request {
        Request::Unlatch { serial } => unlatch(serial.as_deref(), user, parts).await,
        Request::Unlock { hsm, pin, force } => {
            tracing::info!(user, hsm, force, "a PIN was handed over");
            match parts.pool.unlock(hsm.as_deref(), pin, force).await {
                Ok(status) => status.into(),
                Err(error) => refused(error),
            }
        }
    }
}

async fn unlatch(serial: Option<&str>, user: u32, parts: &Parts) -> Answer {
    let actor = Actor::local(user);
    let latches_lifted = match parts.store.unlatch_all(serial, &actor).await {
        Ok(lifted) => lifted,
        Err(error) => return refused(error),
    };
    let logins_forgotten = match parts.attempts.forget() {
        Ok(forgotten) => forgotten,
        Err(error) => {
            return refused(format_args!(
                "{latches_lifted} latches were lifted, but logins of unknown outcome are not \
                 forgotten: {error}"
            ));
        }
    };
    tracing::info!(
        user,
        latches_lifted,
        logins_forgotten,
        "latches were lifted"
    );
    parts.pool.present_again();
    Answer::Unlatched {
        latches_lifted,
        logins_forgotten,
    }
}

fn refused(why: impl std::fmt::Display) -> Answer {
    Answer::Refused {
        why: why.to_string(),
    }
}

/// One at work, one that looks, and some that wait for a token that hangs.
const SEATS: usize = 8;
/// A caller sends its request as soon as it is in.
const PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_service_itself_may_enter() {
        assert!(may_enter(0, 450));
        assert!(may_enter(450, 450));
        assert!(!may_enter(1000, 450));
        assert!(!may_enter(1000, 0));
        assert!(!may_enter(65534, 450), "whom the kernel cannot name");
    }
}
