//! A TLS handshake made for the sake of its failure.
//!
//! A server that refuses a client certificate says so after the handshake, in TLS 1.3, with one
//! byte; a client that refuses a server often says nothing. Here both ends' reasons become
//! sentences, and the server's certificates are reported even when they are refused.

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
    /// The TLS library refuses the own settings, as for a key that does not belong to the
    /// certificate.
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

/// Makes the handshake and one small request, since a refusal of the client certificate comes with
/// the first answer.
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
            "the server does not trust the authority of this client certificate: masters' \
             certificates must come from its masters' CA, all others from its operators' CA"
        }
        AlertDescription::CertificateExpired => {
            "the server says that the client certificate has ended or is not valid yet; compare \
             the clocks"
        }
        AlertDescription::CertificateRevoked => {
            "the server says that the client certificate is revoked"
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => {
            "the server refuses the client certificate; `mastersign pki check` on its file says \
             what is wrong, and the server's log says what it saw"
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
            "the server's certificate does not name the host by which it was called: issue one \
             with that --host"
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
    use rustls::{ServerConfig, ServerConnection};

    use super::*;
    use crate::pki::{Authority, Issued, Profile, Scope};

    const DAY: Duration = Duration::from_secs(86_400);
    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    struct Pki {
        service: Authority,
        masters: Authority,
    }

    impl Pki {
        fn new() -> Self {
            let create = |scope| Authority::create(scope, YEAR, now()).unwrap();
            Self {
                service: create(Scope::Service),
                masters: create(Scope::Masters),
            }
        }

        fn server(&self, host: &str) -> Issued {
            let profile = Profile::Server(vec![host.parse().unwrap()]);
            self.service.issue(&profile, DAY, now()).unwrap()
        }

        fn master(&self) -> Issued {
            let profile = Profile::Client("mastersign:master:m-1".parse().unwrap());
            self.masters.issue(&profile, DAY, now()).unwrap()
        }

        /// A server that trusts the masters' authority and answers one connection.
        fn serve(&self, shown: &Issued) -> String {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut roots = RootCertStore::empty();
            let ca = self.masters.certificate_pem().as_bytes();
            roots
                .add(CertificateDer::from_pem_slice(ca).unwrap())
                .unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .unwrap();
            let certificate = CertificateDer::from_pem_slice(shown.certificate_pem.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(shown.key_pem.as_bytes()).unwrap();
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .with_client_cert_verifier(verifier)
                .with_single_cert(vec![certificate.unwrap()], key)
                .unwrap();
            config.session_storage = Arc::new(NoServerSessionStorage {});
            let config = Arc::new(config);
            answer(move |mut stream| {
                let mut connection = ServerConnection::new(config).unwrap();
                let mut tls = rustls::Stream::new(&mut connection, &mut stream);
                if tls.read(&mut [0; 64]).is_ok() {
                    tls.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
                }
                // Until the other end hangs up, so that no reset overtakes the alert.
                stream.read_to_end(&mut Vec::new()).ok();
            })
        }

        fn check(&self, address: &str, client: Option<&Issued>) -> Report {
            let folder = tempfile::tempdir().unwrap();
            let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("c.key"));
            if let Some(issued) = client {
                std::fs::write(&certificate, &issued.certificate_pem).unwrap();
                std::fs::write(&key, issued.key_pem.as_bytes()).unwrap();
            }
            let call = Call {
                address,
                authorities: self.service.certificate_pem().as_bytes(),
                client: client.map(|_| (certificate.as_path(), key.as_path())),
            };
            check(call, now()).unwrap()
        }
    }

    #[test]
    fn a_good_handshake_shows_the_server_and_no_problem() {
        let pki = Pki::new();
        let address = pki.serve(&pki.server("localhost"));
        let report = pki.check(&address, Some(&pki.master()));
        assert!(report.is_good(), "{report:?}");
        assert_eq!(report.certificates[0].names, ["DNS:localhost"]);
    }

    #[test]
    fn a_missing_client_certificate_is_named() {
        let pki = Pki::new();
        let address = pki.serve(&pki.server("localhost"));
        problem(&pki.check(&address, None), "asks for a client certificate");
    }

    #[test]
    fn a_client_of_another_authority_is_named() {
        let pki = Pki::new();
        let address = pki.serve(&pki.server("localhost"));
        let stranger = Pki::new().master();
        problem(
            &pki.check(&address, Some(&stranger)),
            "does not trust the authority",
        );
    }

    #[test]
    fn a_server_under_another_name_is_named_and_shown() {
        let pki = Pki::new();
        let address = pki.serve(&pki.server("signer.example"));
        let report = pki.check(&address, Some(&pki.master()));
        problem(&report, "does not name the host");
        assert_eq!(report.certificates[0].names, ["DNS:signer.example"]);
    }

    #[test]
    fn a_server_of_another_authority_is_named() {
        let pki = Pki::new();
        let address = pki.serve(&Pki::new().server("localhost"));
        problem(&pki.check(&address, None), "did not sign");
    }

    #[test]
    fn a_server_that_shows_a_client_s_certificate_is_named() {
        let pki = Pki::new();
        let address = pki.serve(&pki.master());
        assert!(!pki.check(&address, None).is_good());
    }

    #[test]
    fn what_does_not_speak_tls_is_named() {
        let address = answer(|mut stream| {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .unwrap();
            stream.read_to_end(&mut Vec::new()).ok();
        });
        problem(&Pki::new().check(&address, None), "does not speak TLS");
    }

    #[test]
    fn a_closed_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        drop(listener);
        problem(&Pki::new().check(&address, None), "nothing listens");
    }

    fn now() -> Timestamp {
        use crate::clock::{Clock, SystemClock};

        SystemClock.now()
    }

    /// Listens on a free port and hands the first connection over.
    fn answer(with: impl FnOnce(TcpStream) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || with(listener.accept().unwrap().0));
        format!("localhost:{port}")
    }

    fn problem(report: &Report, words: &str) {
        assert!(
            report.problems.iter().any(|text| text.contains(words)),
            "{report:?}"
        );
    }
}
