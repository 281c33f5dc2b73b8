//! PINs that an operator hands over, refused PINs and how they are presented again.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use minion::verify::Algorithm;
use serde_json::Value;
use signer::client::Put;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::people::{Master, Operator};
use softhsm_tests::process::{attempt, run};
use softhsm_tests::service::{Service, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_a_pin_starts_locked_serves_and_is_unlocked_by_hand() {
    let site = Site::create().unwrap();
    let logins = || site.token().counts().calls("C_Login").unwrap();
    let master = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    accept(&site, &service, &master).await;
    let client = master.connect(&service).unwrap();
    let signed = master.put(&client, Algorithm::Sha1).await.unwrap();
    let Put::Signed { document, .. } = signed else {
        panic!("{signed:?}");
    };
    assert!(service.stop().unwrap().success());
    assert_eq!(logins(), 1);

    site.exchange_pin("").unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is locked").unwrap();
    let report = readiness(&service);
    assert_eq!(report["status"], "degraded");
    assert_eq!(report["hsms"][0]["state"], "locked");
    assert_eq!(report["reasons"][0], "HSM suite: locked");
    let client = master.connect(&service).unwrap();
    let stored = master.put(&client, Algorithm::Sha1).await.unwrap();
    assert_eq!(
        stored,
        Put::Signed {
            new: false,
            document
        }
    );
    let refused = master.put(&client, Algorithm::Sha224).await.unwrap_err();
    assert!(format!("{refused:#}").contains("HSM"), "{refused:#}");
    assert_eq!(logins(), 1, "nobody has handed over a PIN");

    let told = run(&unlock(&site, &site.token().pin_file())).unwrap();
    assert!(told.contains("suite is unlocked"), "{told}");
    assert_eq!(readiness(&service)["status"], "ready");
    let signed = master.put(&client, Algorithm::Sha224).await.unwrap();
    assert!(
        matches!(signed, Put::Signed { new: true, .. }),
        "{signed:?}"
    );
    assert_eq!(logins(), 2);

    let (status, _, why) = attempt(&unlock(&site, &site.token().pin_file())).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(why.contains("signs already"), "{why}");
    // The PIN is kept for the next worker.
    let mark = service.log().len();
    service.kill_worker().unwrap();
    service
        .log()
        .wait_for_after(mark, "the HSM is ready")
        .unwrap();
    assert_eq!(logins(), 3);
}

#[test]
fn a_pin_that_is_handed_over_again_and_again_costs_one_try() {
    let site = Site::create().unwrap();
    let logins = || site.token().counts().calls("C_Login").unwrap();
    site.exchange_pin("").unwrap();
    let wrong = site.directory().join("typed-wrong");
    let wrong = secret(&wrong, "not-the-pin");
    let service = site.serve().unwrap();
    for force in [false, true, true] {
        let mut again = unlock(&site, wrong);
        if force {
            again.arg("--force");
        }
        let (status, _, why) = attempt(&again).unwrap();
        assert_eq!(status.code(), Some(1), "{why}");
        assert!(why.contains("suite is not unlocked"), "{why}");
        assert_eq!(logins(), 1);
        assert_eq!(readiness(&service)["hsms"][0]["state"], "pin-latched");
    }
    // Another PIN is another matter, but the token counts by now and says so.
    let right = site.token().pin_file();
    let (status, _, why) = attempt(&unlock(&site, &right)).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(why.contains("--force"), "{why}");
    assert_eq!(logins(), 1);
    run(unlock(&site, &right).arg("--force")).unwrap();
    assert_eq!(logins(), 2);
    assert_eq!(readiness(&service)["status"], "ready");
}

#[test]
fn a_wrong_pin_in_a_restart_loop_and_applied_again_and_again_costs_one_try() {
    let site = Site::create().unwrap();
    let logins = || site.token().counts().calls("C_Login").unwrap();
    for round in 0..6 {
        // What configuration management does: the same content, as a new file each time.
        let file = site.token().pin_file();
        fs::remove_file(&file).unwrap();
        let ending = ["", "\n"][round % 2];
        site.token()
            .write_pin(&format!("not-the-pin{ending}"))
            .unwrap();
        let service = site.serve_with(&["--force-login"]).unwrap();
        service.log().wait_for("the HSM cannot be used").unwrap();
        assert_eq!(readiness(&service)["hsms"][0]["state"], "pin-latched");
        if round < 3 {
            service.kill();
        } else {
            assert!(service.stop().unwrap().success());
        }
        assert_eq!(logins(), 1, "round {round}");
    }
}

#[test]
fn a_latch_is_lifted_while_the_service_runs_and_allows_one_more_try() {
    let site = Site::create().unwrap();
    let logins = || site.token().counts().calls("C_Login").unwrap();
    site.token().write_pin("not-the-pin").unwrap();
    let service = site.serve_with(&["--force-login"]).unwrap();
    service.log().wait_for("the HSM cannot be used").unwrap();
    assert_eq!(logins(), 1);
    let other = unlatch(&site, &["--serial", "another"]);
    assert!(run(&other).unwrap().contains("latches lifted: 0"));
    let mark = service.log().len();
    let told = run(&unlatch(&site, &[])).unwrap();
    assert!(told.contains("latches lifted: 1"), "{told}");
    service
        .log()
        .wait_for_after(mark, "the HSM cannot be used")
        .unwrap();
    assert_eq!(logins(), 2, "the same PIN, once more and no more");

    site.token().restore_pin().unwrap();
    let mark = service.log().len();
    run(&unlatch(&site, &[])).unwrap();
    service
        .log()
        .wait_for_after(mark, "the HSM is ready")
        .unwrap();
    assert_eq!(logins(), 3);
    let lifted = audit(&site, "pin-unlatched");
    let actor = format!("local:uid={}", nix::unistd::getuid());
    assert_eq!(lifted.len(), 2, "{lifted:?}");
    assert!(
        lifted.iter().all(|record| record.contains(&actor)),
        "{lifted:?}"
    );
}

#[test]
fn a_latch_is_lifted_while_no_service_runs() {
    let site = Site::create().unwrap();
    let logins = || site.token().counts().calls("C_Login").unwrap();
    site.token().write_pin("not-the-pin").unwrap();
    for tries in [1, 2] {
        let service = site.serve_with(&["--force-login"]).unwrap();
        service.log().wait_for("the HSM cannot be used").unwrap();
        assert!(service.stop().unwrap().success());
        assert_eq!(logins(), tries);
        let told = run(&unlatch(&site, &[])).unwrap();
        assert!(told.contains("latches lifted: 1"), "{told}");
    }
}

#[test]
fn a_pin_comes_from_a_systemd_credential() {
    let site = Site::create().unwrap();
    let credentials = tempfile::tempdir().unwrap();
    secret(&credentials.path().join("hsm-pin"), site.token().pin());
    site.exchange_pin("pin = { credential = \"hsm-pin\" }\n")
        .unwrap();
    let environment = [("CREDENTIALS_DIRECTORY", credentials.path())];
    let service = site.serve_in(&[], &environment).unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    assert!(service.stop().unwrap().success());
    // Started by hand there is none, and the operator is told what to write into the unit.
    let service = site.serve().unwrap();
    let line = service.log().wait_for("did not start").unwrap();
    assert!(line.contains("LoadCredential="), "{line}");
    run(&unlock(&site, &credentials.path().join("hsm-pin"))).unwrap();
    assert_eq!(readiness(&service)["status"], "ready");
}

#[test]
fn a_pin_is_read_from_a_pipe_and_shown_nowhere() {
    let site = Site::create().unwrap();
    site.exchange_pin("").unwrap();
    let service = site.serve_with(&["--log", "trace"]).unwrap();
    let mut command = mastersign().unwrap();
    let mut child = command
        .args(["hsm", "unlock", "--pin-stdin", "--output=json", "--config"])
        .arg(site.config())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", site.token().pin()).unwrap();
    drop(stdin);
    let told = child.wait_with_output().unwrap();
    assert!(told.status.success());
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["state"], "ready");
    assert!(!service.log().text().contains(site.token().pin()));
}

#[test]
fn the_door_is_for_the_owner_of_the_state_alone() {
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    let socket = site.directory().join("state/control.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A second service on the same state is refused by the database, not by taking the socket away.
    let (status, _, why) = attempt(
        mastersign()
            .unwrap()
            .args(["serve", "--config"])
            .arg(site.config()),
    )
    .unwrap();
    assert!(
        !status.success() && why.contains("another process"),
        "{why}"
    );
    service.log().wait_for("the HSM is ready").unwrap();
    assert!(run(&unlatch(&site, &[])).is_ok());
    assert!(service.stop().unwrap().success());
    assert!(!socket.exists());
}

fn unlock(site: &Site, pin: &Path) -> Command {
    let mut command = mastersign().unwrap();
    command
        .args(["hsm", "unlock", "--config"])
        .arg(site.config())
        .arg("--pin-file")
        .arg(pin);
    command
}

fn unlatch(site: &Site, options: &[&str]) -> Command {
    let mut command = mastersign().unwrap();
    command
        .args(["hsm", "unlatch", "--config"])
        .arg(site.config())
        .args(options);
    command
}

fn secret<'a>(path: &'a Path, content: &str) -> &'a Path {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
    path
}

/// The audit records of this action.
fn audit(site: &Site, action: &str) -> BTreeSet<String> {
    let database = rusqlite::Connection::open(site.database()).unwrap();
    let mut rows = database
        .prepare("select cast(value as text) from rows where name like 'audit/record/%'")
        .unwrap();
    let records = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    records
        .map(Result::unwrap)
        .filter(|record| record.contains(action))
        .collect()
}

async fn accept(site: &Site, service: &Service, master: &Master) {
    let operator = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = operator.connect(service).unwrap();
    let client = master.connect(service).unwrap();
    operator.admit(&desk, master, &client).await.unwrap();
}

fn readiness(service: &Service) -> Value {
    let (status, body) = service.ask("/readyz").unwrap();
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}
