//! The audit log, from the service and from its file.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Instant;

use minion::verify::Algorithm;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::people::Master;
use softhsm_tests::process::{PATIENCE, Process, attempt, run};
use softhsm_tests::service::Site;

use crate::hsm_commands::lab::{LABEL, Lab, PIN};

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_reads_exports_and_checks_the_log_of_a_running_service() {
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    let master = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    let client = master.connect(&service).unwrap();
    master.put(&client, Algorithm::Sha1).await.unwrap();
    let papers = site.pki().auditor("eve").unwrap();
    let audit = |words: &[&str]| {
        let mut command = mastersign().unwrap();
        command
            .arg("audit")
            .args(words)
            .arg("--url")
            .arg(service.url());
        command.args(papers.options());
        command
    };
    let shown = run(&audit(&["tail"])).unwrap();
    assert!(
        shown.lines().next().unwrap().contains("store-created"),
        "{shown}"
    );
    assert!(shown.contains("key-presented"), "{shown}");
    assert!(shown.contains("by mastersign:master:alpha"), "{shown}");

    let export = site.directory().join("audit.jsonl");
    run(&audit(&["export", &format!("--out={}", export.display())])).unwrap();
    let told = run(&audit(&["verify"])).unwrap();
    assert!(told.contains("not judged"), "{told}");
    let (_, head) = told.split_once("ends at ").unwrap();
    let head = head.split_whitespace().next().unwrap();

    // The export says the same, and so does the database of the running service.
    for (option, path) in [("--file", &export), ("--database", &site.database())] {
        let mut verify = mastersign().unwrap();
        verify
            .args(["audit", "verify", "--head", head, option])
            .arg(path);
        let told = run(&verify).unwrap();
        assert!(!told.contains("not judged"), "{told}");
    }
    // A tail that was cut off is a chain; the head tells.
    let text = std::fs::read_to_string(&export).unwrap();
    let (cut, _) = text.trim_end().rsplit_once('\n').unwrap();
    std::fs::write(&export, cut).unwrap();
    let mut verify = mastersign().unwrap();
    verify.args(["audit", "verify", "--file"]).arg(&export);
    assert!(run(&verify).unwrap().contains("not judged"));
    let (status, _, error) = attempt(verify.args(["--head", head])).unwrap();
    assert_eq!(status.code(), Some(42));
    assert!(error.contains("cut off"), "{error}");

    a_later_part_is_judged(&site, &audit, head);

    // Nobody else reads it.
    let mut command = mastersign().unwrap();
    command.args(["audit", "tail", "--url"]).arg(service.url());
    command.args(site.pki().admin("olga").unwrap().options());
    let (status, _, error) = attempt(&command).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(error.contains("auditor"), "{error}");
}

/// A later part is not altered, and what came before it is not judged.
fn a_later_part_is_judged(site: &Site, audit: &dyn Fn(&[&str]) -> Command, head: &str) {
    let part = site.directory().join("part.jsonl");
    let out = format!("--out={}", part.display());
    run(&audit(&["export", "--after=1", &out])).unwrap();
    let mut verify = mastersign().unwrap();
    verify.args(["audit", "verify", "--head", head, "--file"]);
    let told = run(verify.arg(&part)).unwrap();
    assert!(told.starts_with("records 2 to "), "{told}");
    assert!(told.contains("not judged: records 1 to 1,"), "{told}");
    let mut tail = mastersign().unwrap();
    tail.args(["audit", "tail", "-n", "1", "--file"]).arg(&part);
    assert_eq!(run(&tail).unwrap().lines().count(), 1);
}

#[test]
fn a_command_that_is_run_beside_the_service_is_recorded_once() {
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let mut command = mastersign().unwrap();
    command.args(["hsm", "test", "--config"]).arg(site.config());
    run(&command).unwrap();
    let records = recorded(&site, 1);
    assert!(records[0].contains("hsm test"), "{records:?}");
    assert!(records[0].contains("local:uid="), "{records:?}");
    assert!(service.stop().unwrap().success());

    // While the service is down, the note waits for it.
    run(&command).unwrap();
    let again = site.serve().unwrap();
    assert_eq!(recorded(&site, 2).len(), 2);
    assert!(again.stop().unwrap().success());
}

#[test]
fn a_certificate_that_is_made_or_taken_back_is_recorded_and_a_look_at_them_is_not() {
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    let service = site.serve().unwrap();
    let pki = |words: &[&str]| {
        let mut command = mastersign().unwrap();
        command.args(["pki", "--config"]).arg(site.config());
        command.args(words);
        command.arg("--dir").arg(site.directory().join("pki"));
        command
    };
    let out = site.directory().join("out");
    let issue = |master: &str| {
        let mut command = pki(&["issue", "master", master, "--days=1"]);
        attempt(command.arg("--out").arg(&out)).unwrap()
    };
    let (status, _, said) = issue("m9");
    assert!(status.success(), "{said}");
    // Each leaves a record before it begins, and one when it has ended.
    let issued = recorded(&site, 2);
    for record in &issued {
        assert!(record.contains("pki issue"), "{issued:?}");
        assert!(record.contains("local:uid="), "{issued:?}");
    }
    run(&pki(&["list"])).unwrap();
    run(&pki(&["revoke", "mastersign:master:m9"])).unwrap();
    let all = recorded(&site, 4);
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all[2].contains("pki revoke"), "{all:?}");
    assert!(all[3].contains("pki revoke"), "{all:?}");

    // One that fails is recorded as that.
    let (status, _, _) = issue("m9");
    assert!(!status.success());
    recorded(&site, 6);
    let mut tail = mastersign().unwrap();
    tail.args(["audit", "tail", "-n", "1", "--json", "--database"])
        .arg(site.database());
    let last = run(&tail).unwrap();
    assert!(last.contains("\"failed\""), "{last}");
    assert!(service.stop().unwrap().success());

    // A configuration that is there and of no use: the work is done, and the gap is said.
    std::fs::write(site.config(), "state_dir = 7").unwrap();
    let (status, _, said) = issue("m10");
    assert!(status.success(), "{said}");
    assert!(said.contains("not in the audit log"), "{said}");
    assert!(out.join("master-m10.pem").exists());
    // No configuration, no audit log.
    std::fs::remove_file(site.config()).unwrap();
    let (status, _, said) = issue("m11");
    assert!(status.success(), "{said}");
    assert!(!said.contains("audit log"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_killed_with_its_key_in_the_token_is_in_the_log() {
    let lab = Lab::create().unwrap();
    lab.token().unwrap();
    let key = openssl::rsa::Rsa::generate(2048).unwrap();
    let pem = key.private_key_to_pem().unwrap();
    std::fs::write(lab.path("master_sign.pem"), pem).unwrap();
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    assert!(site.serve().unwrap().stop().unwrap().success());
    let config = format!("--config={}", site.config().display());
    let mut import = lab
        .hsm(&[
            "import",
            "master_sign.pem",
            "--token-label",
            LABEL,
            "--pin-file=pin",
            "--key-id=5a",
            // The first trial signature takes longer than any test.
            "--env=FAULT_MODULE_SIGN_DELAY=3600000",
            &config,
        ])
        .unwrap();
    let mut process = Process::start(&mut import).unwrap();
    lab.counts().reach("C_Sign", 1).await.unwrap();
    process.kill();
    let listed = lab.tool(&["--login", "--pin", PIN, "--list-objects"]);
    assert!(listed.unwrap().contains("5a"), "the key is in the token");

    let service = site.serve().unwrap();
    let found = recorded(&site, 1);
    assert!(found[0].contains("hsm import"), "{found:?}");
    assert_eq!(found.len(), 1, "{found:?}");
    let all = records(&site);
    assert!(all.contains(r#""outcome":"begun""#), "{all}");
    assert!(service.stop().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_head_is_told_to_the_machines_log_and_a_log_that_is_away_is_said() {
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    let place = site.directory().join("journal");
    site.exchange(
        "head_sink = \"log\"",
        &format!("head_sink = \"journal:{}\"", place.display()),
    )
    .unwrap();
    let journal = UnixDatagram::bind(&place).unwrap();
    journal.set_read_timeout(Some(PATIENCE)).unwrap();
    let service = site.serve().unwrap();
    let (found, genesis) = told(&journal);
    assert!(found.starts_with("audit head found"), "{found}");
    let master = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    let client = master.connect(&service).unwrap();
    master.put(&client, Algorithm::Sha1).await.unwrap();
    let (committed, head) = told(&journal);
    assert!(committed.starts_with("audit head seq=2 "), "{committed}");
    assert_ne!(genesis, head);

    // Without anybody who reads: changes are made all the same, and readiness says who is missing.
    drop(journal);
    let other = Master::new(&site.pki().master("beta").unwrap()).unwrap();
    let client = other.connect(&service).unwrap();
    other.put(&client, Algorithm::Sha1).await.unwrap();
    service.log().wait_for("do not reach the journal").unwrap();
    let (status, ready) = service.ask("/readyz").unwrap();
    assert_eq!(status, 200);
    assert!(ready.contains("do not reach the journal"), "{ready}");
    std::fs::remove_file(&place).unwrap();
    let journal = UnixDatagram::bind(&place).unwrap();
    journal.set_read_timeout(Some(PATIENCE)).unwrap();
    let (newest, head) = told(&journal);
    assert!(newest.starts_with("audit head seq=3 "), "{newest}");
    service
        .log()
        .wait_for("audit heads are told again")
        .unwrap();
    let (_, metrics) = service.ask("/metrics").unwrap();
    for counted in ["{result=\"told\"} 3", "{result=\"failed\"}"] {
        let counted = format!("mastersign_audit_heads_total{counted}");
        assert!(metrics.contains(&counted), "{metrics}");
    }
    assert!(service.stop().unwrap().success());

    // What was told is what a copy of the database is judged by.
    let mut verify = mastersign().unwrap();
    verify
        .args(["audit", "verify", "--head", &head, "--database"])
        .arg(site.database());
    run(&verify).unwrap();
}

#[test]
fn a_latch_that_is_lifted_beside_no_service_tells_its_head_too() {
    let site = Site::create().unwrap();
    let place = site.directory().join("journal");
    site.exchange(
        "head_sink = \"log\"",
        &format!("head_sink = \"journal:{}\"", place.display()),
    )
    .unwrap();
    site.token().write_pin("not-the-pin").unwrap();
    let journal = UnixDatagram::bind(&place).unwrap();
    journal.set_read_timeout(Some(PATIENCE)).unwrap();
    let service = site.serve_with(&["--force-login"]).unwrap();
    service.log().wait_for("the HSM cannot be used").unwrap();
    assert!(service.stop().unwrap().success());
    journal.set_nonblocking(true).unwrap();
    let mut datagram = [0; 4096];
    while journal.recv(&mut datagram).is_ok() {}
    journal.set_nonblocking(false).unwrap();

    let mut unlatch = mastersign().unwrap();
    unlatch.args(["hsm", "unlatch", "--config"]);
    let lifted = run(unlatch.arg(site.config())).unwrap();
    assert!(lifted.contains("latches lifted: 1"), "{lifted}");
    let (found, _) = told(&journal);
    assert!(found.starts_with("audit head found"), "{found}");
    let (committed, head) = told(&journal);
    assert!(committed.starts_with("audit head seq="), "{committed}");
    assert!(records(&site).contains("pin-unlatched"));
    let mut verify = mastersign().unwrap();
    verify.args(["audit", "verify", "--head", &head, "--database"]);
    run(verify.arg(site.database())).unwrap();

    // What is told to nobody is said.
    drop(journal);
    let (status, _, said) = attempt(&unlatch).unwrap();
    assert!(status.success(), "{said}");
    assert!(said.contains("do not reach the journal"), "{said}");
}

/// The next head in the journal: its message, and as `audit verify --head` takes it.
fn told(journal: &UnixDatagram) -> (String, String) {
    let mut datagram = [0; 4096];
    let length = journal.recv(&mut datagram).unwrap();
    let text = std::str::from_utf8(&datagram[..length]).unwrap();
    let field = |name: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap().to_owned()
    };
    let (seq, hash) = (
        field("MASTERSIGN_AUDIT_SEQ"),
        field("MASTERSIGN_AUDIT_HASH"),
    );
    (field("MESSAGE"), format!("{seq}:{hash}"))
}

#[test]
fn an_edit_in_the_database_is_found_and_named() {
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    assert!(site.serve().unwrap().stop().unwrap().success());
    let database = rusqlite::Connection::open(site.database()).unwrap();
    let edited = database.execute(
        "UPDATE rows SET value = CAST(replace(CAST(value AS TEXT), 'store-created', 'key-accepted') \
         AS BLOB) WHERE name LIKE 'audit/record/%'",
        [],
    );
    assert_eq!(edited.unwrap(), 1);
    drop(database);
    let mut verify = mastersign().unwrap();
    verify
        .args(["audit", "verify", "--database"])
        .arg(site.database());
    let (status, _, error) = attempt(&verify).unwrap();
    assert_eq!(status.code(), Some(42));
    assert!(error.contains("record 1"), "{error}");
}

#[test]
fn an_edit_beneath_a_running_service_is_found_in_what_it_sends() {
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    let service = site.serve().unwrap();
    let papers = site.pki().auditor("eve").unwrap();
    let mut verify = mastersign().unwrap();
    verify.args(["audit", "verify", "--url"]).arg(service.url());
    verify.args(papers.options());
    run(&verify).unwrap();
    let database = rusqlite::Connection::open(site.database()).unwrap();
    for (from, to) in [
        // Another spelling of the same record, and what is no JSON at all.
        ("{", "{ "),
        ("}", "} "),
        ("\"seq\":1", "\"seq\":1]"),
    ] {
        let edit = |from: &str, to: &str| {
            let edited = database.execute(
                "UPDATE rows SET value = CAST(replace(CAST(value AS TEXT), ?1, ?2) AS BLOB) \
                 WHERE name LIKE 'audit/record/%'",
                [from, to],
            );
            assert_ne!(edited.unwrap(), 0);
        };
        edit(from, to);
        let (status, said, error) = attempt(&verify).unwrap();
        assert_eq!(status.code(), Some(42), "{to}: {said}{error}");
        assert!(error.contains("record 1"), "{error}");
        edit(to, from);
    }
    run(&verify).unwrap();
    assert!(service.stop().unwrap().success());
}

/// All records with everything in them, one a line.
pub(crate) fn records(site: &Site) -> String {
    let mut export = mastersign().unwrap();
    export.args(["audit", "export", "--database"]);
    run(export.arg(site.database())).unwrap()
}

/// The records of local commands, when there are so many.
pub(crate) fn recorded(site: &Site, count: usize) -> Vec<String> {
    let end = Instant::now().checked_add(PATIENCE).unwrap();
    loop {
        let mut tail: Command = mastersign().unwrap();
        tail.args(["audit", "tail", "-n", "1000", "--database"])
            .arg(site.database());
        let shown = run(&tail).unwrap();
        let found: Vec<String> = shown
            .lines()
            .filter(|line| line.contains("local-command"))
            .map(str::to_owned)
            .collect();
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < end, "no record of the command in {shown}");
    }
}
