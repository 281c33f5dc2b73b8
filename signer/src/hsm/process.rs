//! A worker process, as the service holds it.
//!
//! One end of a socket pair is the worker's standard input, so it needs no path, no address and no
//! `unsafe`, and the worker sees the end of the service as the end of its input. Dropping a
//! [`Process`] kills the worker.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use zeroize::{Zeroize, Zeroizing};

use super::protocol::{Decoder, FrameError, Malformed, Order, Report};
use super::{Context, protocol};

/// A running worker and the socket to it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    decoder: Decoder,
    /// Frames that are not sent yet, from `sent` on.
    ///
    /// Wiped however the process ends: the login may be among them.
    out: Zeroizing<Vec<u8>>,
    sent: usize,
}

impl Process {
    /// Starts a worker for one configured HSM, with an environment of its own.
    pub(super) fn start(hsm: &hsm_config::Hsm, context: &Context) -> Result<Self, Failure> {
        let failed = |source| Failure::Start {
            program: context.executable.clone(),
            source,
        };
        let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let inherited = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(|name| INHERITED.contains(&name)));
        let child = Command::new(&context.executable)
            .arg("hsm-worker")
            .arg("--config")
            .arg(&context.config)
            .arg("--hsm")
            .arg(hsm.name.as_str())
            .env_clear()
            .envs(inherited)
            .envs(&hsm.module.environment)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            child,
            socket: UnixStream::from_std(ours).map_err(failed)?,
            decoder: Decoder::default(),
            out: Zeroizing::new(Vec::with_capacity(BUFFER)),
            sent: 0,
        })
    }

    /// Its process id, while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Appends a frame to what is to be sent.
    pub(super) fn queue(&mut self, id: u32, order: &Order<'_>) -> Result<(), FrameError> {
        order.append(id, &mut self.out)
    }

    /// Sends the order and overwrites the bytes that held it.
    pub(super) async fn send_secret(&mut self, order: &Order<'_>) -> Result<(), Failure> {
        // A buffer that grew would leave copies behind.
        self.out = Zeroizing::new(Vec::with_capacity(BUFFER));
        self.queue(0, order)?;
        while !self.flush()? {
            self.socket.writable().await.map_err(Failure::Socket)?;
        }
        self.out.zeroize();
        self.out.reserve(BUFFER);
        Ok(())
    }

    /// Sends what the socket takes; returns whether that was all.
    pub(super) fn flush(&mut self) -> Result<bool, Failure> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.try_write(rest) {
                Ok(count) => self.sent = self.sent.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(Failure::Socket(error)),
            }
        }
        if self.sent > 0 {
            self.out.clear();
            self.sent = 0;
        }
        Ok(true)
    }

    /// Waits until something was read, or until what is backed up can be sent; says whether there
    /// may be reports.
    ///
    /// Nothing is lost if the future is dropped.
    pub(super) async fn stirs(&mut self) -> Result<bool, Failure> {
        if self.sent < self.out.len() {
            let either = Interest::READABLE | Interest::WRITABLE;
            self.socket.ready(either).await.map_err(Failure::Socket)?;
            self.flush()?;
            return match self.socket.try_read(self.decoder.space()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                read => self.took(read),
            };
        }
        let read = self.socket.read(self.decoder.space()).await;
        self.took(read)
    }

    fn took(&mut self, read: io::Result<usize>) -> Result<bool, Failure> {
        match read {
            Ok(0) => Err(Failure::Ended),
            Ok(count) => {
                self.decoder.filled(count);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Failure::Ended),
            Err(error) => Err(Failure::Socket(error)),
        }
    }

    /// The next report among what was read.
    pub(super) fn report(&mut self) -> Result<Option<(u32, Report)>, Failure> {
        let Some(frame) = self.decoder.next()? else {
            return Ok(None);
        };
        Ok(Some((frame.id, Report::parse(frame.body)?)))
    }

    /// Waits for the next report.
    pub(super) async fn next_report(&mut self) -> Result<Report, Failure> {
        loop {
            if let Some((_, report)) = self.report()? {
                return Ok(report);
            }
            self.stirs().await?;
        }
    }

    /// Kills the worker and says how it ended.
    pub(super) async fn end(mut self) -> String {
        let exited = self.child.try_wait().ok().flatten();
        if exited.is_none() {
            // If it ended in this moment, the wait tells how.
            let _ = self.child.start_kill();
        }
        match tokio::time::timeout(LAST_WAIT, self.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it cannot be killed: it hangs in the kernel".to_owned(),
        }
    }
}

/// Why a worker is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The process closed its end, most likely by ending.
    #[error("the worker process ended")]
    Ended,
    /// It announced or was to be sent a frame that is too long.
    #[error("the worker broke the protocol")]
    Frame(#[from] FrameError),
    /// It sent something else than a report.
    #[error("the worker broke the protocol")]
    Malformed(#[from] Malformed),
    /// The socket failed.
    #[error("the socket to the worker failed")]
    Socket(#[source] io::Error),
    /// The process did not start.
    #[error("failed to start the worker process {program}")]
    Start {
        /// What was started.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What a worker inherits; a PIN in the environment of the service must not be among it, nor what
/// puts other code into it.
pub(crate) const INHERITED: &[&str] = &[
    "HOME",
    "LANG",
    "LC_ALL",
    "MASTERSIGN_LOG",
    "PATH",
    "TMPDIR",
    "TZ",
    "USER",
];
/// Some calls at once; it grows if the worker does not keep up.
const BUFFER: usize = 4 * protocol::MAX_BODY;
/// A killed process ends at once unless the kernel holds it.
const LAST_WAIT: Duration = Duration::from_secs(2);
