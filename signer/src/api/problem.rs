//! What a caller is told when something is refused: `application/problem+json` (RFC 9457).
//!
//! This is the only place where a reason becomes a status. Handlers say which [`Kind`] of refusal
//! it is; status, title and whether a repeat can help hang on the kind, so that two handlers cannot
//! answer the same reason differently. `type` is `urn:mastersign:problem:<code>`: a name, not a
//! link, since it must stay what it is after the documents about it moved.
//!
//! What is told and what is logged are two things. The chain of causes goes to the log next to the
//! request's id, the caller gets the id and a sentence of ours.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Why a request is refused.
///
/// Alphabetical within a status; the codes are part of the interface and never change their
/// meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is not one: JSON, a path or a query that cannot be read.
    BadRequest,
    /// The stored acceptance of this key does not hold against the operators' CA.
    AcceptanceInvalid,
    /// The client certificate counts no more.
    CertificateRefused,
    /// The caller's role may not do this.
    Forbidden,
    /// The master id has another accepted key.
    KeyDenied,
    /// An operator rejected this key.
    KeyRejected,
    /// An operator revoked this key, or the whole master.
    KeyRevoked,
    /// The key or the master belongs to somebody else.
    NotYours,
    /// The proof of possession does not hold.
    ProofRefused,
    /// The statement was not made by an operator whom the operators' CA vouches for.
    StatementRefused,
    /// There is nothing at this path, or nothing that this caller may know of.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The state changed in between, or does not allow this.
    Conflict,
    /// The body is longer than a request can be.
    BodyTooLarge,
    /// The body is of another type.
    UnsupportedMediaType,
    /// The key is no canonical PEM of an RSA public key.
    KeyNotCanonical,
    /// The key is weak, or of a size that is not signed.
    KeyUnfit,
    /// A field has a value that it cannot have.
    Unprocessable,
    /// The caller sent more requests than its share.
    TooManyRequests,
    /// A fault of ours.
    Internal,
    /// As many requests wait for the HSM as may wait.
    HsmSaturated,
    /// No HSM can sign at present.
    HsmUnavailable,
    /// The state cannot be read or written.
    StoreUnavailable,
    /// The answer was not ready in time.
    Timeout,
    /// The service cannot answer at all: it drains, or another part fails.
    Unavailable,
}

impl Kind {
    /// All, in no order.
    pub const ALL: [Self; 26] = [
        Self::BadRequest,
        Self::AcceptanceInvalid,
        Self::CertificateRefused,
        Self::Forbidden,
        Self::KeyDenied,
        Self::KeyRejected,
        Self::KeyRevoked,
        Self::NotYours,
        Self::ProofRefused,
        Self::StatementRefused,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::KeyNotCanonical,
        Self::KeyUnfit,
        Self::Unprocessable,
        Self::TooManyRequests,
        Self::Internal,
        Self::Unavailable,
        Self::HsmSaturated,
        Self::HsmUnavailable,
        Self::StoreUnavailable,
        Self::Timeout,
    ];

    /// The last part of `type`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::AcceptanceInvalid => "acceptance-invalid",
            Self::CertificateRefused => "certificate-refused",
            Self::Forbidden => "forbidden",
            Self::KeyDenied => "key-denied",
            Self::KeyRejected => "key-rejected",
            Self::KeyRevoked => "key-revoked",
            Self::NotYours => "not-yours",
            Self::ProofRefused => "proof-refused",
            Self::StatementRefused => "statement-refused",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RequestTimeout => "request-timeout",
            Self::Conflict => "conflict",
            Self::BodyTooLarge => "body-too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::KeyNotCanonical => "key-not-canonical",
            Self::KeyUnfit => "key-unfit",
            Self::Unprocessable => "unprocessable",
            Self::TooManyRequests => "too-many-requests",
            Self::Internal => "internal",
            Self::HsmSaturated => "hsm-saturated",
            Self::HsmUnavailable => "hsm-unavailable",
            Self::StoreUnavailable => "store-unavailable",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }

    /// The status that goes with it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::AcceptanceInvalid
            | Self::CertificateRefused
            | Self::Forbidden
            | Self::KeyDenied
            | Self::KeyRejected
            | Self::KeyRevoked
            | Self::NotYours
            | Self::ProofRefused
            | Self::StatementRefused => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::KeyNotCanonical | Self::KeyUnfit | Self::Unprocessable => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::HsmSaturated
            | Self::HsmUnavailable
            | Self::StoreUnavailable
            | Self::Timeout
            | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One sentence about the kind, the same every time.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request cannot be read",
            Self::AcceptanceInvalid => "The key's acceptance does not hold",
            Self::CertificateRefused => "The client certificate counts no more",
            Self::Forbidden => "Your role may not do this",
            Self::KeyDenied => "Another key is accepted for this master",
            Self::KeyRejected => "An operator rejected the key",
            Self::KeyRevoked => "An operator revoked the key",
            Self::NotYours => "This belongs to another master",
            Self::ProofRefused => "The proof of possession does not hold",
            Self::StatementRefused => "The statement does not hold",
            Self::NotFound => "There is nothing here",
            Self::MethodNotAllowed => "The path has no such method",
            Self::RequestTimeout => "The request did not arrive in time",
            Self::Conflict => "The state does not allow this",
            Self::BodyTooLarge => "The body is too long",
            Self::UnsupportedMediaType => "The body must be application/json",
            Self::KeyNotCanonical => "The key is not in canonical form",
            Self::KeyUnfit => "A key like this is not signed",
            Self::Unprocessable => "A field has an impossible value",
            Self::TooManyRequests => "Too many requests",
            Self::Internal => "The service failed",
            Self::HsmSaturated => "Too many requests wait for the HSM",
            Self::HsmUnavailable => "No HSM can sign at present",
            Self::StoreUnavailable => "The state cannot be read or written",
            Self::Timeout => "The answer was not ready in time",
            Self::Unavailable => "The service cannot answer at present",
        }
    }

    /// Whether the same request may succeed later without anybody's doing.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(
            self,
            Self::HsmSaturated
                | Self::HsmUnavailable
                | Self::RequestTimeout
                | Self::StoreUnavailable
                | Self::Timeout
                | Self::TooManyRequests
                | Self::Unavailable
        )
    }

    /// The kind for a status that a library chose.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::CONFLICT => Self::Conflict,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::Unprocessable,
            StatusCode::TOO_MANY_REQUESTS => Self::TooManyRequests,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            StatusCode::GATEWAY_TIMEOUT => Self::Timeout,
            other if other.is_client_error() => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

/// One refusal: what the caller is told, and the cause that is only logged.
///
/// As a response it carries itself along, and the server adds the request's id and logs the cause,
/// see [`Self::render`].
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A refusal with a sentence for the caller: what was refused, why, what to try.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            members: Map::new(),
            retry_after: None,
            source: None,
        }
    }

    /// A fault of ours; the caller learns nothing but the request's id.
    #[must_use]
    pub fn internal(source: impl Error + Send + Sync + 'static) -> Self {
        Self::new(Kind::Internal, INTERNAL).caused_by(source)
    }

    /// Adds the cause, for the log only.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Adds a member of its own to the answer, like `generation` to a conflict.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Says when a repeat makes sense; without it a retriable problem says a few seconds.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Why the request is refused.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence for the caller.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The cause, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    /// The response with the request's id in it.
    #[must_use]
    pub fn render(&self, request: Uuid) -> Response {
        self.response(Some(request))
    }

    fn response(&self, request: Option<Uuid>) -> Response {
        let mut body = self.members.clone();
        let mut member = |name: &str, value: Value| body.insert(name.to_owned(), value);
        member("type", json!(format!("{NAMESPACE}{}", self.kind.code())));
        member("title", json!(self.kind.title()));
        member("status", json!(self.kind.status().as_u16()));
        member("detail", json!(self.detail));
        member("retriable", json!(self.kind.is_retriable()));
        if let Some(request) = request {
            member("request_id", json!(request));
        }
        let mut response = (self.kind.status(), Value::Object(body).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.kind == Kind::CertificateRefused {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.kind.is_retriable() {
            headers.insert(header::RETRY_AFTER, self.seconds(request).into());
        }
        response
    }

    /// Spreads the repeats of many callers who failed in the same moment; a random id is random
    /// enough for that.
    fn seconds(&self, request: Option<Uuid>) -> u64 {
        let after = self.retry_after.unwrap_or(RETRY_AFTER).as_secs().max(1);
        let spread = request.map_or(0, |id| id.as_u64_pair().1);
        after.saturating_add(spread.checked_rem(after.saturating_add(1)).unwrap_or(0))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.response(None);
        response.extensions_mut().insert(self);
        response
    }
}

/// The media type of RFC 9457.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What precedes the code in `type`.
pub const NAMESPACE: &str = "urn:mastersign:problem:";

const INTERNAL: &str = "the service failed; its log has the reason under this request_id";
/// An HSM worker that died is back within this time.
const RETRY_AFTER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn a_problem_has_the_members_of_rfc_9457_and_its_own() {
        let id = Uuid::from_u128(5);
        let problem = Problem::new(Kind::Conflict, "generation 3 is current").with("generation", 3);
        let response = problem.render(id);
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let expected = json!({
            "type": "urn:mastersign:problem:conflict",
            "title": "The state does not allow this",
            "status": 409,
            "detail": "generation 3 is current",
            "retriable": false,
            "request_id": id,
            "generation": 3,
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn the_cause_is_not_told() {
        let cause = std::io::Error::other("password in /root/secret");
        let problem = Problem::internal(cause);
        assert!(problem.cause().is_some());
        let body = to_bytes(problem.render(Uuid::nil()).into_body(), 4096)
            .await
            .unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }

    #[test]
    fn a_member_cannot_replace_one_of_the_standard() {
        let response = Problem::new(Kind::NotFound, "x").with("status", 200);
        let standard = response.response(None);
        assert_eq!(standard.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn what_can_be_repeated_says_when_and_callers_are_spread() {
        let problem = Problem::new(Kind::HsmUnavailable, "x").retry_after(Duration::from_secs(4));
        let seconds: BTreeSet<u64> = (0..64)
            .map(|id| problem.seconds(Some(Uuid::from_u128(id))))
            .collect();
        assert_eq!(seconds, (4..=8).collect());
        let header = problem.render(Uuid::nil()).headers()[header::RETRY_AFTER].clone();
        assert_eq!(header, "4");
    }

    #[test]
    fn every_code_is_its_own() {
        let codes: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::code).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
            if kind.status() == StatusCode::SERVICE_UNAVAILABLE {
                assert!(kind.is_retriable(), "{kind:?}");
            }
        }
    }
}
