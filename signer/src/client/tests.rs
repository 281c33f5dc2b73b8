//! The client against a real TLS listener: what it sends, and how it names what goes wrong.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use openssl::rsa::Rsa;
use sha2::{Digest, Sha256};

use super::testing::{Server, TestPki, reply, write_private};
use super::*;

const ADMIN: &str = "mastersign:admin:ada";
const KEYS: &str = r#"{"store":"00000000-0000-0000-0000-000000000007","signing_keys":[]}"#;

fn wait<T>(call: impl Future<Output = T>) -> T {
    Blocking::new().unwrap().wait(call)
}

fn key() -> PublicKey {
    let pem = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
    PublicKey::decode(&String::from_utf8(pem).unwrap()).unwrap()
}

/// What `signing_keys` says when the service answers like this.
fn answered(answer: impl Fn(&str) -> String + Send + 'static) -> Result<SigningKeys, Error> {
    let pki = TestPki::new();
    let server = Server::start(pki.server("localhost"), answer);
    let client = Client::new(&server.url(), &pki.credentials(ADMIN)).unwrap();
    wait(client.signing_keys())
}

fn failure(answer: impl Fn(&str) -> String + Send + 'static) -> Error {
    answered(answer).unwrap_err()
}

#[test]
fn the_stores_name_is_read() {
    let keys = answered(|_| reply(200, KEYS)).unwrap();
    assert_eq!(keys.store, uuid::Uuid::from_u128(7));
}

#[test]
fn a_request_for_a_signature_carries_the_key_the_time_and_the_proof() {
    let pki = TestPki::new();
    let key = key();
    let body =
        serde_json::json!({"status": "pending", "public_key_sha256": key.hash().to_string()});
    let server = Server::start(pki.server("localhost"), move |_| {
        reply(202, &body.to_string())
    });
    let client = Client::new(&server.url(), &pki.credentials("mastersign:master:m1")).unwrap();
    let time = "2026-11-22T02:25:06Z".parse().unwrap();
    let put = wait(client.put_signature(&key, Some(Algorithm::Sha224), time, b"proof")).unwrap();
    let public_key_sha256 = key.hash();
    assert_eq!(put, Put::Pending(Pending { public_key_sha256 }));
    let request = server.requests().remove(0);
    let line = format!(
        "PUT /v1/signatures/{}?algorithm=PKCS1v15-SHA224 HTTP/1.1",
        key.hash()
    );
    assert!(request.starts_with(&line), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["public_key"], key.canonical());
    assert_eq!(body["time"], "2026-11-22T02:25:06Z");
    assert_eq!(body["proof"], STANDARD.encode("proof"));
}

#[test]
fn a_refusal_is_told_in_the_services_words_without_control_characters() {
    let error = failure(|_| {
        let body = r#"{"type":"urn:x","title":"Refused","detail":"be\u001b[31mcause","request_id":"r-1","generation":4}"#;
        reply(409, body)
    });
    assert_eq!(
        error.to_string(),
        "Refused: be [31mcause (status 409, request r-1)"
    );
    assert_eq!(error.status(), Some(409));
    assert!(!error.is_retryable());
    assert!(matches!(error, Error::Refused(problem) if problem.generation == Some(4)));
}

#[test]
fn a_refusal_that_may_pass_says_so() {
    assert!(failure(|_| reply(503, r#"{"title":"later","retriable":true}"#)).is_retryable());
    assert!(!failure(|_| reply(503, r#"{"title":"never","retriable":false}"#)).is_retryable());
    assert!(failure(|_| reply(503, "<html>gateway</html>")).is_retryable());
    assert!(!failure(|_| reply(404, "")).is_retryable());
}

/// The list in pages of two, and how many were asked for. `is_linked` says where the service names a
/// next page, by how many masters are left.
fn listed(
    ids: &'static [&str],
    is_linked: fn(usize) -> bool,
) -> (Result<Vec<Master>, Error>, usize) {
    let pki = TestPki::new();
    let server = Server::start(pki.server("localhost"), move |request| {
        let (target, _) = request.split_once(" HTTP/1.1").unwrap();
        let after = target.split_once("?after=").map(|(_, after)| after);
        let behind = after.map_or(ids, |after| {
            let (_, behind) = ids.split_at(ids.iter().position(|id| *id == after).unwrap());
            behind.split_first().unwrap().1
        });
        let (page, rest) = behind.split_at(behind.len().min(2));
        let masters: Vec<_> = page
            .iter()
            .map(|id| serde_json::json!({"id": id, "generation": 1, "keys": []}))
            .collect();
        let whole = reply(200, &serde_json::json!({ "masters": masters }).to_string());
        if is_linked(rest.len()) {
            // Where it leads is not followed.
            let link = "\r\nlink: <https://example.org/v1/masters>; rel=\"next\"\r\n\r\n";
            return whole.replacen("\r\n\r\n", link, 1);
        }
        whole
    });
    let client = Client::new(&server.url(), &pki.credentials(ADMIN)).unwrap();
    let masters = wait(client.masters());
    (masters, server.requests().len())
}

#[test]
fn the_pages_of_masters_are_one_list() {
    let (masters, requests) = listed(&["m1", "m2", "m3", "m4", "m5"], |rest| rest > 0);
    let ids: Vec<_> = masters.unwrap().into_iter().map(|one| one.id).collect();
    let expected = ["m1", "m2", "m3", "m4", "m5"].map(|id| id.parse::<MasterId>().unwrap());
    assert_eq!((ids.as_slice(), requests), (expected.as_slice(), 3));
    let (masters, requests) = listed(&[], |_| false);
    assert_eq!((masters.unwrap().len(), requests), (0, 1));
}

#[test]
fn pages_that_do_not_go_on_are_no_list() {
    // The same page again, an empty one, and one that is out of order in itself.
    for ids in [&["m1", "m2", "m1", "m2"][..], &["m1", "m2"], &["m2", "m1"]] {
        let (masters, requests) = listed(ids, |_| true);
        let error = masters.unwrap_err();
        assert!(matches!(error, Error::Answer(_)), "{ids:?}: {error}");
        assert!(requests <= 2, "{ids:?}: {requests}");
    }
}

#[test]
fn a_redirection_is_not_followed() {
    let error = failure(|_| {
        "HTTP/1.1 302 X\r\nlocation: https://localhost:1/\r\ncontent-length: 0\r\n\r\n".to_owned()
    });
    assert_eq!(error.status(), Some(302));
}

#[test]
fn an_answer_without_end_is_not_read_to_the_end() {
    let error = failure(|_| reply(200, &" ".repeat(LARGEST_ANSWER + 1)));
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[test]
fn an_answer_that_is_something_else_is_named_as_that() {
    let error = failure(|_| reply(200, "[]"));
    assert!(matches!(error, Error::Answer(_)), "{error}");
}

#[test]
fn a_port_without_a_listener_is_told_apart() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let pki = TestPki::new();
    let url = format!("https://127.0.0.1:{port}");
    let client = Client::new(&url, &pki.credentials(ADMIN)).unwrap();
    let error = wait(client.signing_keys()).unwrap_err();
    assert!(matches!(error, Error::ConnectionRefused(_)), "{error:?}");
    assert!(error.is_retryable());
}

#[test]
fn silence_ends_at_the_deadline() {
    let pki = TestPki::new();
    let kept = Mutex::new(Vec::new());
    let server = Server::raw(Arc::default(), move |stream| {
        kept.lock().unwrap().push(stream);
    });
    let deadline = Duration::from_millis(200);
    let client = Client::with_deadline(&server.url(), &pki.credentials(ADMIN), deadline).unwrap();
    let error = wait(client.signing_keys()).unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
}

/// What a client hears from a service whose certificate is for `name`.
fn between(theirs: &TestPki, name: &str, credentials: &Credentials) -> Error {
    let server = Server::start(theirs.server(name), |_| reply(200, KEYS));
    let client = Client::new(&server.url(), credentials).unwrap();
    wait(client.signing_keys()).unwrap_err()
}

#[test]
fn a_service_of_another_ca_is_not_trusted() {
    let (ours, theirs) = (TestPki::new(), TestPki::new());
    let error = between(&theirs, "localhost", &ours.credentials(ADMIN));
    assert!(error.to_string().contains("check --ca"), "{error:?}");
    assert!(!error.is_retryable());
}

#[test]
fn a_service_of_another_name_is_not_trusted() {
    let pki = TestPki::new();
    let error = between(&pki, "elsewhere", &pki.credentials(ADMIN));
    assert!(error.to_string().contains("for another name"), "{error:?}");
}

#[test]
fn a_client_that_the_service_does_not_know_is_told_what_to_renew() {
    let (ours, theirs) = (TestPki::new(), TestPki::new());
    let (certificate, key) = ours.client("admin", ADMIN);
    let credentials = Credentials::read(&theirs.ca(), &certificate, &key).unwrap();
    let error = between(&theirs, "localhost", &credentials);
    let text = error.to_string();
    assert!(
        text.contains("does not accept the client certificate"),
        "{error:?}"
    );
}

#[test]
fn a_listener_without_tls_is_recognised() {
    let pki = TestPki::new();
    let server = Server::raw(Arc::default(), |mut stream| {
        use std::io::Write;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let client = Client::new(&server.url(), &pki.credentials(ADMIN)).unwrap();
    let error = wait(client.signing_keys()).unwrap_err();
    assert!(
        error.to_string().contains("does not speak TLS"),
        "{error:?}"
    );
}

#[test]
fn only_the_bare_https_address_of_a_service_is_taken() {
    let pki = TestPki::new();
    let credentials = pki.credentials(ADMIN);
    for url in [
        "http://localhost:1",
        "localhost:1",
        "https://localhost:1/v1",
        "https://localhost:1/?a=b",
        "https://me:pass@localhost:1",
        "https://",
        "",
    ] {
        let error = Client::new(url, &credentials).unwrap_err();
        assert!(matches!(error, Error::Url(_)), "{url}: {error}");
    }
    for url in [
        "https://localhost:8443",
        "https://[::1]:8443/",
        "https://sign.example.org",
    ] {
        Client::new(url, &credentials).unwrap();
    }
}

#[test]
fn the_client_key_is_named_by_the_hash_of_its_spki() {
    let pki = TestPki::new();
    let (certificate, key) = pki.client("m1", "mastersign:master:m1");
    let credentials = Credentials::read(&pki.ca(), &certificate, &key).unwrap();
    let spki = credentials
        .private_key()
        .unwrap()
        .public_key_to_der()
        .unwrap();
    assert_eq!(
        credentials.client_key(),
        <[u8; 32]>::from(Sha256::digest(spki))
    );
    assert_eq!(credentials.identity().to_string(), "mastersign:master:m1");
    assert!(!format!("{credentials:?}").contains("PRIVATE"));
}

#[test]
fn a_private_key_that_everybody_can_read_is_refused() {
    let pki = TestPki::new();
    let (certificate, key) = pki.client("m1", "mastersign:master:m1");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Credentials::read(&pki.ca(), &certificate, &key).unwrap_err();
    assert!(error.to_string().contains("mode 0644"), "{error}");
}

#[test]
fn files_that_do_not_fit_are_named() {
    let pki = TestPki::new();
    let (certificate, key) = pki.client("m1", "mastersign:master:m1");
    let (other, _) = pki.client("m2", "mastersign:master:m2");
    let pair = Credentials::read(&pki.ca(), &other, &key).unwrap();
    let error = Client::new("https://localhost:1", &pair).unwrap_err();
    assert!(
        matches!(error, Error::Credentials(CredentialsError::Pair(_))),
        "{error:?}"
    );

    let error = Credentials::read(&pki.path("absent"), &certificate, &key).unwrap_err();
    assert!(matches!(error, CredentialsError::Read { .. }), "{error}");
    write_private(&pki.path("empty"), "");
    let error = Credentials::read(&pki.path("empty"), &certificate, &key).unwrap_err();
    assert!(
        matches!(error, CredentialsError::NoCertificate { .. }),
        "{error}"
    );
    let error = Credentials::read(&pki.ca(), &certificate, &pki.path("empty")).unwrap_err();
    assert!(matches!(error, CredentialsError::NoKey { .. }), "{error}");
    let (nobody, key) = pki.client("nobody", "https://example.org");
    let error = Credentials::read(&pki.ca(), &nobody, &key).unwrap_err();
    assert!(
        matches!(error, CredentialsError::Identity { .. }),
        "{error}"
    );
}

#[test]
fn the_date_of_an_answer_is_read() {
    let read = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    assert_eq!(read.to_string(), "1994-11-06T08:49:37Z");
    assert!(http_date("soon").is_none());
}
