//! The other end of the service's API, as masters and operators use it.
//!
//! The client trusts the CA file that it was given and nothing else: neither the system's roots nor
//! a proxy from the environment. What the service answers is data from a network: it is bounded,
//! parsed into types, and stripped of control characters before it can reach a terminal. Calls are
//! async so that a program with a runtime can make them; commands, which have none, put
//! [`Blocking`] around them.

mod answer;
mod credentials;
mod error;

use std::future::Future;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, KeyHash, PublicKey};
use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::authorize::{MasterId, SignedStatement};
use crate::clock::Timestamp;

pub use answer::{
    AuditPage, Fingerprints, KeyStatus, Master, MasterKey, Pending, Put, SignatureDocument,
    SigningKey, SigningKeys, WrongKey,
};
pub use credentials::{Credentials, CredentialsError, read_private_key};
pub use error::{Error, Problem, printable};

/// A connection to one service with one client certificate.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// Prepares the client; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Fails if `url` is not the https address of a service or the credentials do not fit together.
    pub fn new(url: &str, credentials: &Credentials) -> Result<Self, Error> {
        Self::with_deadline(url, credentials, REQUEST)
    }

    fn with_deadline(
        url: &str,
        credentials: &Credentials,
        deadline: Duration,
    ) -> Result<Self, Error> {
        let base = base(url)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(credentials.tls().map_err(Error::Credentials)?)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(deadline)
            .user_agent(concat!("mastersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::Setup)?;
        Ok(Self { http, base })
    }

    /// The service's name and its signing keys: `GET /v1/signing-keys`.
    ///
    /// # Errors
    ///
    /// [`Error::is_retryable`] tells whether the same call may succeed later.
    pub async fn signing_keys(&self) -> Result<SigningKeys, Error> {
        let url = self.url(&["v1", "signing-keys"]);
        self.read(self.request(Method::GET, url)).await
    }

    /// A signing key as minions get it, not checked: `GET /v1/signing-keys/{kid}/public.pem`.
    ///
    /// # Errors
    ///
    /// As [`signing_keys`](Self::signing_keys).
    pub async fn public_key(&self, key: KeyHash) -> Result<String, Error> {
        let url = self.url(&["v1", "signing-keys", &key.to_string(), "public.pem"]);
        let (_, bytes) = self.send(self.http.request(Method::GET, url)).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What the service's clock says, by the `Date` of an answer; `None` if it has none.
    ///
    /// # Errors
    ///
    /// As [`signing_keys`](Self::signing_keys).
    pub async fn time(&self) -> Result<Option<Timestamp>, Error> {
        let url = self.url(&["v1", "signing-keys"]);
        let response = self.request(Method::GET, url).send().await;
        let response = response.map_err(|cause| Error::from_transport(&self.base, cause))?;
        let date = response
            .headers()
            .get("date")
            .and_then(|date| date.to_str().ok());
        Ok(date.and_then(http_date))
    }

    /// Every master that the service knows: `GET /v1/masters`, page by page.
    ///
    /// What is decided meanwhile may be seen or not, as with any list.
    ///
    /// # Errors
    ///
    /// As [`signing_keys`](Self::signing_keys).
    pub async fn masters(&self) -> Result<Vec<Master>, Error> {
        let mut all: Vec<Master> = Vec::new();
        loop {
            let mut url = self.url(&["v1", "masters"]);
            if let Some(last) = all.last() {
                url.query_pairs_mut().append_pair("after", last.id.as_str());
            }
            let answer = self.exchange(self.request(Method::GET, url)).await?;
            // That there is more is believed, where it is to be found is known.
            let is_last = !answer.headers.contains_key(LINK);
            let page: answer::Masters = parse(&answer.body)?;
            let ids = all.last().into_iter().chain(&page.masters);
            if !ids
                .map(|master| &master.id)
                .is_sorted_by(|one, next| one < next)
            {
                return Err(out_of_order());
            }
            let is_progress = !page.masters.is_empty() && all.len() <= MOST_MASTERS;
            all.extend(page.masters);
            if is_last {
                return Ok(all);
            }
            if !is_progress {
                return Err(out_of_order());
            }
        }
    }

    /// One master: `GET /v1/masters/{id}`.
    ///
    /// # Errors
    ///
    /// As [`signing_keys`](Self::signing_keys); an unknown id is a [`Error::Refused`] with status
    /// 404.
    pub async fn master(&self, id: &MasterId) -> Result<Master, Error> {
        let url = self.url(&["v1", "masters", id.as_str()]);
        self.read(self.request(Method::GET, url)).await
    }

    /// Hands in an operator's decision: `POST /v1/masters/{id}/statements`.
    ///
    /// # Errors
    ///
    /// As [`signing_keys`](Self::signing_keys); a decision that somebody else made in between is a
    /// [`Error::Refused`] with status 409 and the current generation.
    pub async fn post_statement(
        &self,
        id: &MasterId,
        statement: &SignedStatement,
    ) -> Result<Master, Error> {
        let url = self.url(&["v1", "masters", id.as_str(), "statements"]);
        self.read(self.request(Method::POST, url).json(statement))
            .await
    }

    /// Asks for a signature over a master's public key: `PUT /v1/signatures/{sha256}`.
    ///
    /// Without an algorithm the service's setting for this master decides.
    ///
    /// # Errors
    ///
    /// As [`signing_keys`](Self::signing_keys).
    pub async fn put_signature(
        &self,
        key: &PublicKey,
        algorithm: Option<Algorithm>,
        time: Timestamp,
        proof: &[u8],
    ) -> Result<Put, Error> {
        let hash = key.hash().to_string();
        let body = serde_json::json!({
            "public_key": key.canonical(),
            "time": time,
            "proof": STANDARD.encode(proof),
        });
        let mut url = self.url(&["v1", "signatures", &hash]);
        if let Some(algorithm) = algorithm {
            url.query_pairs_mut()
                .append_pair("algorithm", algorithm.name());
        }
        let request = self.request(Method::PUT, url).json(&body);
        let (status, bytes) = self.send(request).await?;
        if status == StatusCode::ACCEPTED {
            return Ok(Put::Pending(parse(&bytes)?));
        }
        Ok(Put::Signed {
            new: status == StatusCode::CREATED,
            document: parse(&bytes)?,
        })
    }

    /// Reads a signature that was made before: `GET /v1/signatures/{sha256}`.
    ///
    /// # Errors
    ///
    /// As [`signing_keys`](Self::signing_keys); one that was never made is a [`Error::Refused`]
    /// with status 404.
    pub async fn get_signature(
        &self,
        key: KeyHash,
        algorithm: Option<Algorithm>,
        signing_key: Option<KeyHash>,
    ) -> Result<SignatureDocument, Error> {
        let mut url = self.url(&["v1", "signatures", &key.to_string()]);
        if let Some(algorithm) = algorithm {
            url.query_pairs_mut()
                .append_pair("algorithm", algorithm.name());
        }
        if let Some(signing_key) = signing_key {
            url.query_pairs_mut()
                .append_pair("key", &signing_key.to_string());
        }
        self.read(self.request(Method::GET, url)).await
    }

    /// The audit records behind `after`, and where the chain ends: `GET /v1/audit`.
    ///
    /// # Errors
    ///
    /// As [`signing_keys`](Self::signing_keys).
    pub async fn audit(&self, after: u64) -> Result<AuditPage, Error> {
        let mut url = self.url(&["v1", "audit"]);
        url.query_pairs_mut()
            .append_pair("after", &after.to_string())
            .append_pair("limit", "1000");
        self.read(self.request(Method::GET, url)).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        url
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http
            .request(method, url)
            .header("accept", "application/json")
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let (_, bytes) = self.send(request).await?;
        parse(&bytes)
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Error> {
        let answer = self.exchange(request).await?;
        Ok((answer.status, answer.body))
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Whole, Error> {
        let failed = |cause| Error::from_transport(&self.base, cause);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len().saturating_add(chunk.len()) > LARGEST_ANSWER {
                return Err(Error::TooLarge {
                    limit: LARGEST_ANSWER,
                });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            Ok(Whole {
                status,
                headers,
                body,
            })
        } else {
            Err(Error::Refused(Box::new(Problem::parse(
                status.as_u16(),
                &body,
            ))))
        }
    }
}

/// An answer that was read to its end.
struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A runtime of its own for programs that have none: it runs one call at a time on the calling
/// thread.
#[derive(Debug)]
pub struct Blocking {
    runtime: tokio::runtime::Runtime,
}

impl Blocking {
    /// Makes the runtime; no thread is started.
    ///
    /// # Errors
    ///
    /// Fails if the process is out of file descriptors.
    pub fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self { runtime })
    }

    /// Waits for a call. Must not be used inside another runtime.
    pub fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }
}

/// The scheme, host and port of the service; a path would be dropped in silence later, so it is
/// refused here.
fn base(url: &str) -> Result<Url, Error> {
    let refused = || Error::Url(printable(url));
    let parsed = Url::parse(url).map_err(|_| refused())?;
    let bare = parsed.scheme() == "https"
        && parsed.has_host()
        && parsed.path() == "/"
        && parsed.query().is_none()
        && parsed.fragment().is_none()
        && parsed.username().is_empty()
        && parsed.password().is_none();
    if bare { Ok(parsed) } else { Err(refused()) }
}

/// RFC 9110, section 5.6.7, in the form that everybody sends.
fn http_date(text: &str) -> Option<Timestamp> {
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Timestamp::from_unix(date.unix_timestamp()).ok()
}

/// A list that is not in the order of its ids would never end.
fn out_of_order() -> Error {
    let what = "the pages of masters do not follow each other";
    Error::Answer(serde::de::Error::custom(what))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(Error::Answer)
}

/// Long enough for a handshake across continents, short enough for a person at a terminal.
const CONNECT: Duration = Duration::from_secs(10);
/// More than the service waits for its HSM, including one restart of a worker.
const REQUEST: Duration = Duration::from_secs(60);
/// A page of a thousand masters has half of it; every other answer is far smaller.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;
/// A hundred times the largest fleet that the service is measured with.
const MOST_MASTERS: usize = 1_000_000;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
