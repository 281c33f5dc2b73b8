//! The side of ZMTP 3.1 that listens (RFC 37), as libzmq 4.3.5 speaks it to a minion.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// What a socket sends before anything else.
pub(crate) fn handshake(socket_type: &str, identity: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    // libzmq still sends the length of a greeting of ZMTP 1.0.
    (bytes[0], bytes[8], bytes[9]) = (0xff, 1, 0x7f);
    bytes[10..12].copy_from_slice(&[3, 1]);
    bytes[12..16].copy_from_slice(b"NULL");
    let mut ready = b"\x05READY".to_vec();
    property(&mut ready, "Socket-Type", socket_type.as_bytes());
    if let Some(identity) = identity {
        property(&mut ready, "Identity", identity);
    }
    bytes.extend(command(&ready));
    bytes
}

/// A message of one frame or several.
pub(crate) fn message(frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let more = u8::from(index + 1 < frames.len());
        bytes.extend(header(more, frame.len() as u64));
        bytes.extend_from_slice(frame);
    }
    bytes
}

/// A frame's flags and size, whether or not such a body follows.
pub(crate) fn header(flags: u8, size: u64) -> Vec<u8> {
    match u8::try_from(size) {
        Ok(short) => vec![flags, short],
        Err(_) => [&[flags | LONG][..], &size.to_be_bytes()].concat(),
    }
}

pub(crate) fn ping(context: &[u8]) -> Vec<u8> {
    command(&[b"\x04PING\x01\x2c", context].concat())
}

pub(crate) fn pong(context: &[u8]) -> Vec<u8> {
    command(&[b"\x04PONG", context].concat())
}

fn command(body: &[u8]) -> Vec<u8> {
    let mut bytes = header(COMMAND, body.len() as u64);
    bytes.extend_from_slice(body);
    bytes
}

fn property(body: &mut Vec<u8>, name: &str, value: &[u8]) {
    body.push(u8::try_from(name.len()).unwrap());
    body.extend_from_slice(name.as_bytes());
    body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
    body.extend_from_slice(value);
}

/// What a peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// All frames of a message.
    Message(Vec<Vec<u8>>),
    /// A PING with its context.
    Ping(Vec<u8>),
    Pong,
    Ready,
    /// A SUBSCRIBE, by command or by message.
    Subscribe(Vec<u8>),
}

/// The bytes of a peer as messages and commands.
pub(crate) struct Reader<R> {
    stream: R,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads the peer's greeting.
    pub(crate) async fn greeted(mut stream: R) -> io::Result<Self> {
        let mut greeting = [0; 64];
        stream.read_exact(&mut greeting).await?;
        if greeting[0] != 0xff || greeting[9] != 0x7f || greeting[10] != 3 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self { stream })
    }

    /// The next message or command.
    pub(crate) async fn next(&mut self) -> io::Result<Received> {
        let mut frames = Vec::new();
        loop {
            let flags = self.stream.read_u8().await?;
            let size = if flags & LONG == 0 {
                u64::from(self.stream.read_u8().await?)
            } else {
                self.stream.read_u64().await?
            };
            let size = usize::try_from(size).ok().filter(|size| *size <= LIMIT);
            let mut body = vec![0; size.ok_or(io::ErrorKind::InvalidData)?];
            self.stream.read_exact(&mut body).await?;
            if flags & COMMAND != 0 {
                if let Some(received) = understood(&body) {
                    return Ok(received);
                }
                continue;
            }
            if frames.is_empty() && flags & MORE == 0 && body.first() == Some(&1) {
                // Subscriptions of ZMTP 3.0.
                return Ok(Received::Subscribe(body[1..].to_vec()));
            }
            frames.push(body);
            if flags & MORE == 0 {
                return Ok(Received::Message(frames));
            }
        }
    }
}

fn understood(body: &[u8]) -> Option<Received> {
    let (length, rest) = body.split_first()?;
    let (name, data) = rest.split_at_checked(usize::from(*length))?;
    match name {
        b"PING" => Some(Received::Ping(data.get(2..)?.to_vec())),
        b"PONG" => Some(Received::Pong),
        b"READY" => Some(Received::Ready),
        b"SUBSCRIBE" => Some(Received::Subscribe(data.to_vec())),
        _ => None,
    }
}

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// No minion sends more.
const LIMIT: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// What real sockets sent, from the minion's vectors.
    const ROUTER: &[u8] = include_bytes!("../../tests/vectors/zmtp/router.bin");
    const PUBLISHER: &[u8] = include_bytes!("../../tests/vectors/zmtp/publisher.bin");

    #[test]
    fn a_router_says_what_libzmq_says() {
        let sent = [
            handshake("ROUTER", Some(b"")),
            message(&[b"", &[b'x'; 300]]),
        ]
        .concat();
        assert_eq!(ROUTER[..sent.len()], sent);
    }

    #[test]
    fn a_publisher_says_what_libzmq_says() {
        let sent = [
            handshake("PUB", None),
            message(&[b"one frame"]),
            message(&[b"broadcast", &[b'y'; 300]]),
        ]
        .concat();
        assert_eq!(PUBLISHER[..sent.len()], sent);
    }
}
