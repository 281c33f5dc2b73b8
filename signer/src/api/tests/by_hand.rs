//! The call as the documents show it: a shell, OpenSSL and curl.

use std::path::Path;
use std::process::Command;

use super::*;

/// What the documents show. `curl` is replaced here; that the two calls fit the service is what is
/// tested.
const BY_HAND: &str = r#"
key=$(printf %s "$(cat master.pub)" | sha256sum | cut -d' ' -f1)
client=$(openssl pkey -in m1.key -pubout -outform DER | sha256sum | cut -d' ' -f1)
time=$(date -u +%Y-%m-%dT%H:%M:%SZ)
store=$(curl -sS --cacert ca.pem --cert m1.pem --key m1.key "$url/v1/signing-keys" |
    sed 's/.*"store":"\([^"]*\)".*/\1/')
printf '%s\n' mastersign-proof-v1 put "$store" "$client" "$key" "$id" "$time" > proof.txt
printf '{"public_key":"%s","time":"%s","proof":"%s"}' "$(awk '{printf "%s\\n", $0}' master.pub)" \
    "$time" "$(openssl dgst -sha256 -sign master.pem proof.txt | base64 -w0)" > body.json
curl -sS --cacert ca.pem --cert m1.pem --key m1.key -X PUT -H 'Content-Type: application/json' \
    --data @body.json "$url/v1/signatures/$key"
"#;

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
        .args(["-euc", &format!("{curl}\nurl=U id=m1\n{BY_HAND}")])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
