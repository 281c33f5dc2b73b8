//! What a supervisor is told (systemd's `sd_notify(3)`): a datagram with lines of `NAME=value`.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::agent::{MasterState, Status};

/// The supervisor, if there is one that listens.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Finds the supervisor by the environment that it gave us.
    pub(super) fn connect() -> io::Result<Self> {
        let address = variable("NOTIFY_SOCKET");
        let socket = address.map(|name| dial(name.as_bytes())).transpose()?;
        let period = variable("WATCHDOG_USEC").and_then(|text| text.to_str()?.parse().ok());
        let ours = variable("WATCHDOG_PID")
            .is_none_or(|pid| pid.to_str() == Some(std::process::id().to_string().as_str()));
        Ok(Self {
            socket,
            watchdog: period
                .filter(|micros| ours && *micros > 0)
                .map(Duration::from_micros),
        })
    }

    /// The minion works, if perhaps without a master: waiting for one is its work too, and a unit
    /// that is not ready would be started over and over while every master is down.
    pub(super) fn ready(&self) {
        self.send("READY=1\nSTATUS=Looking for a master");
    }

    /// The minion ends.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=Stopping");
    }

    /// One line about the masters.
    pub(super) fn status(&self, status: &Status) {
        let current: Vec<&str> = status.current().map(|one| one.name.as_str()).collect();
        let pending = status
            .masters
            .iter()
            .any(|one| one.state == MasterState::Pending);
        let text = if !current.is_empty() {
            format!("Connected to {}", current.join(", "))
        } else if pending {
            "Waiting for an operator to accept the key".to_owned()
        } else {
            "Looking for a master".to_owned()
        };
        self.send(&format!("STATUS={text}"));
    }

    /// Says that we live, twice as often as we must; for ever.
    pub(super) async fn keep_watchdog_quiet(&self) {
        let period = self.watchdog.filter(|_| self.socket.is_some());
        let Some(period) = period.and_then(|period| period.checked_div(2)) else {
            return std::future::pending().await;
        };
        let mut ticks = interval(period.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.socket.is_some() {
            ticks.tick().await;
            self.send("WATCHDOG=1");
        }
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::debug!("the supervisor was not told {text:?}: {error}");
        }
    }
}

/// A name that begins with @ is in Linux's abstract name space.
fn dial(name: &[u8]) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A supervisor that does not read must not stop a minion.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
