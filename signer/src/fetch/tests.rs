//! The whole of a fetch against a service that answers well, late or wrongly.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, KeyHash};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::json;

use super::*;
use crate::authorize::{Proof, Purpose};
use crate::client::testing::{Server, TestPki, reply};
use crate::clock::SystemClock;

const STORE: &str = "00000000-0000-0000-0000-000000000007";

/// A master with its files, and the key that its service signs with.
struct Scene {
    pki: TestPki,
    master: Rsa<Private>,
    signing: Rsa<Private>,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            pki: TestPki::new(),
            master: Rsa::generate(2048).unwrap(),
            signing: Rsa::generate(2048).unwrap(),
        };
        let pki_dir = scene.pki.path("pki");
        fs::create_dir(&pki_dir).unwrap();
        fs::write(
            pki_dir.join("master.pub"),
            scene.master.public_key_to_pem().unwrap(),
        )
        .unwrap();
        fs::write(
            pki_dir.join("master.pem"),
            scene.master.private_key_to_pem().unwrap(),
        )
        .unwrap();
        fs::create_dir(scene.pki.path("salt")).unwrap();
        let options = format!("pki_dir: {}\n", pki_dir.display());
        fs::write(scene.pki.path("salt/master"), options).unwrap();
        let pinned = scene.signing.public_key_to_pem().unwrap();
        fs::write(scene.pki.path("master_sign.pub"), pinned).unwrap();
        scene
    }

    fn file(&self) -> PathBuf {
        self.pki.path("pki/master_pubkey_signature")
    }

    fn fetch(&self, server: &Server) -> Fetch {
        let (certificate, key) = self.pki.client("m1", "mastersign:master:m1");
        let settings = Settings {
            url: server.url(),
            ca: self.pki.ca(),
            certificate,
            key,
            master_sign_pub: self.pki.path("master_sign.pub"),
            salt_config: self.pki.path("salt"),
            algorithm: None,
        };
        Prepared::read(settings).unwrap().enter().unwrap()
    }

    /// A service that signs with `key` after answering `pending` so many times.
    fn service(&self, key: &Rsa<Private>, pending: usize) -> Server {
        let document = self.document(key);
        let keys = json!({
            "store": STORE,
            "signing_keys": [{"id": hash(&self.signing).to_string(), "state": "active"}],
        });
        let puts = AtomicUsize::new(0);
        let hash = hash(&self.master);
        Server::start(self.pki.server("localhost"), move |request| {
            if request.starts_with("GET /v1/signing-keys ") {
                return reply(200, &keys.to_string());
            }
            if request.starts_with("GET ") || puts.fetch_add(1, Ordering::SeqCst) >= pending {
                return reply(200, &document.to_string());
            }
            let pending = json!({"status": "pending", "public_key_sha256": hash.to_string()});
            reply(202, &pending.to_string())
        })
    }

    fn document(&self, key: &Rsa<Private>) -> serde_json::Value {
        let key = PKey::from_rsa(key.clone()).unwrap();
        let pem = self.master.public_key_to_pem().unwrap();
        let mut signer = Signer::new(MessageDigest::sha1(), &key).unwrap();
        let signature = signer.sign_oneshot_to_vec(pem.trim_ascii()).unwrap();
        json!({
            "signature": STANDARD.encode(signature),
            "algorithm": "PKCS1v15-SHA1",
            "public_key_sha256": hash(&self.master).to_string(),
            "signing_key": hash(&self.signing).to_string(),
            "master": "m1",
            "created_at": "2026-11-22T02:25:06Z",
            "audit_seq": 1,
        })
    }
}

fn hash(key: &Rsa<Private>) -> KeyHash {
    let pem = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
    PublicKey::decode(&pem).unwrap().hash()
}

const WRITTEN: Outcome = Outcome::Written {
    algorithm: Algorithm::Sha1,
};

#[test]
fn a_signature_is_written_once_and_then_left_alone() {
    let scene = Scene::new();
    let server = scene.service(&scene.signing, 0);
    let fetch = scene.fetch(&server);
    let would = Outcome::WouldWrite {
        algorithm: Algorithm::Sha1,
    };
    assert_eq!(fetch.dry_run().unwrap(), would);
    assert!(!scene.file().exists());
    assert_eq!(fetch.run(None, &SystemClock, |_| ()).unwrap(), WRITTEN);
    let content = fs::read_to_string(scene.file()).unwrap();
    let expected = scene.document(&scene.signing);
    assert_eq!(
        content,
        format!("{}\n", expected["signature"].as_str().unwrap())
    );
    let unchanged = Outcome::Unchanged {
        algorithm: Algorithm::Sha1,
    };
    assert_eq!(fetch.run(None, &SystemClock, |_| ()).unwrap(), unchanged);
    assert_eq!(fetch.missing_lines().len(), 3);
}

#[test]
fn the_proof_is_by_the_masters_key_over_the_agreed_text() {
    let scene = Scene::new();
    let server = scene.service(&scene.signing, 0);
    let fetch = scene.fetch(&server);
    fetch.run(None, &SystemClock, |_| ()).unwrap();
    let put = server.requests().pop().unwrap();
    let body: serde_json::Value =
        serde_json::from_str(put.split_once("\r\n\r\n").unwrap().1).unwrap();
    let proof = Proof {
        purpose: Purpose::Put,
        store: STORE.parse().unwrap(),
        client_key: fetch.prepared.credentials.client_key(),
        key: hash(&scene.master),
        master: "m1".parse().unwrap(),
        time: body["time"].as_str().unwrap().parse().unwrap(),
    };
    let signature = STANDARD.decode(body["proof"].as_str().unwrap()).unwrap();
    proof.verify(fetch.key(), &signature, proof.time).unwrap();
}

#[test]
fn an_answer_that_does_not_verify_leaves_the_old_file_in_its_place() {
    let scene = Scene::new();
    fs::write(scene.file(), "old\n").unwrap();
    let forger = Rsa::generate(2048).unwrap();
    let server = scene.service(&forger, 0);
    let fetch = scene.fetch(&server);
    let outcome = fetch.run(None, &SystemClock, |_| ()).unwrap();
    assert!(matches!(outcome, Outcome::Mismatch { .. }), "{outcome:?}");
    assert_eq!(fs::read_to_string(scene.file()).unwrap(), "old\n");
    assert_eq!(fs::read_dir(scene.pki.path("pki")).unwrap().count(), 3);
}

#[test]
fn a_service_without_the_pinned_key_is_not_even_asked() {
    let scene = Scene::new();
    let server = scene.service(&scene.signing, 0);
    let other = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
    fs::write(scene.pki.path("master_sign.pub"), other).unwrap();
    let error = scene
        .fetch(&server)
        .run(None, &SystemClock, |_| ())
        .unwrap_err();
    assert!(error.is_mismatch(), "{error}");
    assert!(
        server
            .requests()
            .iter()
            .all(|request| !request.starts_with("PUT"))
    );
}

#[test]
fn a_pending_key_is_an_outcome_of_its_own() {
    let scene = Scene::new();
    let server = scene.service(&scene.signing, usize::MAX);
    let outcome = scene
        .fetch(&server)
        .run(None, &SystemClock, |_| ())
        .unwrap();
    let master = "m1".parse().unwrap();
    assert_eq!(outcome, Outcome::Pending { master });
    assert!(!scene.file().exists());
}

#[test]
fn waiting_says_so_once_and_ends_when_the_key_is_accepted() {
    let scene = Scene::new();
    let server = scene.service(&scene.signing, 2);
    let wait = Some(Duration::from_secs(60));
    let mut told = Vec::new();
    let outcome = scene
        .fetch(&server)
        .run(wait, &SystemClock, |master| told.push(master.to_string()));
    assert_eq!(outcome.unwrap(), WRITTEN);
    assert_eq!(told, ["m1"]);
}

#[test]
fn an_operators_certificate_fetches_nothing() {
    let scene = Scene::new();
    let (certificate, key) = scene.pki.client("admin", "mastersign:admin:ada");
    let settings = Settings {
        url: "https://localhost:1".to_owned(),
        ca: scene.pki.ca(),
        certificate,
        key,
        master_sign_pub: scene.pki.path("master_sign.pub"),
        salt_config: scene.pki.path("salt"),
        algorithm: None,
    };
    let error = Prepared::read(settings).unwrap_err();
    assert!(matches!(error, Error::NotAMaster(_)), "{error}");
}

#[test]
fn a_private_signing_key_beside_the_masters_is_warned_about() {
    let scene = Scene::new();
    let server = Server::raw(Arc::default(), drop);
    assert!(scene.fetch(&server).warnings().is_empty());
    fs::write(scene.pki.path("pki/master_sign.pem"), "").unwrap();
    let warnings = scene.fetch(&server).warnings();
    assert!(
        warnings[0].contains("master_sign.pem is a private signing key"),
        "{warnings:?}"
    );
}
