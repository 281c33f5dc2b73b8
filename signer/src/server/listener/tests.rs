//! Slow, silent and too many clients, and the end of the ones in flight.

use std::sync::Arc;

use axum::routing::get;
use metrics_exporter_prometheus::PrometheusBuilder;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::tls::ServerTls;
use crate::tls::testing::Setting;

#[tokio::test]
async fn a_handler_sees_who_is_calling() {
    let running = Running::start(LIMITS);
    let mut stream = running.connect("mastersign:master:salt-1").await.unwrap();
    stream.write_all(&request("/who", "close")).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("mastersign:master:salt-1"), "{answer}");
}

#[tokio::test]
async fn a_header_that_does_not_end_is_cut() {
    let running = Running::start(Limits {
        header_timeout: Duration::from_millis(100),
        ..LIMITS
    });
    let mut stream = running.connect("mastersign:master:salt-1").await.unwrap();
    stream
        .write_all(b"GET /who HTTP/1.1\r\nhost: ")
        .await
        .unwrap();
    let answer = rest(&mut stream).await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn more_headers_than_there_may_be_are_refused() {
    let running = Running::start(LIMITS);
    for (count, status) in [(98, "200"), (99, "431")] {
        let mut stream = running.connect("mastersign:master:salt-1").await.unwrap();
        let more: String = (0..count)
            .map(|number| format!("x-{number}: x\r\n"))
            .collect();
        let request =
            format!("GET /who HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{count}: {answer}");
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_begin_is_cut() {
    let running = Running::start(Limits {
        handshake_timeout: Duration::from_millis(100),
        ..LIMITS
    });
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn who_does_not_fit_waits_for_a_place() {
    let running = Running::start(Limits {
        connections: 1,
        ..LIMITS
    });
    let mut first = running.connect("mastersign:master:salt-1").await.unwrap();
    let mut second = std::pin::pin!(running.connect("mastersign:master:salt-2"));
    tokio::select! {
        biased;
        _ = &mut second => panic!("there is only one place"),
        () = talk(&mut first) => {}
    }
    drop(first);
    assert!(second.await.is_ok());
}

#[tokio::test]
async fn an_address_with_as_many_connections_as_it_may_have_gets_no_more_and_others_do() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let running = Running::start(Limits {
        connections: 4,
        connections_per_address: 2,
        ..LIMITS
    });
    let mut first = running.connect("mastersign:master:salt-1").await.unwrap();
    let silent = TcpStream::connect(running.address).await.unwrap();
    // More than there are places at all: none of them keeps one.
    for _ in 0..8 {
        assert!(running.connect("mastersign:master:salt-1").await.is_err());
    }
    let refused = "mastersign_connections_refused_total{reason=\"address\"} 8";
    assert!(metrics.render().contains(refused), "{}", metrics.render());
    talk(&mut first).await;
    let elsewhere = running.connect_from("127.0.0.2").await;
    talk(&mut elsewhere.unwrap()).await;

    drop((first, silent));
    // Its share is free as soon as the service has seen the end of those.
    while running.connect("mastersign:master:salt-1").await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// Several requests, one after the other; whoever could get in meanwhile has had the time for it.
async fn talk(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) {
    for _ in 0..32 {
        let asked = stream.write_all(&request("/nowhere", "keep-alive")).await;
        asked.unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_in_flight_is_finished_before_the_end() {
    let running = Running::start(LIMITS);
    let mut idle = running.connect("mastersign:master:salt-2").await.unwrap();
    let mut stream = running.connect("mastersign:master:salt-1").await.unwrap();
    stream
        .write_all(&request("/wait", "keep-alive"))
        .await
        .unwrap();
    running.entered.notified().await;

    running.stop.drain.cancel();
    assert_eq!(
        idle.read(&mut [0; 16]).await.unwrap(),
        0,
        "an idle connection is closed"
    );
    refused(running.address).await;
    assert!(!running.task.is_finished());

    running.release.notify_one();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("waited"), "{answer}");
    running.task.await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_dropped_in_the_end() {
    let running = Running::start(LIMITS);
    let mut stream = running.connect("mastersign:master:salt-1").await.unwrap();
    stream.write_all(&request("/wait", "close")).await.unwrap();
    running.entered.notified().await;
    running.stop.drain.cancel();
    running.stop.abort.cancel();
    running.task.await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

const LIMITS: Limits = Limits {
    connections: 8,
    connections_per_address: 8,
    requests: 8,
    requests_per_second: 1000,
    handshake_timeout: Duration::from_secs(20),
    header_timeout: Duration::from_secs(20),
    request_timeout: Duration::from_secs(20),
    drain_timeout: Duration::from_secs(20),
};

/// A listener at work.
struct Running {
    setting: Setting,
    address: SocketAddr,
    stop: Stop,
    task: JoinHandle<()>,
    /// A request to `/wait` has arrived.
    entered: Arc<Notify>,
    /// It may be answered.
    release: Arc<Notify>,
}

impl Running {
    fn start(limits: Limits) -> Self {
        let setting = Setting::new();
        let tls = ServerTls::load(&setting.files(), SystemClock.now()).unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let entered = Arc::new(Notify::new());
        let release = Arc::new(Notify::new());
        let (enter, leave) = (Arc::clone(&entered), Arc::clone(&release));
        let wait = async move || {
            enter.notify_one();
            leave.notified().await;
            "waited"
        };
        let listener = Listener {
            socket: TcpListener::from_std(socket).unwrap(),
            tls: Some(Arc::new(Live::new(setting.files(), tls))),
            front: Front::Plain(
                Router::new()
                    .route("/who", get(who))
                    .route("/wait", get(wait)),
            ),
            limits,
        };
        let stop = Stop::default();
        Self {
            setting,
            address: listener.socket.local_addr().unwrap(),
            task: tokio::spawn(listener.run(stop.clone())),
            stop,
            entered,
            release,
        }
    }

    async fn connect(&self, uri: &str) -> io::Result<TlsStream<TcpStream>> {
        self.shake_hands(uri, TcpStream::connect(self.address).await?)
            .await
    }

    /// The same from another address of this machine.
    async fn connect_from(&self, address: &str) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0))?;
        let stream = socket.connect(self.address).await?;
        self.shake_hands("mastersign:master:salt-2", stream).await
    }

    async fn shake_hands(&self, uri: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let pair = self.setting.masters.client(uri);
        let config: Arc<ClientConfig> = self.setting.client(Some(&pair));
        let name = "localhost".try_into().unwrap();
        TlsConnector::from(config).connect(name, stream).await
    }
}

async fn who(peer: axum::Extension<Arc<Peer>>) -> String {
    peer.identity.to_string()
}

fn request(path: &str, connection: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\n\r\n")
        .into_bytes()
}

/// What the service still sends; a connection that it drops may end without TLS's goodbye.
async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// The socket is closed right after the last connection was accepted.
async fn refused(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
