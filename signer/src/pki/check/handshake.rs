//! A TLS handshake made for the sake of its failure.
//!
//! A server that refuses a client certificate says so after the handshake, in TLS 1.3, with one byte; a client that
//! refuses a server often says nothing. Here both ends' reasons become sentences, and the server's certificates are
//! reported even when they are refused.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct,
    RootCertStore, SignatureScheme,
};

use super::Report;
use crate::clock::Timestamp;

/// Whom to call, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `host:port`.
    pub address: &'a str,
    /// The service's authority in PEM.
    pub authorities: &'a [u8],
    /// The own certificate and key files, if the service should see them.
    pub client: Option<(&'a Path, &'a Path)>,
}

/// Makes the handshake and reports what the server showed and what was refused by whom.
///
/// # Errors
///
/// Fails only if what was given cannot be used at all; a refused handshake is a report.
pub fn check(call: Call<'_>, now: Timestamp) -> Result<Report, HandshakeError> {
    let (host, _) = call
        .address
        .rsplit_once(':')
        .ok_or(HandshakeError::Address)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(|_| HandshakeError::Address)?;
    let verifier = Arc::new(Recorder::new(call.authorities)?);
    let config = client_config(&verifier, call.client)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(HandshakeError::Tls)?;
    let outcome = connect(call.address).and_then(|stream| speak(connection, stream));
    let mut report = Report::default();
    let chain = verifier.seen();
    report.inspect(&chain, Some(call.authorities), now);
    if let Err(reason) = outcome {
        report.problem(reason);
    }
    if report
        .certificates
        .first()
        .is_some_and(|leaf| leaf.is_authority)
    {
        report.problem("the server shows an authority's certificate instead of its own");
    }
    report.problems.dedup();
    Ok(report)
}

/// Why no handshake was tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Not `host:port`.
    #[error("an address is host:port, with an IPv6 address in brackets")]
    Address,
    /// No usable CA certificate.
    #[error("the file of the authority holds no usable certificate")]
    Authority,
    /// An own certificate or key that cannot be read.
    #[error("failed to read the client certificate or key from {path}")]
    Client {
        /// The file.
        path: String,
        /// What the parser or the system said.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The TLS library refuses the own settings, as for a key that does not belong to the certificate.
    #[error("the TLS library refuses the certificate, the key or the host name")]
    Tls(#[source] rustls::Error),
}

fn client_config(
    verifier: &Arc<Recorder>,
    client: Option<(&Path, &Path)>,
) -> Result<ClientConfig, HandshakeError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(HandshakeError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Recorder>::clone(verifier));
    let Some((certificate, key)) = client else {
        return Ok(builder.with_no_client_auth());
    };
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| HandshakeError::Client { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(failed(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(HandshakeError::Tls)
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let addresses = address
        .to_socket_addrs()
        .map_err(|error| format!("the name in {address} was not found: {error}"))?;
    let mut last = format!("the name in {address} has no address");
    for candidate in addresses {
        match TcpStream::connect_timeout(&candidate, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                last = format!("nothing listens at {candidate}");
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                last = format!("{candidate} does not answer: a firewall, or the machine is down");
            }
            Err(error) => last = format!("no connection to {candidate}: {error}"),
        }
    }
    Err(last)
}

/// Makes the handshake and one small request, since a refusal of the client certificate comes with the first answer.
fn speak(mut connection: ClientConnection, mut stream: TcpStream) -> Result<(), String> {
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .map_err(|error| format!("the socket refuses a timeout: {error}"))?;
    connection
        .complete_io(&mut stream)
        .map_err(|error| explain(&error))?;
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    let mut first = [0; 1];
    tls.write_all(b"HEAD / HTTP/1.1\r\nHost: check\r\nConnection: close\r\n\r\n")
        .and_then(|()| tls.read(&mut first))
        .map_err(|error| explain(&error))?;
    Ok(())
}

fn explain(error: &io::Error) -> String {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match (cause, error.kind()) {
        (Some(rustls::Error::AlertReceived(alert)), _) => explain_alert(*alert),
        (Some(rustls::Error::InvalidCertificate(refusal)), _) => explain_refusal(refusal),
        (Some(rustls::Error::InvalidMessage(_)), _) => {
            "what answers there does not speak TLS; is it another port, or plain HTTP?".to_owned()
        }
        (Some(rustls::Error::PeerIncompatible(_)), _) => {
            "the server does not speak TLS 1.3, so it is not ours".to_owned()
        }
        (Some(other), _) => format!("the handshake failed: {other}"),
        (None, ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            "the server accepted the connection and then said nothing".to_owned()
        }
        (None, _) => format!("the server broke off: {error}"),
    }
}

fn explain_alert(alert: AlertDescription) -> String {
    let reason = match alert {
        AlertDescription::CertificateRequired => {
            "the server asks for a client certificate, and none was shown: give --cert and --key"
        }
        AlertDescription::UnknownCA => {
            "the server does not trust the authority of this client certificate: masters' certificates must come \
             from its masters' CA, all others from its operators' CA"
        }
        AlertDescription::CertificateExpired => {
            "the server says that the client certificate has ended or is not valid yet; compare the clocks"
        }
        AlertDescription::CertificateRevoked => {
            "the server says that the client certificate is revoked"
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => {
            "the server refuses the client certificate; `mastersign pki check` on its file says what is wrong, and \
             the server's log says what it saw"
        }
        AlertDescription::AccessDenied => "the server denies access to this client certificate",
        AlertDescription::ProtocolVersion => "the server does not speak TLS 1.3, so it is not ours",
        AlertDescription::UnrecognisedName => {
            "the server does not know the name by which it was called"
        }
        other => return format!("the server broke off with the alert {other:?}"),
    };
    reason.to_owned()
}

fn explain_refusal(refusal: &CertificateError) -> String {
    match refusal {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate does not name the host by which it was called: issue one with that --host"
                .to_owned()
        }
        CertificateError::UnknownIssuer => {
            "the given authority did not sign the server's certificate".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has ended".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; compare the clocks".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the server shows a certificate that is not for servers (serverAuth)".to_owned()
        }
        other => format!("the server's certificate is refused: {other}"),
    }
}

/// Verifies as any client does, and remembers what it saw.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    seen: Mutex<Vec<CertificateDer<'static>>>,
}

impl Recorder {
    fn new(authorities: &[u8]) -> Result<Self, HandshakeError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            let certificate = certificate.map_err(|_| HandshakeError::Authority)?;
            roots
                .add(certificate)
                .map_err(|_| HandshakeError::Authority)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| HandshakeError::Authority)?;
        Ok(Self {
            verifier,
            seen: Mutex::default(),
        })
    }

    fn seen(&self) -> Vec<CertificateDer<'static>> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            chain.cloned().map(CertificateDer::into_owned).collect();
        self.verifier
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
