//! What goes on being served when the HSM does not.

use minion::verify::Algorithm;
use signer::client::Put;
use softhsm_tests::people::{Master, Operator};
use softhsm_tests::service::{Service, Site};

#[tokio::test(flavor = "multi_thread")]
async fn with_its_hsm_gone_the_service_serves_what_it_has_and_says_degraded() {
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let master = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    let client = master.connect(&service).unwrap();
    accept(&site, &service, &master).await;
    let Put::Signed {
        new: true,
        document,
    } = master.put(&client, Algorithm::Sha1).await.unwrap()
    else {
        panic!("the first request was not signed");
    };
    assert_eq!(readiness(&service), (200, "ready".to_owned()));

    site.token().unplug().unwrap();
    service.kill_worker().unwrap();
    service
        .log()
        .wait_for("an HSM worker did not start")
        .unwrap();

    let again = master.put(&client, Algorithm::Sha1).await.unwrap();
    assert_eq!(
        again,
        Put::Signed {
            new: false,
            document: document.clone()
        }
    );
    let hash = master.public_key().hash();
    let file = client
        .get_signature(hash, Some(Algorithm::Sha1), None)
        .await
        .unwrap();
    assert_eq!(file, document);
    let refused = master.put(&client, Algorithm::Sha224).await.unwrap_err();
    assert!(format!("{refused:#}").contains("HSM"), "{refused:#}");
    assert_eq!(readiness(&service), (200, "degraded".to_owned()));

    let mark = service.log().len();
    site.token().plug_in().unwrap();
    service
        .log()
        .wait_for_after(mark, "the HSM is ready")
        .unwrap();
    assert!(matches!(
        master.put(&client, Algorithm::Sha224).await.unwrap(),
        Put::Signed { new: true, .. }
    ));
    let counts = site.token().counts();
    assert_eq!(
        counts
            .signatures(Algorithm::Sha1, master.public_key())
            .unwrap(),
        1
    );
}

#[test]
fn a_restart_does_not_try_a_wrong_pin_again() {
    let site = Site::create().unwrap();
    let logins = || site.token().counts().calls("C_Login").unwrap();
    site.token().write_pin("not-the-pin").unwrap();
    // The token's own warning is overruled in the last start; what is left is our memory of the
    // PIN.
    for options in [&[][..], &[], &["--force-login"]] {
        let service = site.serve_with(options).unwrap();
        service.log().wait_for("the HSM cannot be used").unwrap();
        assert!(service.stop().unwrap().success());
        assert_eq!(logins(), 1, "{options:?}");
    }

    site.token().restore_pin().unwrap();
    let service = site.serve_with(&["--force-login"]).unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    assert_eq!(logins(), 2);
}

async fn accept(site: &Site, service: &Service, master: &Master) {
    let operator = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = operator.connect(service).unwrap();
    let client = master.connect(service).unwrap();
    operator.admit(&desk, master, &client).await.unwrap();
}

fn readiness(service: &Service) -> (u16, String) {
    let (status, body) = service.ask("/readyz").unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    (status, body["status"].as_str().unwrap().to_owned())
}
