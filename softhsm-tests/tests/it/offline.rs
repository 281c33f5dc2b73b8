//! A signer without a network: request and answer are files, policy and record are the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use minion::verify::{Algorithm, PublicKey, Signature};
use serde_json::Value;
use signer::pki::Scope;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::pki::Papers;
use softhsm_tests::process::{attempt, run};
use softhsm_tests::salt::{Installation, Version};
use softhsm_tests::service::Site;

struct Scene {
    site: Site,
    master: Installation,
    admin: Papers,
}

impl Scene {
    fn create() -> Self {
        let site = Site::create().unwrap();
        site.pki().master("east").unwrap();
        let master = Installation::create(Version::V3008, "east").unwrap();
        let admin = site.pki().admin("ada").unwrap();
        Self {
            site,
            master,
            admin,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.directory().join(name)
    }

    fn on_master(&self, words: &[&str]) -> Command {
        let mut command = mastersign().unwrap();
        command
            .args(words)
            .args(self.site.on_master("east", &self.master));
        command
    }

    fn request(&self, name: &str) -> PathBuf {
        let store = self.site.store().to_string();
        let path = self.path(name);
        let mut command = self.on_master(&["request", "--store", &store]);
        run(command.arg("--out").arg(&path)).unwrap();
        path
    }

    fn sign(&self, request: &Path, options: &[&str]) -> Command {
        let mut command = mastersign().unwrap();
        command
            .arg("sign")
            .arg(request)
            .arg("--config")
            .arg(self.site.config())
            .args(options);
        command
    }

    fn accept(&self, request: &Path) -> Command {
        self.accept_as(request, &self.key().hash().to_string())
    }

    fn accept_as(&self, request: &Path, key: &str) -> Command {
        let options = self.admin.options();
        let mut command = self.sign(request, &["--accept", key]);
        command.arg("--admin-certificate").arg(&options[3]);
        command.arg("--admin-key").arg(&options[5]);
        command
    }

    fn key(&self) -> PublicKey {
        PublicKey::parse(self.master.public_key().unwrap().as_bytes()).unwrap()
    }

    fn signed(&self) -> usize {
        let own = self.site.token().public_key();
        self.site.token().counts().signatures_but_over(own).unwrap()
    }

    /// How many audit records have all of these words in them.
    fn recorded(&self, words: &[&str]) -> usize {
        let mut tail = mastersign().unwrap();
        tail.args(["audit", "tail", "-n", "1000", "--json"])
            .arg("--database")
            .arg(self.site.database());
        let records = run(&tail).unwrap();
        let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
        records.lines().filter(has_all).count()
    }
}

#[test]
fn a_request_travels_as_a_file_and_comes_back_as_a_signature() {
    let scene = Scene::create();
    let request = scene.request("east.request");
    let (status, answer, complaint) = attempt(&scene.sign(&request, &[])).unwrap();
    assert_eq!(status.code(), Some(3), "{answer}{complaint}");
    let pending: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(pending["public_key_sha256"], scene.key().hash().to_string());
    assert_eq!(scene.signed(), 0);

    run(&scene.accept(&request)).unwrap();
    assert_eq!(scene.signed(), 1);
    let answer = scene.path("east.request.answer");
    let mut take = scene.on_master(&["fetch"]);
    let told = run(take.arg("--from").arg(&answer)).unwrap();
    assert!(told.contains("wrote"), "{told}");
    let file = fs::read(scene.master.signature_file()).unwrap();
    let signature = Signature::from_file(&file).unwrap();
    let signing = scene.site.token().public_key();
    signing
        .verify(Algorithm::Sha1, &scene.key(), &signature)
        .unwrap();

    // The records are those of the service, and the signature is there for it.
    let database = rusqlite::Connection::open(scene.site.database()).unwrap();
    let count = |action: &str| -> i64 {
        let like = format!("%{action}%");
        let query = "select count(*) from rows where name like 'audit/record/%' and cast(value as text) like ?1";
        database.query_row(query, [like], |row| row.get(0)).unwrap()
    };
    assert!(count("key-accepted") == 1 && count("admin:ada") >= 1);
    drop(database);
    fs::remove_file(&answer).unwrap();
    run(&scene.sign(&request, &[])).unwrap();
    assert_eq!(scene.signed(), 1, "the stored signature is the answer");
    let service = scene.site.serve().unwrap();
    let (status, _, why) = attempt(&scene.sign(&request, &["--out=other"])).unwrap();
    assert!(
        !status.success() && why.contains("cannot open the database"),
        "{why}"
    );
    assert!(service.stop().unwrap().success());
}

#[test]
fn a_request_that_is_not_what_it_says_is_refused_before_the_token_is_asked() {
    let scene = Scene::create();
    let request = scene.request("east.request");
    let text = fs::read_to_string(&request).unwrap();
    let good: Value = serde_json::from_str(&text).unwrap();
    let other = Installation::create(Version::V3008, "other").unwrap();
    let changed = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let west = fs::read_to_string(&scene.site.pki().master("west").unwrap().options()[3]).unwrap();
    let clean = PublicKey::parse(other.public_key().unwrap().as_bytes()).unwrap();
    for (file, expected) in [
        (
            changed("public_key", clean.canonical().into()),
            "does not verify",
        ),
        (changed("master", "west".into()), "its certificate is"),
        (changed("certificate", west.into()), "its certificate is"),
        (
            changed("store", "00000000-0000-4000-8000-000000000000".into()),
            "for the store",
        ),
        (
            changed("time", "2020-01-01T00:00:00Z".into()),
            "make it anew",
        ),
        (
            changed("time", "2099-01-01T00:00:00Z".into()),
            "make it anew",
        ),
        (changed("proof", good["client_proof"].clone()), "master.pem"),
        (
            changed("client_proof", good["proof"].clone()),
            "client certificate",
        ),
        (changed("certificate", "".into()), "holds no certificate"),
        (
            changed("form", "mastersign-request-v0".into()),
            "mastersign-request-v1",
        ),
        (changed("algorithm", "PKCS1v15-SHA256".into()), "algorithm"),
    ] {
        fs::write(&request, file.to_string()).unwrap();
        let (status, _, why) = attempt(&scene.accept(&request)).unwrap();
        assert_eq!(status.code(), Some(1), "{expected}: {why}");
        assert!(why.contains(expected), "{expected}: {why}");
    }
    fs::write(&request, &text).unwrap();
    let (status, _, why) = attempt(&scene.accept_as(&request, &"0".repeat(64))).unwrap();
    assert!(
        !status.success() && why.contains("nothing was signed"),
        "{why}"
    );
    assert_eq!(scene.signed(), 0);
    shows_each_refused_proof(&scene);
}

/// Two times that are none, another key, and one wrong signature by each of the two keys. Only a
/// proof by the client key names the master as the one who asked.
fn shows_each_refused_proof(scene: &Scene) {
    let (master, local) = ("\"mastersign:master:east\"", "\"local:uid=");
    for (words, count) in [
        (["\"skewed\"", local], 2),
        (["\"client-signature\"", local], 2),
        (["\"signature\"", master], 1),
        (["\"proof-refused\"", "\"east\""], 5),
    ] {
        assert_eq!(scene.recorded(&words), count, "{words:?}");
    }
    let key = format!("\"{}\"", scene.key().hash());
    assert_eq!(scene.recorded(&["\"proof-refused\"", &key]), 4);
}

#[test]
fn the_certificate_of_an_admin_who_was_revoked_accepts_nothing() {
    let mut scene = Scene::create();
    let request = scene.request("east.request");
    let directory = scene.site.pki().authority(Scope::Operators);
    let directory = directory.parent().unwrap();
    let mut revoke = mastersign().unwrap();
    revoke.args(["pki", "revoke", "mastersign:admin:ada", "--dir"]);
    run(revoke.arg(directory.parent().unwrap())).unwrap();
    let list = directory.join("ca.crl");
    let line = format!("[tls]\noperators_crl = {list:?}\n");
    scene.site.exchange("[tls]\n", &line).unwrap();

    let (status, _, why) = attempt(&scene.accept(&request)).unwrap();
    assert_eq!(status.code(), Some(1), "{why}");
    assert!(why.contains("nothing was accepted"), "{why}");
    assert_eq!(scene.recorded(&["\"key-accepted\""]), 0);
    assert_eq!(scene.signed(), 0);

    // Another one whom the same authority vouches for.
    scene.admin = scene.site.pki().admin("olga").unwrap();
    run(&scene.accept(&request)).unwrap();
    assert_eq!(scene.signed(), 1);
}

#[test]
fn an_answer_that_does_not_verify_is_not_written() {
    let scene = Scene::create();
    let request = scene.request("east.request");
    run(&scene.accept(&request)).unwrap();
    let answer = scene.path("east.request.answer");
    let text = fs::read_to_string(&answer).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let signature = document["signature"].as_str().unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let spoiled: String = std::iter::once(first)
        .chain(signature.chars().skip(1))
        .collect();
    document["signature"] = spoiled.into();
    fs::write(&answer, document.to_string()).unwrap();
    let (status, _, why) = attempt(scene.on_master(&["fetch"]).arg("--from").arg(&answer)).unwrap();
    assert_eq!(status.code(), Some(42), "{why}");
    assert!(!scene.master.signature_file().exists());
}
