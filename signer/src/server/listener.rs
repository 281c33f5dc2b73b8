//! One listening socket: accepting, the TLS handshake, and the connection's end.
//!
//! The loop is our own because what it decides is the protection of the service: how many
//! connections there are, how long a handshake and a header may take, and in which order everything
//! ends. A framework's listener hides the moment between `accept` and the first request, and that
//! is where a slow client sits.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::origin::{Crowded, Origins, Seat};
use super::request::Around;
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
    async fn answer(self, request: Request) -> Result<Response, Infallible> {
        match self {
            Self::Api(around, api) => {
                let inner = async |request| api.answer(request).await;
                Ok(around.answer(request, inner).await)
            }
            Self::Plain(router) => router.oneshot(request).await,
        }
    }
}

/// How a listener ends: first in good order, then at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    /// Accept no more, finish what is in flight.
    pub(super) drain: CancellationToken,
    /// Drop what is in flight.
    pub(super) abort: CancellationToken,
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
        let abort = self.stop.abort.clone();
        let remote = self.remote;
        match abort.run_until_cancelled(self.exchange(stream, tls)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                count(error.reason());
                tracing::info!(%remote, error = %Chain(&error), "connection refused");
            }
            None => tracing::warn!(%remote, "connection dropped, the drain timeout is over"),
        }
    }

    async fn exchange(self, stream: TcpStream, tls: Option<Arc<Live>>) -> Result<(), Refused> {
        // Answers are one segment; waiting for another one to fill a packet only delays them.
        stream.set_nodelay(true).map_err(Refused::Socket)?;
        let Some(live) = tls else {
            self.http(stream, None).await;
            return Ok(());
        };
        let (config, generation) = live.handshake();
        let handshake = TlsAcceptor::from(config).accept(stream);
        let stream = tokio::time::timeout(self.limits.handshake_timeout, handshake)
            .await
            .map_err(|_| Refused::Slow)?
            .map_err(Refused::Handshake)?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = Peer::from_certificate(chain.first().ok_or(Refused::Nameless)?)?;
        let admission = Admission::new(live, chain, generation).ok_or(Refused::Nameless)?;
        self.http(stream, Some((Arc::new(peer), Arc::new(admission))))
            .await;
        Ok(())
    }

    /// Speaks HTTP/1.1; an error of the protocol ends the connection and is nobody's news.
    async fn http<S>(self, stream: S, client: Option<(Arc<Peer>, Arc<Admission>)>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let front = self.front;
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(Body::new);
            if let Some((peer, admission)) = &client {
                request.extensions_mut().insert(Arc::clone(peer));
                if let Err(lapsed) = admission.check(SystemClock.now()) {
                    request.extensions_mut().insert(lapsed);
                }
            }
            let front = front.clone();
            async move { front.answer(request).await }
        });
        let builder = builder(self.limits.header_timeout);
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let drained = self.stop.drain.cancelled();
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = drained => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(remote = %self.remote, %error, "connection ended");
        }
    }
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER);
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
/// Clients send about ten.
const MAX_HEADERS: usize = 64;

#[cfg(test)]
mod tests;
