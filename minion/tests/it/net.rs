//! What the sockets do before a peer speaks ZMTP, and when it doesn't.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use minion::net::{Connect, Error, Keepalive, Request, Stage, Subscription};
use minion::zmtp::{self, Rhythm};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Long enough that only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

fn options(target: SocketAddr) -> Connect {
    Connect {
        target,
        source: None,
        keepalive: Keepalive::default(),
        within: PATIENCE,
        rhythm: Rhythm {
            interval: PATIENCE,
            patience: PATIENCE,
        },
    }
}

fn listen(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Accepts one connection, reads the greeting and READY, and answers with these bytes.
async fn answer(listener: TcpListener, bytes: &[u8]) -> (tokio::net::TcpStream, SocketAddr) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let (mut stream, from) = listener.accept().await.unwrap();
    let mut first = [0; 64];
    stream.read_exact(&mut first).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    (stream, from)
}

/// What a ROUTER sends first.
const ROUTER: &[u8] = include_bytes!("../vectors/zmtp/router.bin");
const HANDSHAKE: usize = 107;

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_costs_the_deadline_and_no_more() {
    let (_listener, address) = listen("127.0.0.1:0");
    let within = Duration::from_millis(50);
    let options = Connect {
        within,
        ..options(address)
    };
    let error = Request::connect(&options).await.unwrap_err();
    assert!(error.is_retryable());
    let stage = Stage::Connect;
    assert!(matches!(error, Error::Late { stage: at, within: by } if (at, by) == (stage, within)));
}

#[tokio::test]
async fn a_closed_port_is_refused_at_once() {
    let (listener, address) = listen("127.0.0.1:0");
    drop(listener);
    let error = Request::connect(&options(address)).await.unwrap_err();
    assert!(matches!(error, Error::Connect { target, .. } if target == address));
}

#[tokio::test]
async fn another_protocol_is_refused_and_not_tried_again() {
    let (listener, address) = listen("127.0.0.1:0");
    let options = options(address);
    let client = Subscription::connect(&options, None, &[b""]);
    let (client, _peer) = tokio::join!(client, answer(listener, b"HTTP/1.1 400 Bad Request\r\n"));
    let error = client.unwrap_err();
    assert!(!error.is_retryable());
    assert!(matches!(error, Error::Protocol(zmtp::Error::NotZmtp)));
}

#[tokio::test]
async fn a_peer_that_closes_in_the_handshake_is_closed() {
    let (listener, address) = listen("127.0.0.1:0");
    let options = options(address);
    let (client, ()) = tokio::join!(Request::connect(&options), async {
        drop(answer(listener, &ROUTER[..70]).await);
    });
    assert!(matches!(client, Err(Error::Closed)));
}

#[tokio::test]
async fn the_source_address_is_the_one_that_was_asked_for() {
    let (listener, address) = listen("127.0.0.1:0");
    let options = Connect {
        source: Some("127.0.0.9:0".parse().unwrap()),
        ..options(address)
    };
    let peer = answer(listener, &ROUTER[..HANDSHAKE]);
    let (client, (_stream, from)) = tokio::join!(Request::connect(&options), peer);
    client.unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.9");
}

#[tokio::test]
async fn ipv6_is_an_address_like_any_other() {
    let (listener, address) = listen("[::1]:0");
    let options = options(address);
    let peer = answer(listener, &ROUTER[..HANDSHAKE]);
    let (client, (_stream, from)) = tokio::join!(Request::connect(&options), peer);
    client.unwrap();
    assert_eq!(from.ip(), Ipv6Addr::LOCALHOST);
}

#[tokio::test]
async fn a_peer_that_stops_after_the_handshake_is_noticed_by_our_ping() {
    let (listener, address) = listen("127.0.0.1:0");
    let options = Connect {
        rhythm: Rhythm {
            interval: Duration::from_millis(20),
            patience: Duration::from_millis(30),
        },
        ..options(address)
    };
    let peer = answer(listener, &ROUTER[..HANDSHAKE]);
    let (client, (mut stream, _)) = tokio::join!(Request::connect(&options), peer);
    let error = client.unwrap().idle().await;
    assert!(matches!(error, Error::Silent(silence) if silence >= Duration::from_millis(50)));
    let mut sent = Vec::new();
    stream.read_to_end(&mut sent).await.unwrap();
    let pings = sent.windows(5).filter(|bytes| bytes == b"\x04PING");
    assert_eq!(pings.count(), 1);
}
