//! What ends a ZMTP connection.
//!
//! Every fault is fatal: the stream has no point at which to start anew, so a peer that broke one
//! rule can't be believed about where the next frame begins. None of them is worth a retry at once;
//! [`Error::OutOfTurn`] is the caller's own.

use super::{COMMAND_LIMIT, FRAMES_LIMIT, MESSAGE_LIMIT};

/// Why a connection can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer sent a command longer than [`COMMAND_LIMIT`].
    #[error("the peer sent a command of {0} bytes; the limit is {COMMAND_LIMIT}")]
    CommandTooLong(u64),
    /// The peer set a flag that ZMTP reserves, or marked a command as one of several frames.
    #[error("the peer sent a frame with the flags {0:#04x}")]
    Flags(u8),
    /// A command doesn't follow its grammar.
    #[error("the peer sent a malformed {0} command")]
    MalformedCommand(&'static str),
    /// The peer demands a mechanism that Salt doesn't use, such as CURVE.
    #[error("the peer demands the mechanism {0:?}; Salt uses NULL")]
    Mechanism(String),
    /// The peer sent a message before its READY.
    #[error("the peer sent a message before the handshake was over")]
    MessageInHandshake,
    /// The peer sent a message longer than [`MESSAGE_LIMIT`].
    #[error("the peer sent a message of at least {0} bytes; the limit is {MESSAGE_LIMIT}")]
    MessageTooLong(u64),
    /// A reply doesn't start with the empty frame that delimits the envelope (RFC 28).
    #[error("the peer sent a reply without its delimiter")]
    NoDelimiter,
    /// The peer speaks something else, or ZMTP 1.0.
    #[error("the peer doesn't speak ZMTP 2 or later")]
    NotZmtp,
    /// The caller sent something that this socket can't send, or not yet.
    #[error("the socket can't send that in its present state")]
    OutOfTurn,
    /// The peer sends PING after PING and doesn't read the answers.
    #[error("the peer sends PINGs and doesn't read the answers")]
    PingFlood,
    /// The peer said no, in these words; their meaning is its own.
    #[error("the peer refused the connection: {0}")]
    Refused(String),
    /// The peer's socket doesn't fit ours: perhaps the two ports are exchanged.
    #[error("the peer is a {0:?} socket, which can't serve this one")]
    SocketType(String),
    /// The peer sent more frames in a message than Salt does.
    #[error("the peer sent a message of more than {FRAMES_LIMIT} frames")]
    TooManyFrames,
    /// The peer sent a reply that nobody asked for.
    #[error("the peer sent a reply without a request")]
    UnaskedReply,
    /// The peer sent a command out of its place.
    #[error("the peer sent the command {0:?} out of its place")]
    UnexpectedCommand(String),
    /// The peer speaks an older major version.
    #[error("the peer speaks ZMTP {0}; this needs 3")]
    Version(u8),
}

/// A peer's bytes as text for a log line: printable ASCII, the rest as `?`, at most 255.
pub(super) fn printable(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(255).map(|byte| match byte {
        0x20..=0x7e => char::from(*byte),
        _ => '?',
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_words_can_neither_fill_nor_forge_a_log() {
        assert_eq!(printable(b"no\n\x1b[31m\xff"), "no??[31m?");
        assert_eq!(printable(&[b'a'; 300]).len(), 255);
    }
}
