//! A certificate signing request, of which only the key is taken.
//!
//! The names that a request asks for are the requester's word. Ours come from the operator who runs
//! the command, so a request for one master cannot be turned into a certificate of another.

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
                "its key is not ECDSA P-256; `openssl ecparam -name prime256v1 -genkey -noout` \
                 makes one",
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openssl::hash::MessageDigest;
    use openssl::pkey::{PKey, Private};
    use openssl::x509::extension::SubjectAlternativeName;
    use openssl::x509::{X509, X509Name};
    use rcgen::KeyPair;

    use super::*;
    use crate::clock::Timestamp;
    use crate::pki::check::Report;
    use crate::pki::{Authority, Profile, Scope};

    const DAY: Duration = Duration::from_secs(86_400);
    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    #[test]
    fn the_same_key_gets_another_serial_number_each_time() {
        let authority = authority();
        let profile = client("mastersign:master:m-1");
        let (request, _) = request("mastersign:master:m-1");
        let certify = || authority.certify(&profile, &request, DAY, now()).unwrap().1;
        let (first, second) = (certify(), certify());
        assert_eq!(first.spki_sha256, second.spki_sha256);
        assert_ne!(first.serial, second.serial);
        assert_eq!(first.serial.len(), 32);
    }

    #[test]
    fn only_the_key_is_taken_from_a_request() {
        let authority = authority();
        let (request, key) = request("mastersign:admin:eve");
        let profile = client("mastersign:master:m-1");
        let (pem, _) = authority.certify(&profile, &request, DAY, now()).unwrap();
        let report = Report::of_pem(pem.as_bytes(), None, now());
        assert_eq!(report.certificates[0].names, ["URI:mastersign:master:m-1"]);
        let public = X509::from_pem(pem.as_bytes())
            .unwrap()
            .public_key()
            .unwrap();
        assert!(public.public_eq(&key));
    }

    #[test]
    fn a_request_with_a_wrong_signature_or_another_kind_of_key_is_refused() {
        let (key, other) = (key(), key());
        let rsa = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
        for (shown, signer) in [(&key, &other), (&rsa, &rsa)] {
            let pem = request_pem("mastersign:master:m-1", shown, signer);
            assert!(matches!(Request::from_pem(&pem), Err(Error::Request(_))));
        }
    }

    fn now() -> Timestamp {
        "2026-11-22T02:25:06Z".parse().unwrap()
    }

    fn authority() -> Authority {
        Authority::create(Scope::Masters, YEAR, now()).unwrap()
    }

    fn client(uri: &str) -> Profile {
        Profile::Client(uri.parse().unwrap())
    }

    fn key() -> PKey<Private> {
        let key = KeyPair::generate().unwrap().serialize_pem();
        PKey::private_key_from_pem(key.as_bytes()).unwrap()
    }

    fn request(uri: &str) -> (Request, PKey<Private>) {
        let key = key();
        let pem = request_pem(uri, &key, &key);
        (Request::from_pem(&pem).unwrap(), key)
    }

    fn request_pem(uri: &str, shown: &PKey<Private>, signer: &PKey<Private>) -> Vec<u8> {
        let mut subject = X509Name::builder().unwrap();
        subject.append_entry_by_text("CN", "eve").unwrap();
        let mut request = X509Req::builder().unwrap();
        request.set_subject_name(&subject.build()).unwrap();
        request.set_pubkey(shown).unwrap();
        let mut extensions = openssl::stack::Stack::new().unwrap();
        let name = SubjectAlternativeName::new()
            .uri(uri)
            .build(&request.x509v3_context(None))
            .unwrap();
        extensions.push(name).unwrap();
        request.add_extensions(&extensions).unwrap();
        request.sign(signer, MessageDigest::sha256()).unwrap();
        request.build().to_pem().unwrap()
    }
}
