//! Our ZMTP client against the libzmq that each Salt brings: heartbeats both ways, both framings of
//! publications, and a peer that is stopped.
//!
//! The peers are small Python programs on the pyzmq of the real installations. Each prints what its
//! socket monitor sees, so that a connection that was lost and made again can't hide.

use std::time::Duration;

use minion::net::{Connect, Error, Keepalive, Request, Stage, Subscription};
use minion::zmtp::{Identity, Rhythm};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use softhsm_tests::process::{PATIENCE, Process};
use softhsm_tests::salt::Version;

/// The same promises on each libzmq.
macro_rules! on {
    ($module:ident, $version:expr) => {
        mod $module {
            use super::*;

            #[tokio::test]
            async fn a_slow_reply_arrives_over_ten_heartbeats_of_a_router() {
                wait_for_reply($version, "ROUTER").await;
            }

            #[tokio::test]
            async fn a_slow_reply_arrives_over_ten_heartbeats_of_a_rep() {
                wait_for_reply($version, "REP").await;
            }

            #[tokio::test]
            async fn an_idle_connection_outlives_the_peers_patience() {
                idle($version).await;
            }

            #[tokio::test]
            async fn no_publication_is_lost_over_ten_heartbeats() {
                follow($version).await;
            }

            #[tokio::test]
            async fn filtered_publications_are_two_frames_and_others_stay_away() {
                filter($version).await;
            }

            #[tokio::test]
            async fn a_peer_without_heartbeats_answers_our_pings() {
                probe($version).await;
            }

            #[tokio::test]
            async fn a_stopped_peer_is_noticed_by_our_ping() {
                stop($version).await;
            }

            #[tokio::test]
            async fn a_message_of_three_megabytes_goes_both_ways() {
                echo_large($version).await;
            }

            #[tokio::test]
            async fn a_late_reply_ends_the_socket() {
                be_late($version).await;
            }
        }
    };
}

// Salt 3006.30 brings the same 4.3.5 as 3008.5.
on!(libzmq_4_3_4, Version::V3007);
on!(libzmq_4_3_5, Version::V3008);

async fn wait_for_reply(version: Version, kind: &str) {
    let peer = Peer::start(version, kind, Heartbeats::On);
    let request = Request::connect(&peer.options()).await.unwrap();
    let (reply, mut request) = request.exchange(b"slow", PATIENCE).await.unwrap();
    assert_eq!(reply, b"echo slow");
    assert!(request.answered() >= 10, "{}", request.answered());
    request.probe(PATIENCE).await.unwrap();
    let (reply, _request) = request.exchange(b"again", PATIENCE).await.unwrap();
    assert_eq!(reply, b"echo again");
    peer.expect_one_connection();
}

/// Without an answer the peer closes after 500 + 1500 ms; five answers are more than that.
async fn idle(version: Version) {
    let peer = Peer::start(version, "ROUTER", Heartbeats::On);
    let mut request = Request::connect(&peer.options()).await.unwrap();
    while request.answered() < 5 {
        // It is looked at now and then, for `idle` ends with the connection alone.
        let look = Duration::from_millis(20);
        let failure = tokio::time::timeout(look, request.idle()).await;
        assert!(failure.is_err(), "{failure:?}");
    }
    peer.expect_one_connection();
}

async fn follow(version: Version) {
    let peer = Peer::start(version, "XPUB", Heartbeats::On);
    let identity = Identity::new(b"minion".to_vec());
    let mut subscription = Subscription::connect(&peer.options(), identity, &[b""])
        .await
        .unwrap();
    for expected in 0_u64.. {
        if subscription.answered() >= 11 {
            break;
        }
        let publication = subscription.next().await.unwrap();
        assert_eq!(publication.topic, None);
        assert_eq!(publication.payload, expected.to_string().into_bytes());
        if expected.is_multiple_of(50) {
            subscription.probe(PATIENCE).await.unwrap();
        }
    }
    peer.expect_one_connection();
}

async fn filter(version: Version) {
    let peer = Peer::start(version, "FILTER", Heartbeats::On);
    let minion = b"0123456789abcdef0123456789abcdef01234567";
    let mut subscription = Subscription::connect(&peer.options(), None, &[b"broadcast", minion])
        .await
        .unwrap();
    for round in 0..20 {
        for topic in [&b"broadcast"[..], minion] {
            let publication = subscription.next().await.unwrap();
            assert_eq!(publication.topic.as_deref(), Some(topic));
            assert_eq!(publication.payload, format!("job {round}").into_bytes());
        }
    }
    peer.expect_one_connection();
}

async fn probe(version: Version) {
    let peer = Peer::start(version, "ROUTER", Heartbeats::Off);
    let options = Connect {
        rhythm: Rhythm {
            interval: Duration::from_millis(50),
            patience: PATIENCE,
        },
        ..peer.options()
    };
    let request = Request::connect(&options).await.unwrap();
    // For as long as eleven heartbeats would take there is nothing but our PINGs and the answers.
    let (reply, mut request) = request.exchange(b"slow", PATIENCE).await.unwrap();
    assert_eq!(reply, b"echo slow");
    for _ in 0..20 {
        let answered = request.probe(PATIENCE).await.unwrap();
        assert!(answered < PATIENCE);
    }
    assert_eq!(request.answered(), 0);
    peer.expect_one_connection();
}

async fn stop(version: Version) {
    let peer = Peer::start(version, "XPUB", Heartbeats::Off);
    let rhythm = Rhythm {
        interval: Duration::from_millis(200),
        patience: Duration::from_millis(1000),
    };
    let options = Connect {
        rhythm,
        ..peer.options()
    };
    let mut subscription = Subscription::connect(&options, None, &[b""]).await.unwrap();
    subscription.next().await.unwrap();
    peer.signal(Signal::SIGSTOP);
    // What was on its way still comes.
    let error = loop {
        match subscription.next().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Silent(silence) if silence >= rhythm.patience));
    assert!(error.is_retryable());
    peer.signal(Signal::SIGCONT);
}

async fn echo_large(version: Version) {
    let peer = Peer::start(version, "ROUTER", Heartbeats::On);
    let request = Request::connect(&peer.options()).await.unwrap();
    let body: Vec<u8> = (0..3_u32 << 20).map(|n| n.to_le_bytes()[1]).collect();
    let (reply, _request) = request.exchange(&body, PATIENCE).await.unwrap();
    assert!(reply.strip_prefix(b"echo ") == Some(&body[..]));
    peer.expect_one_connection();
}

async fn be_late(version: Version) {
    let peer = Peer::start(version, "REP", Heartbeats::Off);
    let request = Request::connect(&peer.options()).await.unwrap();
    let within = Duration::from_millis(100);
    let error = request.exchange(b"slow", within).await.unwrap_err();
    let stage = Stage::Reply;
    assert!(matches!(error, Error::Late { stage: at, within: by } if (at, by) == (stage, within)));
    // The socket is gone, and so is its connection.
    peer.process.log().wait_for("event DISCONNECTED").unwrap();
}

#[derive(Clone, Copy)]
enum Heartbeats {
    Off,
    On,
}

/// A Python program with one libzmq socket.
struct Peer {
    process: Process,
    port: u16,
}

impl Peer {
    fn start(version: Version, kind: &str, heartbeats: Heartbeats) -> Self {
        let interval = match heartbeats {
            Heartbeats::Off => "0",
            Heartbeats::On => "500",
        };
        let mut command = version.command("python").unwrap();
        command.args(["-c", PEER, kind, interval]);
        let process = Process::start(&mut command).unwrap();
        let line = process.log().wait_for("port ").unwrap();
        let port = line.trim_start_matches("port ").parse().unwrap();
        Self { process, port }
    }

    /// Our own heartbeat is slower than any test here, so that the peer's is the one that is seen.
    fn options(&self) -> Connect {
        Connect {
            target: ([127, 0, 0, 1], self.port).into(),
            source: None,
            keepalive: Keepalive::default(),
            within: PATIENCE,
            rhythm: Rhythm {
                interval: PATIENCE,
                patience: PATIENCE,
            },
        }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    fn expect_one_connection(&self) {
        let log = self.process.log();
        log.wait_for("event HANDSHAKE_SUCCEEDED").unwrap();
        let seen = ["ACCEPTED", "HANDSHAKE_SUCCEEDED", "DISCONNECTED"]
            .map(|event| log.count(&format!("event {event}")));
        assert_eq!(seen, [1, 1, 0], "{}", log.text());
    }
}

/// `ROUTER` and `REP` echo, and take eleven heartbeats for `slow`. `XPUB` counts from the first
/// subscription on, fifty numbers a second; `FILTER` publishes as a master with `zmq_filtering`.
const PEER: &str = r#"
import os, sys, threading, zmq
from zmq.utils.monitor import recv_monitor_message

def say(line):
    # One write, so that two threads can't mix their lines.
    os.write(1, line.encode() + b"\n")

kind, interval = sys.argv[1], int(sys.argv[2])
socket = zmq.Context().socket(getattr(zmq, "XPUB" if kind == "FILTER" else kind))
if interval:
    socket.setsockopt(zmq.HEARTBEAT_IVL, interval)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * interval)

EVENTS = ("ACCEPTED", "HANDSHAKE_SUCCEEDED", "DISCONNECTED", "HANDSHAKE_FAILED_PROTOCOL")
NAMES = {int(getattr(zmq, "EVENT_" + name)): name for name in EVENTS}
monitor = socket.get_monitor_socket()

def watch():
    while True:
        event = int(recv_monitor_message(monitor)["event"])
        if event in NAMES:
            say("event " + NAMES[event])

threading.Thread(target=watch, daemon=True).start()
port = socket.bind_to_random_port("tcp://127.0.0.1")
say("port %d" % port)

never = threading.Event()
if kind in ("ROUTER", "REP"):
    while True:
        *envelope, body = socket.recv_multipart()
        if body == b"slow":
            # libzmq tells nobody of a PONG, so it is the time of eleven that is waited for.
            never.wait(5.6)
        socket.send_multipart(envelope + [b"echo " + body])
elif kind == "XPUB":
    socket.recv()  # the subscription
    number = 0
    while True:
        socket.send(str(number).encode())
        number += 1
        never.wait(0.02)
else:
    socket.recv(), socket.recv()  # two subscriptions
    for number in range(20):
        job = b"job %d" % number
        socket.send_multipart([b"syndic", job])
        socket.send_multipart([b"broadcast", job])
        socket.send_multipart([b"fedcba9876543210fedcba9876543210fedcba98", job])
        socket.send_multipart([b"0123456789abcdef0123456789abcdef01234567", job])
    never.wait()
"#;
