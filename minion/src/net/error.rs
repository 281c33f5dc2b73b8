//! How a connection ends, for whoever decides what to do next.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::zmtp;

/// Why a connection could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer closed the connection: it ends, or it has given us up.
    #[error("the peer closed the connection")]
    Closed,
    /// No connection: refused, unreachable, or the source address is not ours.
    #[error("failed to connect to {target}")]
    Connect {
        /// The peer.
        target: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Something was not there by its deadline.
    #[error("{stage} took longer than {within:?}")]
    Late {
        /// What was waited for.
        stage: Stage,
        /// How long.
        within: Duration,
    },
    /// The peer broke the protocol, or refused us.
    #[error("the connection is not usable")]
    Protocol(#[from] zmtp::Error),
    /// Nothing came, not even an answer to our PING: the peer is stopped or cut off.
    #[error("the peer has been silent for {0:?}")]
    Silent(Duration),
    /// The established connection broke.
    #[error("the connection broke")]
    Transfer {
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same peer may answer the next attempt.
    ///
    /// Not after a fault of the protocol: RFC 37, "Error Handling", forbids to come back unchanged
    /// after an ERROR, and what is no ZeroMQ port will be none in a second.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Protocol(_))
    }
}

/// What a deadline was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the first packet to the peer's READY.
    Connect,
    /// From our PING to any sign of life.
    Probe,
    /// From the request to its reply.
    Reply,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "the connection",
            Self::Probe => "a sign of life",
            Self::Reply => "the reply",
        })
    }
}
