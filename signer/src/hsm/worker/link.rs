//! The worker's end of the socket, for writing.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use nix::sys::socket::{AddressFamily, SockaddrLike, UnixAddr, getsockname};

use super::super::protocol::{Cause, Report};

/// Where every thread of the worker sends its reports.
#[derive(Debug)]
pub(super) struct Link(Mutex<UnixStream>);

impl Link {
    pub(super) const fn new(socket: UnixStream) -> Self {
        Self(Mutex::new(socket))
    }

    /// Sends one report; if the service is gone, so will be the process.
    pub(super) fn report(&self, id: u32, report: &Report) {
        let mut frame = Vec::with_capacity(USUAL);
        if report.append(id, &mut frame).is_err() {
            frame.clear();
            let reason = "the worker's answer is longer than a frame".to_owned();
            // A text of this length always fits.
            let _ = Report::Rejected { reason }.append(id, &mut frame);
        }
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = socket.write_all(&frame);
    }

    /// Sends the last report. The thread that reads sees the end then, and ends the process.
    pub(super) fn end(&self, cause: Cause, detail: &str) {
        let detail = detail.chars().take(LONGEST_DETAIL).collect();
        self.report(0, &Report::Ending { cause, detail });
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// Standard input as the socket that it has to be.
pub(super) fn stdin_socket() -> io::Result<UnixStream> {
    let owned = io::stdin().as_fd().try_clone_to_owned()?;
    let socket = UnixStream::from(owned);
    let address: UnixAddr = getsockname(std::os::fd::AsRawFd::as_raw_fd(&socket))?;
    if address.family() == Some(AddressFamily::Unix) {
        Ok(socket)
    } else {
        Err(io::Error::other("standard input is no socket"))
    }
}

/// A signature by the longest key in use, and its header.
const USUAL: usize = 1024;
/// Enough for a listing of a token's keys.
const LONGEST_DETAIL: usize = 2000;
