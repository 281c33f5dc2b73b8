//! One listening socket: accepting, the TLS handshake, and the connection's end.
//!
//! The loop is our own because what it decides is the protection of the service: how many
//! connections there are, how long a handshake and a header may take, and in which order everything
//! ends. A framework's listener hides the moment between `accept` and the first request, and that
//! is where a slow client sits.

mod timer;

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use self::timer::HeaderTimer;
use super::origin::{Crowded, Origins, Seat};
use super::request::{Around, Asking};
use crate::api::Api;
use crate::clock::{Clock, SystemClock};
use crate::config::Limits;
use crate::telemetry::Chain;
use crate::tls::peer::{Peer, PeerError};
use crate::tls::{Admission, Live};

/// A bound socket and what answers on it.
#[derive(Debug)]
pub(super) struct Listener {
    /// Where connections come from.
    pub(super) socket: TcpListener,
    /// Plain HTTP without it.
    pub(super) tls: Option<Arc<Live>>,
    /// What answers.
    pub(super) front: Front,
    /// How many connections, and how long they may take.
    pub(super) limits: Limits,
}

/// What answers the requests of a listener.
#[derive(Clone, Debug)]
pub(super) enum Front {
    /// The API, with limits and records around each answer.
    Api(Arc<Around>, Arc<Api>),
    /// A router as it is.
    Plain(Router),
}

impl Front {
    /// The answer, which may be there already: most requests ask for what is in memory, and a
    /// future of all that others need costs more than their answer.
    fn answer(
        &self,
        request: hyper::Request<Incoming>,
        client: Option<&Client>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let mut asking = Asking::Nothing;
        let lapsed = client.and_then(|client| client.admission.check(SystemClock.now()).err());
        if let (Self::Api(around, api), Some(client), None) = (self, client, &lapsed) {
            let inner = || api.answer_at_once(&client.peer, request.uri(), request.headers());
            match around.answer_at_once(&request, &client.peer, inner) {
                Ok(response) => return Either::Left(ready(Ok(response))),
                Err(so_far) => asking = so_far,
            }
        }
        let mut request: Request = request.map(Body::new);
        if let Some(client) = client {
            request.extensions_mut().insert(Arc::clone(&client.peer));
        }
        if let Some(lapsed) = lapsed {
            request.extensions_mut().insert(lapsed);
        }
        // In a box, for it is large, and what is returned is moved about for every request.
        Either::Right(Box::pin(self.clone().answer_in_time(request, asking)))
    }

    async fn answer_in_time(
        self,
        request: Request,
        asking: Asking,
    ) -> Result<Response, Infallible> {
        match self {
            Self::Api(around, api) => {
                let inner = async |request| api.answer(request).await;
                Ok(around.answer(request, asking, inner).await)
            }
            Self::Plain(router) => router.oneshot(request).await,
        }
    }
}

/// Who is on the other end of a connection.
struct Client {
    peer: Arc<Peer>,
    admission: Admission,
}

/// How a listener ends: first in good order, then at once.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    /// Accept no more, finish what is in flight.
    pub(super) drain: CancellationToken,
    /// Drop what is in flight. It implies the other, so who is not draining need not look at it.
    pub(super) abort: CancellationToken,
}

impl Default for Stop {
    fn default() -> Self {
        let abort = CancellationToken::new();
        Self {
            drain: abort.child_token(),
            abort,
        }
    }
}

impl Listener {
    /// Accepts connections until it has to drain, and returns when the last one is done.
    pub(super) async fn run(self, stop: Stop) {
        let Self {
            socket,
            tls,
            front,
            limits,
        } = self;
        let places = Arc::new(Semaphore::new(limits.connections));
        let origins = Origins::new(limits.connections_per_address);
        let connections = TaskTracker::new();
        let accepted = || {
            let next = next(&socket, &places, &origins);
            stop.drain.run_until_cancelled(next)
        };
        while let Some(Some((stream, remote, place))) = accepted().await {
            let connection = Connection {
                remote,
                front: front.clone(),
                limits,
                stop: stop.clone(),
            };
            connections.spawn(connection.serve(stream, tls.clone(), place));
        }
        drop(socket);
        connections.close();
        connections.wait().await;
    }
}

/// What a connection holds until it ends.
struct Place {
    _among_all: OwnedSemaphorePermit,
    _of_its_address: Seat,
}

/// Waits for a place first and for a connection then: who does not fit stays in the kernel's queue,
/// but whose address has its share already is closed at once, for it would keep the others waiting.
async fn next(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
    origins: &Origins,
) -> Option<(TcpStream, SocketAddr, Place)> {
    let among_all = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        let (stream, remote) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match origins.seat(remote.ip()) {
            Ok(of_its_address) => {
                let place = Place {
                    _among_all: among_all,
                    _of_its_address: of_its_address,
                };
                return Some((stream, remote, place));
            }
            Err(Crowded { origin, is_news }) => {
                drop(stream);
                count("address");
                if is_news {
                    tracing::warn!(
                        %origin,
                        "an address holds as many connections as it may \
                         (limits.connections_per_address); more of it are closed until it has left"
                    );
                }
            }
        }
    }
}

fn count(reason: &'static str) {
    metrics::counter!("mastersign_connections_refused_total", "reason" => reason).increment(1);
}

/// One connection.
struct Connection {
    remote: SocketAddr,
    front: Front,
    limits: Limits,
    stop: Stop,
}

impl Connection {
    /// Holds its place until it ends.
    async fn serve(self, stream: TcpStream, tls: Option<Arc<Live>>, _place: Place) {
        // Answers are one segment; waiting for another one to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            return self.refuse(&Refused::Socket(error));
        }
        let Some(live) = tls else {
            return self.http(stream, None).await;
        };
        let abort = &self.stop.abort;
        let shaken = abort.run_until_cancelled(self.shake_hands(stream, live));
        match shaken.await {
            Some(Ok((stream, client))) => self.http(stream, Some(client)).await,
            Some(Err(error)) => self.refuse(&error),
            None => self.drop_it(),
        }
    }

    fn refuse(&self, error: &Refused) {
        count(error.reason());
        tracing::info!(remote = %self.remote, error = %Chain(error), "connection refused");
    }

    fn drop_it(&self) {
        tracing::warn!(remote = %self.remote, "connection dropped, the drain timeout is over");
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        live: Arc<Live>,
    ) -> Result<(TlsStream<TcpStream>, Client), Refused> {
        let (config, generation) = live.handshake();
        let handshake = TlsAcceptor::from(config).accept(stream);
        let stream = tokio::time::timeout(self.limits.handshake_timeout, handshake)
            .await
            .map_err(|_| Refused::Slow)?
            .map_err(Refused::Handshake)?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = Peer::from_certificate(chain.first().ok_or(Refused::Nameless)?)?;
        let admission = Admission::new(live, chain, generation).ok_or(Refused::Nameless)?;
        let peer = Arc::new(peer);
        Ok((stream, Client { peer, admission }))
    }

    /// Speaks HTTP/1.1; an error of the protocol ends the connection and is nobody's news.
    async fn http<S>(self, stream: S, client: Option<Client>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let front = self.front.clone();
        let service = service_fn(move |request| front.answer(request, client.as_ref()));
        let builder = builder(self.limits.header_timeout);
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = self.stop.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match self.stop.abort.run_until_cancelled(connection).await {
                    Some(ended) => ended,
                    None => return self.drop_it(),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(remote = %self.remote, %error, "connection ended");
        }
    }
}

fn builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(HeaderTimer::default())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_BUFFER)
        // Answers are short: one buffer is encrypted faster than the two are gathered.
        .writev(false);
    builder
}

/// Why a connection carried no request.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the certificate names nobody")]
    Identity(#[from] PeerError),
    #[error("the client showed no certificate")]
    Nameless,
    #[error("the TLS handshake took too long")]
    Slow,
    #[error("the socket cannot be set up")]
    Socket(#[source] io::Error),
}

impl Refused {
    /// For the metric.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Handshake(_) => "handshake",
            Self::Identity(_) | Self::Nameless => "identity",
            Self::Slow => "slow",
            Self::Socket(_) => "socket",
        }
    }
}

/// Mostly "too many open files": the next attempt fails too until a connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A header of ours is some hundred bytes; the buffer also holds the answer that is being written.
const MAX_BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests;
