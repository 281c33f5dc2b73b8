//! The bytes of a connection, in pieces of any size.

use minion::zmtp::{Connection, Event, Identity, PONG_LIMIT, Socket};

use crate::capture::root;

/// From the greeting on; the first byte is the size of the pieces, the second the socket.
pub fn run(input: &[u8]) {
    let [piece, kind, bytes @ ..] = input else {
        return;
    };
    let (connection, _) = connection(*kind);
    feed(connection, bytes, usize::from(*piece).saturating_add(1));
}

/// After a handshake, where a mutation of whole recordings rarely gets.
pub fn traffic(input: &[u8]) {
    let [piece, kind, bytes @ ..] = input else {
        return;
    };
    let (mut connection, handshake) = connection(*kind);
    connection.receive(&handshake);
    let ready = connection.poll();
    assert!(matches!(ready, Ok(Some(Event::Ready(_)))), "{ready:?}");
    if kind & 1 == 0 {
        connection
            .request(b"request")
            .expect("nothing else was asked");
    }
    feed(connection, bytes, usize::from(*piece).saturating_add(1));
}

/// What libzmq sent, in three sizes of pieces.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (kind, name) in [(0, "router"), (1, "publisher"), (3, "publisher")] {
        let recorded = recording(name);
        for piece in [0, 63, 255] {
            seeds.push([&[piece, kind], recorded.as_slice()].concat());
        }
    }
    seeds
}

/// What libzmq sent after the handshake.
#[must_use]
pub fn traffic_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (kind, name) in [(0, "router"), (1, "publisher"), (3, "publisher")] {
        let recorded = recording(name);
        let rest = recorded
            .get(handshake_length(&recorded)..)
            .expect("traffic");
        for piece in [0, 255] {
            seeds.push([&[piece, kind], rest].concat());
        }
    }
    seeds
}

fn feed(mut connection: Connection, bytes: &[u8], piece: usize) {
    let mut failed = None;
    for piece in bytes.chunks(piece) {
        connection.receive(piece);
        loop {
            match connection.poll() {
                Ok(Some(Event::Reply(_))) => {
                    // The next may be asked for, which a peer must not answer before.
                    connection.request(b"again").expect("the reply came");
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = &failed {
            assert_eq!(
                connection.poll().as_ref(),
                Err(error),
                "an error is the end"
            );
            return;
        }
        // Nobody reads here, so the answers to PINGs pile up to their limit and no further.
        let requests = bytes.len().saturating_mul(32);
        assert!(
            connection.output().len() <= PONG_LIMIT.saturating_add(4096).saturating_add(requests)
        );
    }
}

fn connection(kind: u8) -> (Connection, Vec<u8>) {
    let identity = (kind & 2 != 0).then(|| Identity::new(b"vecminion".to_vec()).expect("short"));
    let (socket, name) = if kind & 1 == 0 {
        (Socket::Request, "router")
    } else {
        (Socket::Subscribe(identity), "publisher")
    };
    let mut recorded = recording(name);
    recorded.truncate(handshake_length(&recorded));
    (Connection::new(socket), recorded)
}

fn recording(name: &str) -> Vec<u8> {
    let file = root().join(format!("zmtp/{name}.bin"));
    std::fs::read(file).expect("a vector")
}

/// The greeting's 64 bytes and the READY, a short command: flags, length, body.
fn handshake_length(recorded: &[u8]) -> usize {
    let length = recorded.get(65).copied().expect("a READY");
    usize::from(length).saturating_add(66)
}
