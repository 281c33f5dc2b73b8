//! The yardstick: axum and hyper with the service's own TLS configuration, and a handler that
//! answers with a constant.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use signer::clock::{Clock, SystemClock};
use signer::config::Config;
use signer::tls::ServerTls;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The first argument that makes this program the yardstick.
pub(crate) const MODE: &str = "--hello";

/// The running yardstick.
pub(crate) struct Hello {
    child: Child,
    address: SocketAddr,
}

impl Hello {
    /// Starts it with the TLS files of a service's configuration, and a body of so many bytes.
    pub(crate) fn start(config: &Path, body: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(MODE)
            .arg(config)
            .arg(body.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line
            .trim()
            .parse()
            .context("the yardstick does not start")?;
        Ok(Self { child, address })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until it is killed.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let config = PathBuf::from(arguments.next().context("no configuration")?);
    let body: usize = arguments.next().context("no length")?.parse()?;
    let tls = ServerTls::load(&Config::load(&config)?.tls, SystemClock.now())?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(TlsAcceptor::from(Arc::clone(&tls.config)), body))
}

async fn serve(acceptor: TlsAcceptor, body: usize) -> Result<()> {
    let body = Bytes::from(vec![b'x'; body]);
    let hello = move || {
        let body = body.clone();
        async move { ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body) }
    };
    let router = Router::new().route("/hello", get(hello));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            if let Ok(stream) = acceptor.accept(stream).await {
                let service = TowerToHyperService::new(router);
                let builder = Builder::new(TokioExecutor::new()).http1_only();
                // A client that goes ends its connection, and that is all there is to say.
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
    }
}
