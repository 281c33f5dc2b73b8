//! Why a call failed, in words that say what to try.
//!
//! A refused connection, a certificate that does not verify and a service that does not answer need
//! three different people, so they are told apart here instead of being "error sending request".

use std::error::Error as StdError;
use std::io;

use reqwest::Url;
use serde::Deserialize;

use super::CredentialsError;

/// Why there is no answer, or none that helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The answer is not what the API says.
    #[error(
        "the service's answer is not what this version understands; are both of the same release?"
    )]
    Answer(#[source] serde_json::Error),
    /// Nobody listens there.
    #[error(
        "nobody listens at {0}; is the service running, and is the address that of its API \
         listener?"
    )]
    ConnectionRefused(String),
    /// The connection ended before the answer did.
    #[error(
        "{0} closed the connection before it answered; if this happens every time, the service \
         does not accept the client certificate: its log says why"
    )]
    ConnectionReset(String),
    /// Our certificate, key or CA cannot be used.
    #[error("failed to prepare the TLS client")]
    Credentials(#[source] CredentialsError),
    /// The service understood and said no.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The HTTP client cannot be made.
    #[error("failed to prepare the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// No answer in time.
    #[error(
        "{0} did not answer in time; the request may have been carried out, and repeating it is \
         safe"
    )]
    Timeout(String),
    /// The TLS handshake failed.
    #[error("no TLS connection with {address}: {advice}")]
    Tls {
        /// The service.
        address: String,
        /// What the reason usually means.
        advice: &'static str,
        /// The reason.
        #[source]
        source: rustls::Error,
    },
    /// An answer beyond all measure.
    #[error("the service's answer is larger than {limit} bytes, so it was not read")]
    TooLarge {
        /// Where reading ended.
        limit: usize,
    },
    /// The transport failed in another way.
    #[error("failed to reach {address}; check the address, name resolution and the network")]
    Transport {
        /// The service.
        address: String,
        /// What the HTTP client says.
        #[source]
        source: reqwest::Error,
    },
    /// Not the address of a service.
    #[error("{0:?} is not the address of a service; give https://HOST:PORT without a path")]
    Url(String),
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything here.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::ConnectionRefused(_)
            | Self::ConnectionReset(_)
            | Self::Timeout(_)
            | Self::Transport { .. } => true,
            Self::Refused(problem) => problem.retriable,
            Self::Answer(_)
            | Self::Credentials(_)
            | Self::Setup(_)
            | Self::Tls { .. }
            | Self::TooLarge { .. }
            | Self::Url(_) => false,
        }
    }

    /// The HTTP status, if the service answered with one.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            _ => None,
        }
    }

    pub(super) fn from_transport(base: &Url, error: reqwest::Error) -> Self {
        let address = base.origin().ascii_serialization();
        if let Some(source) = tls_reason(&error) {
            return Self::Tls {
                address,
                advice: advice(&source),
                source,
            };
        }
        if error.is_timeout() {
            return Self::Timeout(address);
        }
        match io_kind(&error) {
            Some(io::ErrorKind::ConnectionRefused) => Self::ConnectionRefused(address),
            Some(
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof,
            ) => Self::ConnectionReset(address),
            _ => Self::Transport {
                address,
                source: error,
            },
        }
    }
}

/// An RFC 9457 answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Problem {
    /// The stable name of the problem.
    pub kind: Option<String>,
    /// The HTTP status.
    pub status: u16,
    /// What it is, in a few words.
    pub title: Option<String>,
    /// What it is in this case.
    pub detail: Option<String>,
    /// What to search the service's log for.
    pub request_id: Option<String>,
    /// Whether the same request may succeed later.
    pub retriable: bool,
    /// In a conflict, how many decisions were taken about the master.
    pub generation: Option<u64>,
}

impl Problem {
    /// Reads the body; one that is no problem document leaves only the status.
    #[must_use]
    pub fn parse(status: u16, body: &[u8]) -> Self {
        let raw: RawProblem = serde_json::from_slice(body).unwrap_or_default();
        let clean = |text: Option<String>| text.map(|text| printable(&text));
        Self {
            kind: clean(raw.kind),
            status,
            title: clean(raw.title),
            detail: clean(raw.detail),
            request_id: clean(raw.request_id),
            retriable: raw.retriable.unwrap_or(matches!(status, 429 | 502..=504)),
            generation: raw.generation,
        }
    }

    fn text(&self) -> String {
        let mut text = match (&self.title, &self.detail) {
            (Some(title), Some(detail)) => format!("{title}: {detail}"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => format!(
                "the service answered with status {} and without an explanation; is this address \
                 really its API listener?",
                self.status
            ),
        };
        if let Some(id) = &self.request_id {
            text.push_str(&format!(" (status {}, request {id})", self.status));
        }
        text
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawProblem {
    #[serde(rename = "type")]
    kind: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    request_id: Option<String>,
    retriable: Option<bool>,
    generation: Option<u64>,
}

/// Text from elsewhere, made safe for a terminal: no control characters, and not longer than a
/// screen.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_TEXT)
        .collect()
}

fn advice(reason: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error as Tls};
    match reason {
        // A CA that was made anew has the name of the old one, and then only the signature tells.
        Tls::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "its certificate is not from the CA that was given; check --ca, and that this is the \
             right service"
        }
        Tls::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another name; use the name it was issued for in the address",
        Tls::InvalidCertificate(
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. },
        ) => {
            "its certificate is not valid at this time; check this machine's clock, then renew the \
             certificate"
        }
        Tls::InvalidCertificate(_) => "its certificate was not accepted",
        Tls::AlertReceived(
            Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateRequired
            | Alert::CertificateUnknown
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied
            | Alert::UnknownCA
            | Alert::DecryptError,
        ) => {
            "it does not accept the client certificate; have a new one issued by the CA that the \
             service trusts"
        }
        Tls::AlertReceived(_) => "it refused the handshake; its log says why",
        Tls::InvalidMessage(_) => "what listens there does not speak TLS",
        _ => "the handshake failed",
    }
}

/// The TLS error in the chain; it hides inside `io::Error`s, which show their content by `get_ref`
/// only.
fn tls_reason(error: &(dyn StdError + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<rustls::Error>() {
            return Some(found.clone());
        }
        let inner = current
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| tls_reason(inner)) {
            return Some(found);
        }
        next = current.source();
    }
    None
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<io::Error>() {
            return Some(found.kind());
        }
        next = current.source();
    }
    None
}

const LONGEST_TEXT: usize = 2000;
