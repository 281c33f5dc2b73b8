//! What operators take back, by the command and against a service: forgetting, moving, reinstating.

use std::process::Command;

use minion::verify::Algorithm;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::Value;
use signer::client::Put;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::dialogue;
use softhsm_tests::people::Master;
use softhsm_tests::pki::Papers;
use softhsm_tests::process::{attempt, run};
use softhsm_tests::service::{Service, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_forgotten_after_a_question_that_says_what_that_means() {
    let (site, service) = serve();
    let olga = site.pki().admin("olga").unwrap();
    let master = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    expect_pending(&master, &service).await;
    let key = master.public_key().hash().to_string();

    let forget = || masters(&service, &olga, &["-d", "alpha"]);
    let no = [("Proceed? [y/N]", "n")];
    let (status, shown) = dialogue::hold(forget(), &no).unwrap();
    assert_eq!(status.code(), Some(2), "{shown}");
    assert!(
        shown.contains("The following key is going to be forgotten:"),
        "{shown}"
    );
    assert!(
        shown.contains(&key) && shown.contains("it waits again"),
        "{shown}"
    );
    assert_eq!(
        list(&service, &olga)["unaccepted"][0]["sha256"],
        key.as_str()
    );

    // Nobody is there who could say yes.
    let (status, _, said) = attempt(&forget()).unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("--key {key}")), "{said}");

    let yes = [("Proceed? [y/N]", "y")];
    let (status, shown) = dialogue::hold(forget(), &yes).unwrap();
    assert!(status.success(), "{shown}");
    assert_eq!(
        list(&service, &olga)["unaccepted"],
        Value::Array(Vec::new())
    );
    expect_pending(&master, &service).await;
    run(&masters(&service, &olga, &["-r", "alpha", "--key", &key])).unwrap();
    run(&masters(
        &service,
        &olga,
        &["delete", "alpha", "--key", &key],
    ))
    .unwrap();
    expect_pending(&master, &service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_with_a_new_name_takes_its_key_along() {
    let (site, service) = serve();
    let olga = site.pki().admin("olga").unwrap();
    let pair = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let alpha = Master::with_key(&site.pki().master("alpha").unwrap(), pair.clone()).unwrap();
    expect_pending(&alpha, &service).await;
    let key = alpha.public_key().hash().to_string();
    run(&masters(
        &service,
        &olga,
        &["accept", "alpha", "--key", &key],
    ))
    .unwrap();
    expect_signed(&alpha, &service).await;

    let renamed = Master::with_key(&site.pki().master("beta").unwrap(), pair).unwrap();
    let client = renamed.connect(&service).unwrap();
    let refused = renamed.put(&client, Algorithm::Sha1).await.unwrap_err();
    assert!(
        format!("{refused:#}").contains("belongs to another master"),
        "{refused:#}"
    );

    let (_, _, said) = attempt(&masters(
        &service,
        &olga,
        &["rename", "alpha", "beta", "--key", &key],
    ))
    .unwrap();
    let next = format!("mastersign masters accept beta --key {key}");
    assert!(said.contains(&next), "{said}");
    expect_pending(&renamed, &service).await;
    run(&masters(
        &service,
        &olga,
        &["accept", "beta", "--key", &key],
    ))
    .unwrap();
    expect_signed(&renamed, &service).await;
    let client = alpha.connect(&service).unwrap();
    alpha.put(&client, Algorithm::Sha1).await.unwrap_err();
    // It was made once, under either name.
    let own = site.token().public_key();
    assert_eq!(site.token().counts().signatures_but_over(own).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_master_comes_back_with_the_key_that_was_named() {
    let (site, service) = serve();
    let olga = site.pki().admin("olga").unwrap();
    let alpha = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    expect_pending(&alpha, &service).await;
    run(&masters(
        &service,
        &olga,
        &["revoke", "alpha", "--confirm", "alpha"],
    ))
    .unwrap();
    let papers = site.pki().master_again("alpha").unwrap();
    let renewed = Master::new(&papers).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("master.pub");
    std::fs::write(&file, renewed.public_key().to_file()).unwrap();
    let reinstate = masters(
        &service,
        &olga,
        &["reinstate", "alpha", "--new-key", file.to_str().unwrap()],
    );
    let question = format!("with the new key {} only", renewed.public_key().hash());
    let (status, shown) =
        dialogue::hold(reinstate, &[("Type the id to confirm:", "alpha")]).unwrap();
    assert!(status.success(), "{shown}");
    assert!(shown.replace("\r\n", " ").contains(&question), "{shown}");

    // The thief of the old certificate has neither the old key's place nor room for another one.
    let client = alpha.connect(&service).unwrap();
    let refused = alpha.put(&client, Algorithm::Sha1).await.unwrap_err();
    assert!(format!("{refused:#}").contains("revoked"), "{refused:#}");
    let thief = Master::new(&papers).unwrap();
    let client = thief.connect(&service).unwrap();
    thief.put(&client, Algorithm::Sha1).await.unwrap_err();

    expect_pending(&renewed, &service).await;
    let key = renewed.public_key().hash().to_string();
    run(&masters(
        &service,
        &olga,
        &["accept", "alpha", "--key", &key],
    ))
    .unwrap();
    expect_signed(&renewed, &service).await;
}

fn serve() -> (Site, Service) {
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    (site, service)
}

fn masters(service: &Service, admin: &Papers, words: &[&str]) -> Command {
    let mut command = mastersign().unwrap();
    command
        .arg("masters")
        .args(words)
        .args(["--url", &service.url()])
        .args(admin.options());
    command
}

fn list(service: &Service, admin: &Papers) -> Value {
    let answer = run(&masters(service, admin, &["-L", "--out=json"])).unwrap();
    serde_json::from_str(&answer).unwrap()
}

async fn expect_pending(master: &Master, service: &Service) {
    let client = master.connect(service).unwrap();
    let put = master.put(&client, Algorithm::Sha1).await.unwrap();
    assert!(matches!(put, Put::Pending(_)), "{put:?}");
}

async fn expect_signed(master: &Master, service: &Service) {
    let client = master.connect(service).unwrap();
    let put = master.put(&client, Algorithm::Sha1).await.unwrap();
    assert!(matches!(put, Put::Signed { .. }), "{put:?}");
}
