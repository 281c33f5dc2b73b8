//! The program itself: `check`, `masters` and `verify`.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use minion::wire::msgpack::Value;
use scripted_master::{Keypair, Master, Setup, Verdict};
use tempfile::TempDir;
use tokio::process::Command;

/// A host with a minion on it, as Salt's package leaves one.
struct Host {
    root: TempDir,
    signer: Keypair,
}

impl Host {
    fn new() -> Self {
        let host = Self {
            root: TempDir::new().unwrap(),
            signer: Keypair::generate(2048),
        };
        let pki = host.path("etc/salt/pki/minion");
        fs::create_dir_all(&pki).unwrap();
        fs::set_permissions(&pki, Permissions::from_mode(0o700)).unwrap();
        host.write(
            "etc/salt/pki/minion/minion.pem",
            &Keypair::generate(2048).to_pem(),
        );
        let pem = Permissions::from_mode(0o400);
        fs::set_permissions(pki.join("minion.pem"), pem).unwrap();
        let signing = host.signer.public().to_file();
        host.write("etc/salt/pki/minion/master_sign.pub", signing.as_bytes());
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A master whose key this fleet's signing key, or another one, has signed.
    async fn master(&self, signer: Option<&Keypair>) -> Master {
        let key = Arc::new(Keypair::generate(2048));
        Master::start(Setup::new(&key, signer.unwrap_or(&self.signer))).await
    }

    fn configure(&self, masters: &[String]) {
        let list = masters.join("', '");
        let text = format!(
            "id: m1\nroot_dir: {}\nmaster: ['{list}']\nmaster_type: failover\nauth_timeout: 30\nlog_file: minion.log\n",
            self.root.path().display()
        );
        self.write("etc/salt/minion", text.as_bytes());
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let directory = self.path("etc/salt");
        run(&[arguments, &["-c", directory.to_str().unwrap()]].concat()).await
    }

    /// Every file and directory with all that a write would change.
    fn snapshot(&self) -> BTreeMap<PathBuf, (u32, SystemTime, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.root.path().to_owned()];
        while let Some(path) = left.pop() {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                left.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(
                path,
                (metadata.mode(), metadata.modified().unwrap(), content),
            );
        }
        found
    }
}

async fn run(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_mastersign-minion");
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    output.await.unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn address(master: &Master) -> String {
    master.request_address().to_string()
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn check_tells_masters_apart_and_writes_nothing() {
    let host = Host::new();
    let (good, pending, full, rejected) = (
        host.master(None).await,
        host.master(None).await,
        host.master(None).await,
        host.master(None).await,
    );
    pending.decide(Verdict::TurnedAway(true.into()));
    full.decide(Verdict::TurnedAway("full".into()));
    rejected.decide(Verdict::TurnedAway(Value::Bool(false)));
    let forged = host.master(Some(&Keypair::generate(2048))).await;
    let running = [&good, &pending, &forged, &full, &rejected];
    let mut masters = running.map(address).to_vec();
    masters.push(nowhere());
    host.configure(&masters);
    let before = host.snapshot();
    let output = host.run(&["check", "--output", "json"]).await;
    assert_eq!(host.snapshot(), before, "check wrote something");
    assert_eq!(code(&output), 42, "{}", stderr(&output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let states: Vec<_> = answer["masters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["master"].as_str().unwrap().to_owned(),
                one["state"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        "verifies",
        "not_accepted",
        "does_not_verify",
        "not_accepted",
        "not_accepted",
        "unreachable",
    ];
    assert_eq!(
        states,
        masters.iter().cloned().zip(expected).collect::<Vec<_>>()
    );
    let key = good.key().public().hash().to_string();
    assert_eq!(answer["masters"][0]["public_key_sha256"], key);
    for master in running {
        assert_eq!(
            master.read(|log| log.sign_ins.len()),
            1,
            "each is asked once"
        );
    }
}

#[tokio::test]
async fn check_has_an_exit_code_for_each_finding() {
    let host = Host::new();
    let (good, pending) = (host.master(None).await, host.master(None).await);
    pending.decide(Verdict::TurnedAway(true.into()));
    let (good, pending, dead) = (address(&good), address(&pending), nowhere());
    for (masters, expected, words) in [
        (vec![&good], 0, "verifies: key"),
        (vec![&good, &dead], 69, "cannot be reached"),
        (
            vec![&dead, &pending, &good],
            77,
            "cannot judge: not accepted",
        ),
    ] {
        host.configure(&masters.into_iter().cloned().collect::<Vec<_>>());
        let output = host.run(&["check"]).await;
        assert_eq!(code(&output), expected, "{}", stderr(&output));
        assert!(stdout(&output).contains(words), "{}", stdout(&output));
    }
}

#[tokio::test]
async fn check_refuses_a_revoked_master() {
    let host = Host::new();
    let master = host.master(None).await;
    host.configure(&[address(&master)]);
    let hash = master.key().public().hash().to_string();
    host.write("etc/salt/pki/minion/revoked_masters", hash.as_bytes());
    let output = host.run(&["check"]).await;
    assert_eq!(code(&output), 42);
    assert!(stdout(&output).contains("revoked"), "{}", stdout(&output));
}

#[tokio::test]
async fn check_writes_the_textfile_and_nothing_else() {
    let host = Host::new();
    let master = host.master(None).await;
    host.configure(&[address(&master)]);
    let before = host.snapshot();
    let elsewhere = TempDir::new().unwrap();
    let file = elsewhere.path().join("minion.prom");
    let output = host
        .run(&["check", "--textfile", file.to_str().unwrap()])
        .await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let line = format!(
        "mastersign_minion_check{{master=\"{}\",state=\"verifies\"}} 1",
        address(&master)
    );
    let content = fs::read_to_string(file).unwrap();
    assert!(content.lines().any(|one| one == line), "{content}");
    assert_eq!(host.snapshot(), before);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn check_makes_no_key_and_names_what_is_missing() {
    let host = Host::new();
    let master = host.master(None).await;
    host.configure(&[address(&master)]);
    for (name, words) in [
        ("minion.pem", "minion.pem"),
        ("master_sign.pub", "does not exist"),
    ] {
        let path = host.path("etc/salt/pki/minion").join(name);
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let before = host.snapshot();
        let output = host.run(&["check"]).await;
        assert_eq!((code(&output), host.snapshot()), (1, before));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    }
    assert_eq!(master.read(|log| log.sign_ins.len()), 0);
}

#[tokio::test]
async fn masters_shows_the_state_file_and_whether_anybody_keeps_it() {
    let host = Host::new();
    host.configure(&["m1".to_owned(), "m2".to_owned()]);
    let missing = host.run(&["masters"]).await;
    assert_eq!(code(&missing), 1);
    assert!(stderr(&missing).contains("mastersign-minion run"));
    let state = |pid: u32, of_second: &str| {
        serde_json::json!({"id": "m1", "pid": pid, "updated": 0, "masters": [
            {"name": "m1", "state": "failed", "since": 0, "last_outcome": "no answer", "address": null, "key": null},
            {"name": "m2", "state": of_second, "since": 0, "last_outcome": null, "address": "10.0.0.2:4506", "key": null},
        ]})
    };
    let nobody = u32::try_from(i32::MAX).unwrap();
    for (pid, of_second, expected) in [
        (std::process::id(), "connected", 0),
        (std::process::id(), "pending", 69),
        (nobody, "connected", 3),
    ] {
        let content = serde_json::to_vec(&state(pid, of_second)).unwrap();
        host.write("var/cache/salt/minion/mastersign-masters.json", &content);
        let output = host.run(&["masters"]).await;
        assert_eq!(code(&output), expected, "{}", stderr(&output));
        assert!(stdout(&output).contains("no answer") && stdout(&output).contains(of_second));
        let output = host.run(&["masters", "--output", "json"]).await;
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["running"], expected != 3);
        assert_eq!(answer["masters"][1]["state"], of_second);
    }
}

#[tokio::test]
async fn verify_judges_what_salt_wrote() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/gen-signature");
    for case in [
        "3006.30-sha1",
        "3007.17-sha1",
        "3008.5-sha1",
        "3008.5-sha224",
    ] {
        let file = |name: &str| vectors.join(case).join(name).to_str().unwrap().to_owned();
        let [signature, master, signing] =
            ["master_pubkey_signature", "master.pub", "master_sign.pub"].map(file);
        let arguments = ["--master-pub", &master, "--master-sign-pub", &signing];
        let output = run(&[&["verify", &signature], &arguments[..]].concat()).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(
            stdout(&output).starts_with("valid: PKCS1v15-SHA"),
            "{}",
            stdout(&output)
        );
        let swapped = ["--master-pub", &signing, "--master-sign-pub", &signing];
        let arguments = [&["verify", "--output", "json", &signature], &swapped[..]].concat();
        let output = run(&arguments).await;
        assert_eq!(code(&output), 42);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["valid"], false);
        assert!(
            answer["reasons"][0]
                .as_str()
                .unwrap()
                .contains("over something else")
        );
    }
}
