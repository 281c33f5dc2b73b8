//! The call as the documents show it: a shell, OpenSSL and curl.

use std::path::Path;
use std::process::Command;

use super::*;

/// The first shell block of the document, without the line that names the service and the master.
/// `curl` is replaced here; that the two calls fit the service is what is tested.
fn shown() -> &'static str {
    let page = include_str!("../../../../docs/by-hand.md");
    let block = page
        .split("```sh\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let (first, rest) = block.split_once('\n').unwrap();
    assert!(first.starts_with("url=https://"), "{first}");
    rest
}

#[tokio::test]
async fn the_call_that_the_documents_show_gets_a_signature() {
    let world = World::new().await;
    let key = world.accepted("m1").await;
    let tls = world.ca.issue(&["mastersign:master:m1"]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let pem =
        |key: &openssl::pkey::PKey<openssl::pkey::Private>| key.private_key_to_pem_pkcs8().unwrap();
    std::fs::write(file("master.pub"), key.public.to_file()).unwrap();
    std::fs::write(file("master.pem"), pem(&key.private)).unwrap();
    std::fs::write(file("m1.key"), pem(&tls.key)).unwrap();
    let trust = world.get(master("m1"), "/v1/signing-keys").await;
    std::fs::write(file("trust.json"), trust.body).unwrap();
    run(folder.path());

    let spoken = std::fs::read_to_string(file("calls")).unwrap();
    let hash = key.public.hash();
    assert_eq!(
        spoken,
        format!("U/v1/signing-keys\nU/v1/signatures/{hash}\n")
    );
    let body: Value = serde_json::from_slice(&std::fs::read(file("body.json")).unwrap()).unwrap();
    let now: Timestamp = body["time"].as_str().unwrap().parse().unwrap();
    world.clock.0.store(now.unix(), Ordering::SeqCst);
    let certificate = openssl::x509::X509::from_pem(tls.certificate.as_bytes()).unwrap();
    let caller = Peer::from_certificate(&certificate.to_der().unwrap()).unwrap();
    let reply = world
        .call(caller, Method::PUT, &signature_path(&key), Some(body))
        .await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
}

fn run(folder: &Path) {
    let curl = r#"curl() {
        for last; do :; done
        echo "$last" >> calls
        case $last in */signing-keys) cat trust.json ;; esac
    }"#;
    let output = Command::new("sh")
        .args(["-euc", &format!("{curl}\nurl=U id=m1\n{}", shown())])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
