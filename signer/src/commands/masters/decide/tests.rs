//! What an operator types, and what is decided or refused before anything is sent.

use std::sync::atomic::{AtomicUsize, Ordering};

use minion::verify::PublicKey;
use openssl::hash::{MessageDigest, hash};
use openssl::rsa::Rsa;
use serde_json::{Value, json};

use super::super::connection::Options;
use super::*;
use crate::client::testing::{Server, TestPki, reply};

const STORE: &str = "00000000-0000-0000-0000-000000000007";

/// A service that knows one master and answers a statement as it is told.
struct Scene {
    pki: TestPki,
    key: PublicKey,
}

impl Scene {
    fn new() -> Self {
        let pem = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
        Self {
            pki: TestPki::new(),
            key: PublicKey::parse(&pem).unwrap(),
        }
    }

    fn master(&self, generation: u64, status: &str) -> Value {
        json!({
            "id": "m1",
            "generation": generation,
            "barred": false,
            "keys": [{
                "sha256": self.key.hash().to_string(),
                "status": status,
                "since": "2026-11-22T02:25:06Z",
                "public_key": self.key.canonical(),
            }],
        })
    }

    /// Shows `before`, and `after` from the statement on, which is answered with `answer`.
    fn service(&self, before: &Value, answer: (u16, Value), after: &Value) -> Server {
        let (before, after) = (before.to_string(), after.to_string());
        let statements = AtomicUsize::new(0);
        Server::start(self.pki.server("localhost"), move |request| {
            if request.starts_with("GET /v1/signing-keys ") {
                return reply(
                    200,
                    &json!({"store": STORE, "signing_keys": []}).to_string(),
                );
            }
            if request.starts_with("POST /v1/masters/m") && request.contains("/statements ") {
                statements.fetch_add(1, Ordering::SeqCst);
                return reply(answer.0, &answer.1.to_string());
            }
            let decided = statements.load(Ordering::SeqCst) > 0;
            reply(200, if decided { &after } else { &before })
        })
    }

    fn take(
        &self,
        server: &Server,
        decision: &Decision,
    ) -> anyhow::Result<Result<Option<Master>, Usage>> {
        let (certificate, key) = self.pki.client("ada", "mastersign:admin:ada");
        let options = Options::of(server.url(), self.pki.ca(), certificate, key);
        decision.take(&Connection::open(options).unwrap())
    }

    /// A decision about the only key.
    fn about(&self, verb: Verb) -> Decision {
        Decision {
            key: Some(self.key.hash().to_string()),
            ..Decision::about(verb, "m1".parse().unwrap())
        }
    }

    fn accept(&self) -> Decision {
        self.about(Verb::Accept)
    }
}

fn statements(server: &Server) -> Vec<Statement> {
    server
        .requests()
        .iter()
        .filter(|request| request.starts_with("POST"))
        .map(|request| {
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let signed: SignedStatement = serde_json::from_str(body).unwrap();
            signed.statement.parse().unwrap()
        })
        .collect()
}

#[test]
fn a_statement_names_the_key_the_store_and_the_next_generation() {
    let scene = Scene::new();
    let (before, after) = (scene.master(4, "pending"), scene.master(5, "accepted"));
    let server = scene.service(&before, (200, after.clone()), &after);
    let master = scene
        .take(&server, &scene.accept())
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(master.generation, 5);
    let sent = statements(&server).remove(0);
    assert_eq!(sent.verb, Verb::Accept);
    assert_eq!(sent.store, STORE.parse::<uuid::Uuid>().unwrap());
    assert_eq!(sent.key, Some(scene.key.hash()));
    assert_eq!(sent.generation, 5);
}

#[test]
fn a_decision_that_somebody_else_made_meanwhile_is_shown() {
    let scene = Scene::new();
    let (before, after) = (scene.master(1, "pending"), scene.master(2, "rejected"));
    let conflict = (409, json!({"title": "Conflict", "generation": 2}));
    let server = scene.service(&before, conflict, &after);
    let error = scene
        .take(&server, &scene.accept())
        .unwrap_err()
        .to_string();
    assert!(error.contains("somebody else decided about m1"), "{error}");
    assert!(error.contains("rejected since"), "{error}");
}

#[test]
fn a_conflict_of_another_kind_is_told_in_the_services_words() {
    let scene = Scene::new();
    let before = scene.master(1, "pending");
    let conflict = (409, json!({"title": "Held by another master"}));
    let server = scene.service(&before, conflict, &before);
    let error = scene
        .take(&server, &scene.accept())
        .unwrap_err()
        .to_string();
    assert!(error.contains("Held by another master"), "{error}");
}

#[test]
fn what_is_decided_already_and_what_is_only_tried_sends_no_statement() {
    let scene = Scene::new();
    let accepted = scene.master(1, "accepted");
    let server = scene.service(&accepted, (500, json!({})), &accepted);
    assert!(
        scene
            .take(&server, &scene.accept())
            .unwrap()
            .unwrap()
            .is_none()
    );
    let pending = scene.master(1, "pending");
    let server = scene.service(&pending, (500, json!({})), &pending);
    let tried = Decision {
        dry_run: true,
        ..scene.accept()
    };
    assert!(scene.take(&server, &tried).unwrap().unwrap().is_none());
    assert!(statements(&server).is_empty());
}

#[test]
fn a_revoked_key_is_not_accepted_again() {
    let scene = Scene::new();
    let revoked = scene.master(1, "revoked");
    let server = scene.service(&revoked, (500, json!({})), &revoked);
    let usage = scene.take(&server, &scene.accept()).unwrap().unwrap_err();
    assert!(matches!(usage, Usage::Revoked(_)), "{usage}");
}

#[test]
fn a_key_that_is_not_the_one_it_is_called_cannot_be_chosen() {
    let scene = Scene::new();
    let mut lying = scene.master(1, "pending");
    let other = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
    let other = PublicKey::parse(&other).unwrap();
    lying["keys"][0]["public_key"] = json!(other.canonical());
    let server = scene.service(&lying, (500, json!({})), &lying);
    for hash in [scene.key.hash(), other.hash()] {
        let decision = Decision {
            key: Some(hash.to_string()),
            ..scene.accept()
        };
        let usage = scene.take(&server, &decision).unwrap().unwrap_err();
        assert!(matches!(usage, Usage::NoSuchKey { .. }), "{usage}");
    }
}

#[test]
fn a_fingerprint_that_two_keys_can_share_is_understood_and_decides_nothing() {
    let scene = Scene::new();
    let before = scene.master(1, "pending");
    let server = scene.service(&before, (500, json!({})), &before);
    let file = scene.key.to_file();
    for digest in [MessageDigest::md5(), MessageDigest::sha1()] {
        let weak = hex::encode(hash(digest, file.as_bytes()).unwrap());
        for verb in [Verb::Accept, Verb::Reject, Verb::Forget, Verb::Revoke] {
            let decision = Decision {
                key: Some(weak.clone()),
                confirm: Some("m1".to_owned()),
                ..scene.about(verb)
            };
            let usage = scene.take(&server, &decision).unwrap().unwrap_err();
            assert!(matches!(usage, Usage::Weak { .. }), "{usage}");
            let usage = usage.to_string();
            // What it is, whose it is, and what to compare instead.
            for told in ["of the whole file", "decides nothing", "    salt   "] {
                assert!(usage.contains(told), "{usage}");
            }
            assert!(usage.contains(&scene.key.hash().to_string()), "{usage}");
        }
    }
    assert!(statements(&server).is_empty());
}

#[test]
fn a_master_is_revoked_as_a_whole_only_if_its_id_is_repeated() {
    let scene = Scene::new();
    let (before, after) = (scene.master(1, "accepted"), scene.master(2, "revoked"));
    let server = scene.service(&before, (200, after.clone()), &after);
    let revoke = |confirm: &str| Decision {
        verb: Verb::Revoke,
        key: None,
        confirm: Some(confirm.to_owned()),
        ..scene.accept()
    };
    let usage = scene.take(&server, &revoke("m2")).unwrap().unwrap_err();
    assert!(matches!(usage, Usage::NotConfirmed), "{usage}");
    assert!(statements(&server).is_empty());
    scene
        .take(&server, &revoke("m1"))
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(statements(&server)[0].key, None);
}

#[test]
fn a_service_with_another_store_is_refused() {
    let scene = Scene::new();
    let before = scene.master(1, "pending");
    let server = scene.service(&before, (500, json!({})), &before);
    let (certificate, key) = scene.pki.client("ada", "mastersign:admin:ada");
    let options = Options::of(server.url(), scene.pki.ca(), certificate, key)
        .for_store(uuid::Uuid::from_u128(8));
    let error = scene
        .accept()
        .take(&Connection::open(options).unwrap())
        .unwrap_err();
    assert!(
        error.to_string().contains("another installation"),
        "{error}"
    );
    assert!(statements(&server).is_empty());
}

#[test]
fn a_masters_certificate_decides_nothing() {
    let scene = Scene::new();
    let (certificate, key) = scene.pki.client("m1", "mastersign:master:m1");
    let url = "https://localhost:1".to_owned();
    let options = Options::of(url, scene.pki.ca(), certificate, key);
    let error = Connection::open(options).unwrap_err();
    assert!(error.to_string().contains("needs an admin"), "{error}");
}

#[test]
fn a_key_that_waits_or_was_rejected_is_forgotten_by_a_statement() {
    for status in ["pending", "rejected"] {
        let scene = Scene::new();
        let before = scene.master(3, status);
        let mut after = scene.master(4, status);
        after["keys"] = json!([]);
        let server = scene.service(&before, (200, after.clone()), &after);
        let master = scene.take(&server, &scene.about(Verb::Forget));
        assert!(master.unwrap().unwrap().unwrap().keys.is_empty());
        let sent = statements(&server).remove(0);
        assert_eq!((sent.verb, sent.generation), (Verb::Forget, 4));
        assert_eq!(sent.key, Some(scene.key.hash()));
    }
}

#[test]
fn what_a_question_says_is_what_the_verb_does() {
    let scene = Scene::new();
    let id: MasterId = "m1".parse().unwrap();
    for (verb, group, after) in [
        (Verb::Accept, "accepted", "every minion believes"),
        (Verb::Reject, "rejected", "can be accepted later"),
        (Verb::Forget, "forgotten", "shows it again, it waits again"),
        (Verb::Rename, "renamed", "waits there until it is accepted"),
    ] {
        let question = scene
            .about(verb)
            .question(&id, "  pending\n    key    5f3a");
        let first =
            format!("The following key is going to be {group}:\nm1\n  pending\n    key    5f3a\n");
        assert!(question.starts_with(&first), "{question}");
        assert!(question.contains(after), "{question}");
        assert!(question.ends_with("Proceed? [y/N]"), "{question}");
    }
}

#[test]
fn without_a_terminal_a_key_has_to_be_named() {
    // The tests' own standard input may be a terminal; then there is nothing to see here.
    let scene = Scene::new();
    let pending = scene.master(1, "pending");
    let server = scene.service(&pending, (500, json!({})), &pending);
    let unnamed = Decision {
        key: None,
        ..scene.about(Verb::Forget)
    };
    if !io::stdin().is_terminal() {
        let usage = scene.take(&server, &unnamed).unwrap().unwrap_err();
        assert!(matches!(usage, Usage::NoTerminal(_)), "{usage}");
    }
    let accepted = scene.master(1, "accepted");
    let server = scene.service(&accepted, (500, json!({})), &accepted);
    let usage = scene.take(&server, &unnamed).unwrap().unwrap_err();
    let told = usage.to_string();
    assert!(
        told.contains("m1 has 0 keys that wait or were rejected"),
        "{told}"
    );
    assert!(statements(&server).is_empty());
}

#[test]
fn a_key_moves_by_a_statement_about_the_master_that_gets_it() {
    let scene = Scene::new();
    let (before, after) = (scene.master(4, "accepted"), scene.master(5, "pending"));
    let server = scene.service(&before, (200, after.clone()), &after);
    let rename = Decision {
        holder: Some("m1".parse().unwrap()),
        ..Decision::about(Verb::Rename, "m2".parse().unwrap())
    };
    let rename = Decision {
        key: Some(scene.key.hash().to_string()),
        ..rename
    };
    scene.take(&server, &rename).unwrap().unwrap().unwrap();
    let sent = statements(&server).remove(0);
    assert_eq!((sent.verb, sent.master.as_str()), (Verb::Rename, "m2"));
    assert_eq!(sent.key, Some(scene.key.hash()));
    let posts = server.requests();
    assert!(
        posts
            .iter()
            .any(|request| request.starts_with("POST /v1/masters/m2/statements "))
    );
}

#[test]
fn only_a_barred_master_is_reinstated_and_only_with_a_key_that_is_not_revoked() {
    let scene = Scene::new();
    let other = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("master.pub");
    std::fs::write(&file, &other).unwrap();
    let other = PublicKey::parse(&other).unwrap();
    let reinstate = |key: String| Decision {
        key: Some(key),
        confirm: Some("m1".to_owned()),
        ..scene.about(Verb::Reinstate)
    };
    let good = scene.master(1, "accepted");
    let server = scene.service(&good, (500, json!({})), &good);
    let usage = scene.take(&server, &reinstate(other.hash().to_string()));
    let usage = usage.unwrap().unwrap_err();
    assert!(matches!(usage, Usage::NotBarred(_)), "{usage}");

    let mut barred = scene.master(2, "revoked");
    barred["barred"] = json!(true);
    let server = scene.service(&barred, (200, barred.clone()), &barred);
    let usage = scene.take(&server, &reinstate(scene.key.hash().to_string()));
    let usage = usage.unwrap().unwrap_err();
    assert!(matches!(usage, Usage::Revoked(_)), "{usage}");
    let usage = scene.take(&server, &reinstate("no-such-file".to_owned()));
    let usage = usage.unwrap().unwrap_err();
    assert!(matches!(usage, Usage::NewKey { .. }), "{usage}");
    let hasty = Decision {
        confirm: Some("m2".to_owned()),
        ..reinstate(other.hash().to_string())
    };
    let usage = scene.take(&server, &hasty).unwrap().unwrap_err();
    assert!(matches!(usage, Usage::NotConfirmed), "{usage}");
    assert!(statements(&server).is_empty());
    for given in [other.hash().to_string(), file.display().to_string()] {
        scene
            .take(&server, &reinstate(given))
            .unwrap()
            .unwrap()
            .unwrap();
    }
    for sent in statements(&server) {
        assert_eq!((sent.verb, sent.key), (Verb::Reinstate, Some(other.hash())));
    }
}
