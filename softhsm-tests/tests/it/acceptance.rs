//! Whatever is wrong with an acceptance, the token is not asked.
//!
//! Each test counts the signatures that the token was asked for over anything but the service's own
//! trial message, after a real answer has shown that the request came as far as a decision. The one
//! true acceptance in the replay test shows that the count would see a signature.

use minion::verify::Algorithm;
use rusqlite::Connection;
use serde_json::{Value, json};
use signer::authorize::{SignedStatement, Statement, Verb};
use signer::client::{Client, Error, KeyStatus, Put};
use signer::clock::{Clock, SystemClock};
use softhsm_tests::people::{Master, Operator};
use softhsm_tests::service::{Service, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_forged_in_the_database_gets_nothing_signed() {
    let site = Site::create().unwrap();
    let (master, service) = pending(&site).await;
    assert!(service.stop().unwrap().success());
    edit(&site, &key_row(&master), |row| {
        row["status"] = json!("accepted");
    });

    let service = start(&site);
    expect_refusal(&master, &service).await;
    assert_eq!(signatures(&site), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_row_with_a_statement_by_the_masters_ca_gets_nothing_signed() {
    let site = Site::create().unwrap();
    let (master, service) = pending(&site).await;
    let client = master.connect(&service).unwrap();
    let signed = forged_acceptance(&site, &master, &client).await;
    assert!(service.stop().unwrap().success());
    edit(&site, &key_row(&master), |row| {
        row["status"] = json!("accepted");
        row["statement"] = serde_json::to_value(&signed).unwrap();
    });

    let service = start(&site);
    expect_refusal(&master, &service).await;
    assert_eq!(signatures(&site), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_by_a_certificate_of_the_masters_ca_is_refused() {
    let site = Site::create().unwrap();
    let (master, service) = pending(&site).await;
    let client = master.connect(&service).unwrap();
    let signed = forged_acceptance(&site, &master, &client).await;

    // Handed in by the thief, and by a true admin who was talked into it.
    let thief = Operator::new(&site.pki().admin_by_the_masters_ca("tom").unwrap()).unwrap();
    let admin = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    for desk in [
        thief.connect(&service).unwrap(),
        admin.connect(&service).unwrap(),
    ] {
        let id = master.id().unwrap();
        let refused = desk.post_statement(id, &signed).await.unwrap_err();
        assert!(!matches!(refused, Error::ConnectionRefused(_)), "{refused}");
    }
    let put = master.put(&client, Algorithm::Sha1).await.unwrap();
    assert!(matches!(put, Put::Pending(_)), "{put:?}");
    assert_eq!(signatures(&site), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_is_put_back_after_a_revocation_gets_nothing_signed() {
    let site = Site::create().unwrap();
    let (master, service) = pending(&site).await;
    let client = master.connect(&service).unwrap();
    let admin = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = admin.connect(&service).unwrap();
    let (id, key) = (master.id().unwrap(), master.public_key().hash());
    admin
        .decide(&desk, Verb::Accept, id, Some(key))
        .await
        .unwrap();
    let put = master.put(&client, Algorithm::Sha1).await.unwrap();
    assert!(matches!(put, Put::Signed { new: true, .. }), "{put:?}");
    assert_eq!(signatures(&site), 1);
    assert!(service.stop().unwrap().success());
    let rows = [key_row(&master), format!("master/{id}")];
    let accepted: Vec<Value> = rows.iter().map(|name| read(&site, name)).collect();

    let service = start(&site);
    let desk = admin.connect(&service).unwrap();
    admin
        .decide(&desk, Verb::Revoke, id, Some(key))
        .await
        .unwrap();
    assert!(service.stop().unwrap().success());
    for (name, old) in rows.iter().zip(accepted) {
        edit(&site, name, |row| *row = old);
    }

    let service = start(&site);
    for algorithm in Algorithm::ALL {
        let client = master.connect(&service).unwrap();
        let refused = master.put(&client, algorithm).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    assert_eq!(signatures(&site), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_under_an_accepted_id_is_denied() {
    let site = Site::create().unwrap();
    let (master, service) = pending(&site).await;
    let admin = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = admin.connect(&service).unwrap();
    let (id, key) = (master.id().unwrap(), master.public_key().hash());
    admin
        .decide(&desk, Verb::Accept, id, Some(key))
        .await
        .unwrap();

    let intruder = Master::new(&site.pki().master_again("alpha").unwrap()).unwrap();
    expect_refusal(&intruder, &service).await;
    let shown = desk.master(id).await.unwrap();
    let status = |key| {
        shown
            .keys
            .iter()
            .find(|shown| shown.sha256 == key)
            .unwrap()
            .status
    };
    assert_eq!(status(intruder.public_key().hash()), KeyStatus::Denied);
    assert_eq!(status(key), KeyStatus::Accepted);
    assert_eq!(signatures(&site), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_installation_is_refused_at_start() {
    let (ours, theirs) = (Site::create().unwrap(), Site::create().unwrap());
    let (_, service) = pending(&theirs).await;
    assert!(service.stop().unwrap().success());
    assert!(ours.serve().unwrap().stop().unwrap().success());
    std::fs::copy(theirs.database(), ours.database()).unwrap();
    let error = format!("{:#}", ours.serve().unwrap_err());
    let expected = format!(
        "the database holds the store {}, and `store.id` in the configuration is {}",
        theirs.store(),
        ours.store()
    );
    assert!(error.contains(&expected), "{error}");

    ours.without_store_id().unwrap();
    let service = ours.serve().unwrap();
    let warned = service.log().wait_for("`store.id` is not configured");
    let line = format!("put `id = \"{}\"` under [store]", theirs.store());
    assert!(warned.unwrap().contains(&line));
}

/// A running service with one master whose key waits for an operator.
async fn pending(site: &Site) -> (Master, Service) {
    let service = start(site);
    let master = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    let client = master.connect(&service).unwrap();
    let put = master.put(&client, Algorithm::Sha1).await.unwrap();
    assert!(matches!(put, Put::Pending(_)), "{put:?}");
    (master, service)
}

fn start(site: &Site) -> Service {
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    service
}

/// An acceptance of the master's key, signed by somebody who has stolen the masters' CA.
async fn forged_acceptance(site: &Site, master: &Master, client: &Client) -> SignedStatement {
    let thief = Operator::new(&site.pki().admin_by_the_masters_ca("thief").unwrap()).unwrap();
    let statement = Statement {
        verb: Verb::Accept,
        store: client.signing_keys().await.unwrap().store,
        master: master.id().unwrap().clone(),
        key: Some(master.public_key().hash()),
        generation: 1,
        time: SystemClock.now(),
    };
    thief.sign(&statement).unwrap()
}

/// Both algorithms are refused by the service, and not for want of an HSM.
async fn expect_refusal(master: &Master, service: &Service) {
    for algorithm in Algorithm::ALL {
        let client = master.connect(service).unwrap();
        let refused = master.put(&client, algorithm).await.unwrap_err();
        let Some(Error::Refused(problem)) = refused.downcast_ref() else {
            panic!("{refused:#}");
        };
        assert_eq!(problem.status, 403, "{problem:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_was_altered_in_the_database_is_reported_and_made_again() {
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let master = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    let client = master.connect(&service).unwrap();
    master.put(&client, Algorithm::Sha1).await.unwrap();
    let operator = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = operator.connect(&service).unwrap();
    let (id, key) = (master.id().unwrap(), master.public_key().hash());
    operator
        .decide(&desk, Verb::Accept, id, Some(key))
        .await
        .unwrap();
    let Put::Signed { document, .. } = master.put(&client, Algorithm::Sha1).await.unwrap() else {
        panic!("not signed");
    };
    assert!(service.stop().unwrap().success());

    let row = format!(
        "signature/{}/{}/{key}",
        site.token().public_key().hash(),
        Algorithm::Sha1
    );
    edit(&site, &row, |row| {
        row["signature"] = Value::from("A".repeat(342) + "==");
    });
    let service = site.serve().unwrap();
    service.log().wait_for("kept out of service").unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let (_, metrics) = service.ask("/metrics").unwrap();
    let counted = "mastersign_store_quarantined_rows 1";
    assert!(metrics.contains(counted), "{metrics}");
    let client = master.connect(&service).unwrap();
    let Put::Signed {
        new,
        document: again,
    } = master.put(&client, Algorithm::Sha1).await.unwrap()
    else {
        panic!("not signed");
    };
    // PKCS#1 v1.5 is deterministic: what is made again is what was there.
    assert!(new);
    assert_eq!(again.signature, document.signature);
    assert_eq!(signatures(&site), 2);
    assert!(service.stop().unwrap().success());

    let service = site.serve().unwrap();
    let (_, metrics) = service.ask("/metrics").unwrap();
    let counted = "mastersign_store_quarantined_rows 0";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(service.stop().unwrap().success());
}

/// How often the token was asked to sign anything that a master could use.
fn signatures(site: &Site) -> usize {
    let own = site.token().public_key();
    site.token().counts().signatures_but_over(own).unwrap()
}

fn key_row(master: &Master) -> String {
    format!("key/{}", master.public_key().hash())
}

fn read(site: &Site, name: &str) -> Value {
    let database = Connection::open(site.database()).unwrap();
    let value: Vec<u8> = database
        .query_row("SELECT value FROM rows WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .unwrap();
    serde_json::from_slice(&value).unwrap()
}

/// Does what somebody with the database in their hands can do.
fn edit(site: &Site, name: &str, change: impl FnOnce(&mut Value)) {
    let mut row = read(site, name);
    change(&mut row);
    let value = serde_json::to_vec(&row).unwrap();
    let changed = Connection::open(site.database())
        .unwrap()
        .execute("UPDATE rows SET value = ?2 WHERE name = ?1", (name, value))
        .unwrap();
    assert_eq!(changed, 1);
}
