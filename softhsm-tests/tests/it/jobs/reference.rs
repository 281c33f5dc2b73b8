//! A process that runs Salt's own code on the cases that it is given.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use minion::verify::PublicKey;
use minion::wire::msgpack::{Fields, Value, decode, encode};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::{Value as Json, json};
use softhsm_tests::salt::Version;
use tempfile::TempDir;

/// The id of the minion that Salt believes to be.
pub(crate) const ID: &str = "probe.example";

/// The minion's key and its master's.
pub(crate) struct Keys {
    pub(crate) minion: PublicKey,
    pub(crate) master: PublicKey,
}

impl Keys {
    pub(crate) fn generate() -> Self {
        let key = || {
            let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
            PublicKey::parse(&key.public_key_to_pem().unwrap()).unwrap()
        };
        Self {
            minion: key(),
            master: key(),
        }
    }
}

/// What Salt of this version answers to each of the cases.
pub(crate) fn ask(version: Version, keys: &Keys, cases: &[Json]) -> Vec<Json> {
    let directory = TempDir::with_prefix("reference-").unwrap();
    let root = directory.path();
    let pki = root.join("pki");
    fs::create_dir(&pki).unwrap();
    fs::write(pki.join("minion.pub"), keys.minion.to_file()).unwrap();
    fs::write(pki.join("minion_master.pub"), keys.master.canonical()).unwrap();
    let config = format!(
        "id: {ID}\nmaster: localhost\nfile_client: local\nroot_dir: {0}\npki_dir: {0}/pki\ncachedir: \
         {0}/cache\nlog_file: {0}/log\nenable_fqdns_grains: False\nenable_gpu_grains: False\n",
        root.display()
    );
    fs::write(root.join("minion"), config).unwrap();
    fs::write(root.join("reference.py"), include_str!("reference.py")).unwrap();
    let mut process = version
        .command("python")
        .unwrap()
        .args(["-W", "ignore"])
        .arg(root.join("reference.py"))
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    // Answers wait in a pipe that may fill before all cases are written.
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "Salt {version} gave up");
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Json> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), cases.len(), "Salt {version}");
    answers
}

/// A job as a case.
pub(crate) fn job(load: &Value) -> Json {
    json!({ "job": hex::encode(encode(load).unwrap()) })
}

/// What the minion would have sent.
pub(crate) fn returned(answer: &Json) -> Fields {
    let bytes = hex::decode(answer["return"].as_str().unwrap()).unwrap();
    Fields::new(decode(&bytes).unwrap()).unwrap()
}
