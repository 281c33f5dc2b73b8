//! A client that costs as little as it can: one connection, one request at a time, bytes that were
//! made before.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use softhsm_tests::pki::Papers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// TLS 1.3 with a client certificate, and no resumption: the service offers none either.
pub(crate) fn tls(papers: &Papers) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&papers.ca)? {
        roots.add(certificate?)?;
    }
    let chain = CertificateDer::pem_file_iter(&papers.certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&papers.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// An open connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let name = ServerName::from(address.ip());
        Ok(Self {
            stream: connector.connect(name, socket).await?,
            buffer: Vec::with_capacity(4096),
        })
    }

    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the connection ended");
            if let Some(answer) = parse(&self.buffer)? {
                return Ok(answer);
            }
        }
    }

    /// Asks again for what was answered before; `length` is that of the whole answer, which has no
    /// part that changes its length.
    pub(crate) async fn again(&mut self, request: &[u8], length: usize, body: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        while self.buffer.len() < length {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the connection ended");
        }
        ensure!(
            self.buffer.starts_with(b"HTTP/1.1 200 ") && self.buffer.ends_with(body),
            "another answer: {}",
            String::from_utf8_lossy(&self.buffer)
        );
        Ok(())
    }

    /// How long the last answer was, with its header.
    pub(crate) fn length(&self) -> usize {
        self.buffer.len()
    }

    /// The same, and fails unless it is this status.
    pub(crate) async fn expect(&mut self, request: &[u8], status: u16) -> Result<Vec<u8>> {
        let answer = self.exchange(request).await?;
        ensure!(
            answer.status == status,
            "{} in the place of {status}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(answer.body)
    }
}

/// An answer with a `Content-Length`, once it is whole.
fn parse(bytes: &[u8]) -> Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = head.parse(bytes)? else {
        return Ok(None);
    };
    let length = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("an answer without a length")?.value;
    let length: usize = std::str::from_utf8(length)?.parse()?;
    let body = bytes.get(end..).unwrap_or_default();
    Ok((body.len() >= length).then(|| Answer {
        status: head.code.unwrap_or(0),
        body: body.to_vec(),
    }))
}

/// `GET` without anything that need not be.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// `PUT` of a JSON document.
pub(crate) fn put(path: &str, document: &str) -> Vec<u8> {
    format!(
        "PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{document}",
        document.len()
    )
    .into_bytes()
}
