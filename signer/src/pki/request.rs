//! A certificate signing request, of which only the key is taken.
//!
//! The names that a request asks for are the requester's word. Ours come from the operator who runs the command, so
//! a request for one master cannot be turned into a certificate of another.

use std::fmt;

use openssl::nid::Nid;
use openssl::x509::X509Req;

use super::Error;

/// The public key of a request whose holder proved to have the private one.
#[derive(Clone)]
pub struct Request {
    pub(super) spki: Vec<u8>,
}

impl Request {
    /// Reads a request in PEM and checks its signature.
    ///
    /// # Errors
    ///
    /// Fails if it is no request, if its signature is wrong, or if its key is not ECDSA P-256.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let refused = |reason| move |_| Error::Request(reason);
        let request = X509Req::from_pem(pem).map_err(refused("it is no PKCS#10 request in PEM"))?;
        let key = request
            .public_key()
            .map_err(refused("its key cannot be read"))?;
        let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
        if curve != Some(Nid::X9_62_PRIME256V1) {
            return Err(Error::Request(
                "its key is not ECDSA P-256; `openssl ecparam -name prime256v1 -genkey -noout` makes one",
            ));
        }
        if !request.verify(&key).unwrap_or(false) {
            return Err(Error::Request("its signature is not by its own key"));
        }
        let spki = key
            .public_key_to_der()
            .map_err(refused("its key cannot be encoded"))?;
        Ok(Self { spki })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}
