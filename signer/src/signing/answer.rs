//! What a master gets, encoded once and sent as often as it is asked for.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderValue;
use minion::verify::PublicKey;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::store::StoredSignature;

/// The answer to a request for a signature.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The key waits for an operator.
    Pending(Arc<PublicKey>),
    /// The signature.
    Signed {
        /// Whether it was made for this request.
        new: bool,
        /// The signature and its encodings.
        ready: Arc<Ready>,
    },
}

/// A stored signature with everything that is sent about it.
#[derive(Debug)]
pub struct Ready {
    stored: Arc<StoredSignature>,
    is_new: bool,
    file: Bytes,
    document: Bytes,
    etag: HeaderValue,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    algorithm: &'a str,
    audit_seq: u64,
    created_at: Timestamp,
    master: &'a str,
    public_key_sha256: &'a str,
    signature: &'a str,
    signing_key: &'a str,
}

impl Ready {
    /// Prepares a signature that was made just now.
    #[must_use]
    pub fn made(stored: Arc<StoredSignature>) -> Self {
        Self {
            is_new: true,
            ..Self::stored(stored)
        }
    }

    /// Prepares a signature that was there before.
    #[must_use]
    pub fn stored(stored: Arc<StoredSignature>) -> Self {
        let raw = stored.signature.as_bytes();
        let file = stored.signature.to_file();
        let document = Document {
            algorithm: stored.algorithm.name(),
            audit_seq: stored.audit_seq,
            created_at: stored.created_at,
            master: stored.master.as_str(),
            public_key_sha256: &stored.key.to_string(),
            signature: file.trim_end(),
            signing_key: &stored.signing_key.to_string(),
        };
        Self {
            is_new: false,
            // Nothing in it can fail to be written.
            document: serde_json::to_vec(&document).unwrap_or_default().into(),
            file: file.into(),
            etag: quoted(&hex::encode(Sha256::digest(raw))),
            stored,
        }
    }

    /// The signature as the store knows it.
    #[must_use]
    pub const fn signature(&self) -> &Arc<StoredSignature> {
        &self.stored
    }

    /// The exact content of Salt's `master_pubkey_signature`.
    #[must_use]
    pub fn file(&self) -> Bytes {
        self.file.clone()
    }

    /// The signature and what it is for, in JSON.
    #[must_use]
    pub fn document(&self) -> Bytes {
        self.document.clone()
    }

    /// The strong entity tag of the signature, with its quotes.
    #[must_use]
    pub const fn etag(&self) -> &HeaderValue {
        &self.etag
    }

    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }
}

fn quoted(digits: &str) -> HeaderValue {
    // Digits and quotes are always a header's value.
    HeaderValue::try_from(format!("\"{digits}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}
