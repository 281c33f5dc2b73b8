//! `/v1/audit`: the chain, for auditors.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::extract::{Auditor, Parameters};
use super::problem::{Kind, Problem};
use crate::signing::Service;

/// `GET`: the records behind a place, and where the chain ends.
///
/// The records stand in the answer byte for byte as they are hashed, so it is put together as text:
/// whoever copies one out of it can compute its hash. What is no JSON object, because somebody
/// changed the database meanwhile, stands there as a text, so that the others can be read and
/// whoever verifies them finds what is no record.
pub(super) async fn index(
    State(service): State<Arc<Service>>,
    _: Auditor,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, Problem> {
    let limit = wanted.limit()?;
    let store = service.store();
    let records = store.records(wanted.after, limit).await.map_err(|error| {
        Problem::new(Kind::StoreUnavailable, "the audit log cannot be read").caused_by(error)
    })?;
    // Read after the records: the chain is at least as long as the page.
    let head = store.state().head();
    let mut body = b"{\"records\":[".to_vec();
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&as_json(record));
    }
    body.extend_from_slice(b"],\"head\":");
    body.extend_from_slice(json!(head).to_string().as_bytes());
    body.push(b'}');
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    if records.len() == limit.get() {
        let shown = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let after = wanted.after.saturating_add(shown);
        let next = format!("</v1/audit?after={after}&limit={limit}>; rel=\"next\"");
        if let Ok(next) = next.parse() {
            response.headers_mut().insert(header::LINK, next);
        }
    }
    Ok(response)
}

fn as_json(record: &[u8]) -> Cow<'_, [u8]> {
    let is_object = record.starts_with(b"{") && record.ends_with(b"}");
    if is_object && serde_json::from_slice::<IgnoredAny>(record).is_ok() {
        return Cow::Borrowed(record);
    }
    let text = String::from_utf8_lossy(record);
    Cow::Owned(json!(text).to_string().into_bytes())
}

/// The parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

impl Wanted {
    fn limit(&self) -> Result<NonZeroUsize, Problem> {
        let limit = self.limit.unwrap_or(PAGE).min(LONGEST);
        NonZeroUsize::new(limit)
            .ok_or_else(|| Problem::new(Kind::Unprocessable, "limit: at least 1"))
    }
}

const PAGE: usize = 100;
/// A record is half a KiB; the answer is built in memory.
const LONGEST: usize = 1000;
