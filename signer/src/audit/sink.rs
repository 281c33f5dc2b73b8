//! Telling the machine's own log where the audit chain ends.
//!
//! The chain has no key, so only a head that is kept away from the database tells a chain that was
//! rewritten. The log on standard error has every head too, but whoever runs the service chooses its
//! filter and where it goes. The journal and syslog are what a site forwards to another machine
//! anyway, and both take the sender's user and process id from the kernel.
//!
//! Telling never holds up a commit: heads wait in a bounded queue, and one that is missed is counted
//! and said. Each head vouches for all before it, so after an outage the newest one is enough.
//!
//! Both formats are some fields of digits and hexadecimal in one datagram. The crates for them open
//! the system's socket only, which no test can listen on (`libsystemd`, `tracing-journald`), or
//! stamp local time as UTC in a process with threads (`syslog`).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::chain::Head;

/// Where heads are told, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sink {
    /// The journal if the machine has one, else syslog if there is one, else nowhere but the log.
    #[default]
    Auto,
    /// systemd's journal, by this socket.
    Journal(PathBuf),
    /// Nowhere but the log.
    Log,
    /// A syslog daemon, by this socket.
    Syslog(PathBuf),
}

impl Sink {
    /// Reads `auto`, `log`, `journal`, `syslog`, or one of the latter two with a colon and an
    /// absolute path.
    ///
    /// # Errors
    ///
    /// Fails for anything else.
    pub fn parse(text: &str) -> Result<Self, UnknownSink> {
        let (name, path) = match text.split_once(':') {
            Some((name, path)) if path.starts_with('/') => (name, Some(PathBuf::from(path))),
            Some(_) => return Err(UnknownSink),
            None => (text, None),
        };
        match (name, path) {
            ("auto", None) => Ok(Self::Auto),
            ("log", None) => Ok(Self::Log),
            ("journal", path) => Ok(Self::Journal(path.unwrap_or_else(|| JOURNAL.into()))),
            ("syslog", path) => Ok(Self::Syslog(path.unwrap_or_else(|| SYSLOG.into()))),
            _ => Err(UnknownSink),
        }
    }

    /// What `auto` means on this machine at this moment.
    fn resolved(&self) -> Self {
        match self {
            Self::Auto if Path::new(JOURNAL).exists() => Self::Journal(JOURNAL.into()),
            Self::Auto if Path::new(SYSLOG).exists() => Self::Syslog(SYSLOG.into()),
            Self::Auto => Self::Log,
            Self::Journal(_) | Self::Log | Self::Syslog(_) => self.clone(),
        }
    }
}

/// A text that names no sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sink of audit heads is `auto`, `journal`, `syslog` or `log`; `journal:/path` and \
     `syslog:/path` name another socket"
)]
pub struct UnknownSink;

/// Tells heads until it is [finished](Self::finish).
#[derive(Debug)]
pub struct Follower {
    stop: CancellationToken,
    task: JoinHandle<()>,
    problem: watch::Receiver<Option<String>>,
}

impl Follower {
    /// Begins with the head that was found, on the current tokio runtime.
    #[must_use]
    pub fn start(
        sink: Sink,
        store: Uuid,
        found: Option<Head>,
        heads: broadcast::Receiver<Head>,
    ) -> Self {
        Self::at_pace(PACE, sink, store, found, heads)
    }

    fn at_pace(
        pace: Pace,
        sink: Sink,
        store: Uuid,
        found: Option<Head>,
        heads: broadcast::Receiver<Head>,
    ) -> Self {
        let (told, problem) = watch::channel(None);
        let stop = CancellationToken::new();
        let teller = Teller {
            sink,
            store,
            pace,
            line: None,
            owed: None,
            problem: told,
        };
        Self {
            task: tokio::spawn(teller.run(found, heads, stop.clone())),
            stop,
            problem,
        }
    }

    /// What keeps heads from being told, if something does.
    #[must_use]
    pub fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.clone()
    }

    /// Tells the heads that are there already, ends, and says what kept it from doing so.
    pub async fn finish(self) -> Option<String> {
        self.stop.cancel();
        // It ends by a panic only, which its runtime has reported.
        let _ = self.task.await;
        self.problem.borrow().clone()
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Until what could not be told is tried again: soon enough for an operator who repairs it,
    /// seldom enough for a log that is gone for good.
    again: Duration,
    /// A daemon that is alive reads within microseconds.
    patience: Duration,
}

/// How a head came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// A transaction was committed.
    Committed,
    /// The store was opened.
    Found,
}

impl Moment {
    const fn message(self) -> &'static str {
        match self {
            Self::Committed => "audit head",
            Self::Found => "audit head found",
        }
    }
}

/// The task behind a [`Follower`].
struct Teller {
    sink: Sink,
    store: Uuid,
    pace: Pace,
    /// The open socket, and what is spoken on it.
    line: Option<(UnixDatagram, Sink)>,
    /// The newest head that could not be told.
    owed: Option<(Head, Moment)>,
    problem: watch::Sender<Option<String>>,
}

impl Teller {
    async fn run(
        mut self,
        found: Option<Head>,
        mut heads: broadcast::Receiver<Head>,
        stop: CancellationToken,
    ) {
        if let Some(head) = found {
            self.tell(head, Moment::Found).await;
        }
        loop {
            let (head, moment) = tokio::select! {
                biased;
                head = heads.recv() => match head {
                    Ok(head) => (head, Moment::Committed),
                    Err(RecvError::Lagged(heads)) => {
                        count("missed", heads);
                        continue;
                    }
                    Err(RecvError::Closed) => return,
                },
                owed = later(self.owed, self.pace.again) => owed,
                // After what is there already.
                () = stop.cancelled() => return,
            };
            self.tell(head, moment).await;
            if stop.is_cancelled() && self.owed.is_some() {
                return;
            }
        }
    }

    async fn tell(&mut self, head: Head, moment: Moment) {
        match self.send(head, moment).await {
            Ok(()) => {
                self.owed = None;
                if self.problem.send_replace(None).is_some() {
                    tracing::info!("audit heads are told again");
                }
            }
            Err(error) => {
                self.line = None;
                self.owed = Some((head, moment));
                count("failed", 1);
                let problem = format!(
                    "the heads of the audit chain do not reach {}: {error}; the service's own log \
                     has them (target `audit`)",
                    Told(&self.sink.resolved())
                );
                if self.problem.borrow().as_ref() != Some(&problem) {
                    self.problem.send_replace(Some(problem.clone()));
                    tracing::warn!("{problem}");
                }
            }
        }
    }

    /// Sends one datagram, over a new socket if the one that was open fails: a log daemon that is
    /// restarted makes another one.
    async fn send(&mut self, head: Head, moment: Moment) -> io::Result<()> {
        if let Some((socket, sink)) = &self.line {
            let datagram = datagram(sink, self.store, head, moment);
            if bounded(self.pace, socket.send(&datagram)).await.is_ok() {
                count("told", 1);
                return Ok(());
            }
        }
        let sink = self.sink.resolved();
        let (Sink::Journal(path) | Sink::Syslog(path)) = &sink else {
            return Ok(());
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        let datagram = datagram(&sink, self.store, head, moment);
        bounded(self.pace, socket.send(&datagram)).await?;
        self.line = Some((socket, sink));
        count("told", 1);
        Ok(())
    }
}

/// A while, and then what is owed; never, if nothing is.
async fn later(owed: Option<(Head, Moment)>, again: Duration) -> (Head, Moment) {
    match owed {
        Some(owed) => {
            tokio::time::sleep(again).await;
            owed
        }
        None => std::future::pending().await,
    }
}

/// A daemon that stands still takes no datagrams once its queue is full.
async fn bounded(pace: Pace, send: impl Future<Output = io::Result<usize>>) -> io::Result<()> {
    match tokio::time::timeout(pace.patience, send).await {
        Ok(sent) => sent.map(drop),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "it takes nothing more",
        )),
    }
}

fn count(result: &'static str, heads: u64) {
    metrics::counter!("mastersign_audit_heads_total", "result" => result).increment(heads);
}

/// One message to a sink that has a socket.
fn datagram(sink: &Sink, store: Uuid, head: Head, moment: Moment) -> Vec<u8> {
    let Head { seq, hash } = head;
    let message = format!("{} seq={seq} hash={hash} store={store}", moment.message());
    let text = match sink {
        // Every value is one line, so the short form of the protocol does
        // (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
        Sink::Journal(_) => format!(
            "MESSAGE={message}\nPRIORITY={NOTICE}\nSYSLOG_FACILITY={AUTHPRIV}\n\
             SYSLOG_IDENTIFIER={NAME}\nMESSAGE_ID={MESSAGE_ID}\nMASTERSIGN_AUDIT_SEQ={seq}\n\
             MASTERSIGN_AUDIT_HASH={hash}\nMASTERSIGN_STORE={store}\n"
        ),
        // As syslog(3) writes it, without the time: a daemon stamps what has none when it comes
        // (RFC 3164, 4.3.2), and a local one knows our host.
        Sink::Auto | Sink::Log | Sink::Syslog(_) => {
            format!("<{PRIORITY}>{NAME}[{}]: {message}", std::process::id())
        }
    };
    text.into_bytes()
}

/// A sink by its name and place.
struct Told<'a>(&'a Sink);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Sink::Auto | Sink::Log => f.write_str("the log"),
            Sink::Journal(path) => write!(f, "the journal at {}", path.display()),
            Sink::Syslog(path) => write!(f, "syslog at {}", path.display()),
        }
    }
}

/// Who decided over keys is for those who may read about logins.
const AUTHPRIV: u8 = 10;
const JOURNAL: &str = "/run/systemd/journal/socket";
/// For `journalctl MESSAGE_ID=…`, the same in every version.
const MESSAGE_ID: &str = "4d4d58b9a7124543aee2086aef0d704b";
const NAME: &str = "mastersign";
/// Normal, and worth keeping.
const NOTICE: u8 = 5;
const PACE: Pace = Pace {
    again: Duration::from_secs(5),
    patience: Duration::from_secs(1),
};
/// RFC 3164, 4.1.1: facility times eight, and severity.
const PRIORITY: u8 = AUTHPRIV * 8 + NOTICE;
const SYSLOG: &str = "/dev/log";

#[cfg(test)]
mod tests;
