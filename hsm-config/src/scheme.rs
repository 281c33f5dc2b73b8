//! Which PKCS#11 mechanism makes the signature.
//!
//! Every module that was tested has `CKM_RSA_PKCS`; the mechanisms that hash inside the token are
//! missing from some, SHA-224 above all. So the service hashes and builds the `DigestInfo` by
//! default, and hashing inside is for HSMs whose policy forbids the raw operation.

use serde::Deserialize;

/// Where the digest is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignMechanism {
    /// In the token: `CKM_SHA1_RSA_PKCS` and `CKM_SHA224_RSA_PKCS`.
    Hashed,
    /// In the service: `CKM_RSA_PKCS` over a `DigestInfo`.
    #[default]
    Raw,
}
