//! One connection: what is read is answered, and what anybody wants sent goes through one channel.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::request::Request;
use super::super::zmtp::{Reader, Received, handshake, header, message, ping, pong};
use super::exchange::Exchange;
use super::script::{Answer, Step};
use super::{Hello, Inner, Port};

/// Something for a peer.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// Told when the system has them.
    sent: oneshot::Sender<()>,
}

/// Sends bytes and waits until the system has them; false if the connection is over.
pub(super) async fn deliver(peer: &mpsc::Sender<Outgoing>, bytes: Vec<u8>) -> bool {
    let (sent, told) = oneshot::channel();
    peer.send(Outgoing { bytes, sent }).await.is_ok() && told.await.is_ok()
}

/// Serves a connection until it ends.
pub(super) async fn serve(inner: Arc<Inner>, stream: TcpStream, port: Port) {
    // Held by the state alone: who removes it there ends the connection.
    let (peer, outgoing) = mpsc::channel(QUEUE);
    let number = inner.state().add_peer(peer);
    inner.note(|log| {
        log.connections += 1;
        log.requesting += u64::from(port == Port::Request);
    });
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let connection = Connection {
        inner: Arc::clone(&inner),
        number,
        port,
    };
    tokio::select! {
        _ = connection.read(read) => {}
        _ = connection.write(write, outgoing) => {}
    }
    let subscribed = inner.state().remove_peer(number);
    inner.note(|log| {
        log.subscribed -= u64::from(subscribed);
        log.requesting -= u64::from(port == Port::Request);
    });
}

#[derive(Clone)]
struct Connection {
    inner: Arc<Inner>,
    number: u64,
    port: Port,
}

impl Connection {
    async fn read(&self, stream: OwnedReadHalf) -> io::Result<()> {
        self.running().await;
        let mut reader = Reader::greeted(tokio::io::BufReader::new(stream)).await?;
        // They end with the connection.
        let mut answers = JoinSet::new();
        loop {
            let received = reader.next().await?;
            self.running().await;
            match received {
                Received::Message(frames) => self.take(frames, &mut answers)?,
                Received::Ping(context) => {
                    self.inner.note(|log| log.pings += 1);
                    self.send(pong(&context)).await;
                }
                Received::Subscribe(topic) if self.port == Port::Publish => {
                    let first = self.inner.state().subscribers.insert(self.number);
                    self.inner.note(|log| {
                        log.topics.push(topic);
                        log.subscribed += u64::from(first);
                    });
                }
                Received::Pong => self.inner.note(|log| log.pongs += 1),
                Received::Ready | Received::Subscribe(_) => {}
            }
            while answers.try_join_next().is_some() {}
        }
    }

    /// Answers one request; another may come before that is done.
    fn take(&self, frames: Vec<Vec<u8>>, answers: &mut JoinSet<()>) -> io::Result<()> {
        let Ok([delimiter, body]) = <[Vec<u8>; 2]>::try_from(frames) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        if !delimiter.is_empty() || self.port != Port::Request {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let request = Request::parse(&body);
        let exchange = Exchange::new(&self.inner, self.number, &request);
        let script = self.inner.state().script.clone();
        let answer = script.answer(&exchange);
        // The script goes first: what it answers is decided when a waiting test sees the request.
        exchange.note();
        let connection = self.clone();
        match answer {
            Answer::Honest => {
                let reply = exchange.honest();
                let lets_in = exchange.lets_in();
                answers.spawn(async move {
                    let sent = connection.send(message(&[b"", &reply])).await;
                    let count = u64::from(sent && lets_in);
                    connection.inner.note(|log| log.accepted += count);
                });
            }
            Answer::Steps(steps) => {
                answers.spawn(async move { connection.perform(steps).await });
            }
        }
        Ok(())
    }

    /// Carries out a script. It counts as reached when its first step has had an effect.
    async fn perform(&self, steps: Vec<Step>) {
        let mut reached = false;
        let mut reach = || {
            if !std::mem::replace(&mut reached, true) {
                self.inner.note(|log| log.faults += 1);
            }
        };
        if steps.is_empty() {
            reach();
        }
        for step in steps {
            match step {
                Step::Close => {
                    reach();
                    self.inner.state().peers.remove(&self.number);
                }
                Step::Flood(size) => {
                    if self.send(header(0, size)).await {
                        reach();
                        self.flood(size).await;
                    }
                }
                Step::Raw(bytes) => {
                    if self.send(bytes).await {
                        reach();
                    }
                }
                Step::Reply(body) => {
                    if self.send(message(&[b"", &body])).await {
                        reach();
                    }
                }
                Step::ReplyTo(number, body) => {
                    if self.send_to(number, message(&[b"", &body])).await {
                        reach();
                    }
                }
                Step::Trickle { bytes, every } => {
                    for byte in bytes {
                        sleep(every).await;
                        if !self.send(vec![byte]).await {
                            break;
                        }
                        reach();
                    }
                }
                Step::Wait(gate) => {
                    reach();
                    gate.wait().await;
                }
            }
        }
    }

    async fn flood(&self, size: u64) {
        let mut left = size;
        while left > 0 {
            let count = left.min(CHUNK);
            if !self.send(vec![0; usize::try_from(count).unwrap()]).await {
                return;
            }
            left -= count;
            self.inner.note(|log| log.flooded += count);
        }
    }

    async fn write(
        &self,
        mut stream: impl AsyncWrite + Unpin,
        mut outgoing: mpsc::Receiver<Outgoing>,
    ) -> io::Result<()> {
        self.running().await;
        let router = || handshake("ROUTER", Some(b""));
        match (self.port, &self.inner.setup.hello) {
            (Port::Publish, _) => stream.write_all(&handshake("PUB", None)).await?,
            (Port::Request, Hello::Router) => stream.write_all(&router()).await?,
            (Port::Request, Hello::Other(bytes)) => {
                stream.write_all(bytes).await?;
                self.inner.note(|log| log.faults += 1);
            }
            (Port::Request, Hello::Trickle(every)) => {
                for (index, byte) in router().into_iter().enumerate() {
                    sleep(*every).await;
                    stream.write_all(&[byte]).await?;
                    self.inner.note(|log| log.faults += u64::from(index == 0));
                }
            }
        }
        let heartbeat = self.inner.setup.heartbeat;
        let mut due = heartbeat.map(|every| Instant::now() + every);
        loop {
            let next = match due {
                Some(due) => timeout_at(due, outgoing.recv()).await,
                None => Ok(outgoing.recv().await),
            };
            self.running().await;
            match next {
                Ok(Some(Outgoing { bytes, sent })) => {
                    stream.write_all(&bytes).await?;
                    // Whoever asked may have stopped waiting.
                    let _ = sent.send(());
                }
                Ok(None) => return stream.shutdown().await,
                Err(_) => {
                    stream.write_all(&ping(b"")).await?;
                    due = heartbeat.map(|every| Instant::now() + every);
                }
            }
        }
    }

    async fn send(&self, bytes: Vec<u8>) -> bool {
        self.send_to(self.number, bytes).await
    }

    async fn send_to(&self, number: u64, bytes: Vec<u8>) -> bool {
        let peer = self.inner.state().peers.get(&number).cloned();
        match peer {
            Some(peer) => deliver(&peer, bytes).await,
            None => false,
        }
    }

    /// Waits while the process is stopped.
    async fn running(&self) {
        // The sender lives as long as `inner`.
        let _ = self
            .inner
            .running
            .subscribe()
            .wait_for(|running| *running)
            .await;
    }
}

/// Answers that wait for the system to take them; a script that sends more waits.
const QUEUE: usize = 16;

/// How much of a flood goes at once.
const CHUNK: u64 = 64 << 10;
