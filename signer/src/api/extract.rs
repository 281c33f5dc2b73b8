//! What handlers ask for in their arguments, and the refusal if it is not there.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::Extensions;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};
use crate::authorize::{Identity, OperatorRole};
use crate::tls::peer::Peer;

/// Anybody with a certificate.
pub(super) struct Caller(pub(super) Arc<Peer>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        caller(&parts.extensions).map(|peer| Self(Arc::clone(peer)))
    }
}

/// Who is on the other end of the connection.
pub(super) fn caller(extensions: &Extensions) -> Result<&Arc<Peer>, Problem> {
    let peer = extensions.get::<Arc<Peer>>();
    peer.ok_or_else(|| Problem::new(Kind::Forbidden, "the connection has no client certificate"))
}

/// An admin, by name.
pub(super) struct Admin(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Caller(peer) = Caller::from_request_parts(parts, state).await?;
        match &peer.identity {
            Identity::Operator {
                role: OperatorRole::Admin,
                name,
            } => Ok(Self(name.clone())),
            other => Err(Problem::new(
                Kind::Forbidden,
                format!("this needs an admin's client certificate, and yours is {other}"),
            )),
        }
    }
}

/// An auditor.
pub(super) struct Auditor;

impl<S: Send + Sync> FromRequestParts<S> for Auditor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Caller(peer) = Caller::from_request_parts(parts, state).await?;
        match &peer.identity {
            Identity::Operator {
                role: OperatorRole::Auditor,
                ..
            } => Ok(Self),
            other => Err(Problem::new(
                Kind::Forbidden,
                format!("this needs an auditor's client certificate, and yours is {other}"),
            )),
        }
    }
}

/// The last variable part of the path.
pub(super) struct Name<T>(pub(super) T);

impl<S: Send + Sync, T: FromStr<Err: std::fmt::Display>> FromRequestParts<S> for Name<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::new(Kind::BadRequest, rejection.body_text()))?;
        let text = parameters.iter().last().map_or("", |(_, text)| text);
        named(text).map(Self)
    }
}

/// A variable part of a path.
pub(super) fn named<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    let parsed = text.parse();
    parsed.map_err(|error| Problem::new(Kind::BadRequest, format!("in the path: {error}")))
}

/// The query's parameters.
pub(super) struct Parameters<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(parameters)| Self(parameters))
            .map_err(|rejection| Problem::new(Kind::BadRequest, rejection.body_text()))
    }
}

/// A body of JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Json::from_request(request, state)
            .await
            .map(|Json(body)| Self(body))
            .map_err(|rejection| unreadable(&rejection))
    }
}

/// Tells where reading stopped, and never repeats what was sent: it may be a private key.
fn unreadable(rejection: &JsonRejection) -> Problem {
    let kind = Kind::of_status(rejection.status());
    match rejection {
        JsonRejection::JsonDataError(_) => Problem::new(
            Kind::Unprocessable,
            "the body is JSON, but a field is missing, unknown or has an impossible value",
        ),
        JsonRejection::JsonSyntaxError(_) => Problem::new(kind, "the body is not JSON"),
        JsonRejection::MissingJsonContentType(_) => {
            Problem::new(kind, "send the body with Content-Type: application/json")
        }
        _ => Problem::new(kind, "the body was not received as a whole, or is too long"),
    }
}
