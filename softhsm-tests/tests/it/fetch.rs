//! `mastersign fetch` against the real service: who may end up with which file, and as whom.
//!
//! What needs a second user is in `as_root`, and fails for anybody but root.

mod as_root;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use minion::verify::{Fingerprint, PublicKey, clean_key};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use serde_json::Value;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::pki::Papers;
use softhsm_tests::process::{attempt, run};
use softhsm_tests::service::{Service, Site};
use tempfile::TempDir;

#[test]
fn a_master_gets_its_file_once_an_operator_has_accepted_its_key() {
    let scene = Scene::create();
    let pending = scene.fetch(&[]);
    assert_eq!(pending.code, 3, "{pending:?}");
    let advice = format!(
        "mastersign masters accept alpha --key {}",
        scene.key().hash()
    );
    assert!(pending.output.contains(&advice), "{pending:?}");
    assert!(!scene.file().exists());
    let would = scene.fetch(&["--dry-run"]);
    assert!(would.output.contains("would ask"), "{would:?}");

    let list = scene.masters(&["list"]);
    assert!(
        list.output
            .contains("Unaccepted Keys:\nalpha\nRejected Keys:"),
        "{list:?}"
    );
    let finger = Fingerprint::salt(&scene.key()).to_string();
    let shown = scene.masters(&["show", "alpha"]);
    assert!(shown.output.contains(&finger), "{shown:?}");
    let accepted = scene.masters(&["accept", "alpha", "--key", &finger]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert!(
        accepted.notes.contains("Salt's fingerprint names key"),
        "{accepted:?}"
    );
    let list = scene.masters(&["list"]);
    assert!(
        list.output
            .starts_with("Accepted Keys:\nalpha\nDenied Keys:"),
        "{list:?}"
    );

    let written = scene.fetch(&["--output", "json"]);
    assert_eq!(written.code, 0, "{written:?}");
    let document: Value = serde_json::from_str(&written.output).unwrap();
    assert_eq!(document["result"], "written");
    assert_eq!(document["file"], scene.file().to_str().unwrap());
    assert_eq!(fs::metadata(scene.file()).unwrap().mode() & 0o7777, 0o644);
    scene.expect_valid();
    let before = fs::metadata(scene.file()).unwrap().ino();
    let again = scene.fetch(&[]);
    assert!(again.output.starts_with("unchanged"), "{again:?}");
    assert!(
        again.output.contains("master_use_pubkey_signature: True"),
        "{again:?}"
    );
    assert_eq!(fs::metadata(scene.file()).unwrap().ino(), before);
}

#[test]
fn waiting_ends_when_an_operator_accepts() {
    let scene = Scene::create();
    assert_eq!(scene.fetch(&[]).code, 3);
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| scene.fetch(&["--wait", "1m"]));
        scene.accept();
        let written = waiting.join().unwrap();
        assert_eq!(written.code, 0, "{written:?}");
    });
    scene.expect_valid();
}

#[test]
fn what_does_not_verify_under_the_pinned_key_leaves_the_old_file_intact() {
    let mut scene = Scene::create();
    scene.fetch(&[]);
    scene.accept();
    fs::write(scene.file(), "old\n").unwrap();
    let other = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
    scene.pinned = scene.root.path().join("other.pub");
    fs::write(&scene.pinned, other).unwrap();
    let refused = scene.fetch(&[]);
    assert_eq!(refused.code, 42, "{refused:?}");
    assert_eq!(fs::read_to_string(scene.file()).unwrap(), "old\n");
    assert_eq!(
        scene.names(),
        ["master.pem", "master.pub", "master_pubkey_signature"]
    );
}

#[test]
fn another_spelling_of_the_key_is_refused_with_the_command_that_mends_it() {
    let scene = Scene::create();
    let pkcs1 = scene.rsa.public_key_to_pem_pkcs1().unwrap();
    fs::write(scene.pki_dir().join("master.pub"), pkcs1).unwrap();
    let refused = scene.fetch(&[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let command = refused
        .notes
        .lines()
        .find(|line| line.trim_start().starts_with("openssl rsa"))
        .unwrap();
    run(Command::new("sh").args(["-c", command])).unwrap();
    assert_eq!(scene.fetch(&[]).code, 3);
}

#[test]
fn an_encrypted_key_is_opened_with_the_pass_phrase_in_salts_configuration() {
    let scene = Scene::create();
    let pem = scene
        .rsa
        .private_key_to_pem_passphrase(Cipher::aes_256_cbc(), b"sesame")
        .unwrap();
    fs::write(scene.pki_dir().join("master.pem"), pem).unwrap();
    let refused = scene.fetch(&[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.notes.contains("key_pass"), "{refused:?}");
    fs::create_dir(scene.root.path().join("salt/master.d")).unwrap();
    let drop_in = scene.root.path().join("salt/master.d/pass.conf");
    fs::write(drop_in, "key_pass: sesame\n").unwrap();
    scene.fetch(&[]);
    scene.accept();
    assert_eq!(scene.fetch(&[]).code, 0);
    scene.expect_valid();
}

#[test]
fn what_salt_3008_leaves_behind_is_read_through_its_links() {
    let scene = Scene::create();
    for end in ["pem", "pub"] {
        let (old, new) = (format!("master.{end}"), format!("host1.{end}"));
        fs::rename(scene.pki_dir().join(&old), scene.pki_dir().join(&new)).unwrap();
        symlink(scene.pki_dir().join(&new), scene.pki_dir().join(&old)).unwrap();
    }
    scene.fetch(&[]);
    scene.accept();
    let written = scene.fetch(&[]);
    assert_eq!(written.code, 0, "{written:?}");
    assert!(
        scene
            .pki_dir()
            .join("host1_master_pubkey_signature")
            .exists()
    );
    assert!(scene.pki_dir().join("master.pub").is_symlink());
}

#[test]
fn operators_name_one_key_and_repeat_the_id_to_revoke() {
    let scene = Scene::create();
    scene.fetch(&[]);
    for (line, reason) in [
        (&["accept", "alpha", "-y"][..], "there is no -y"),
        (&["accept", "-A"][..], "there is no -A"),
        (&["accept", "a*"][..], "is a pattern"),
        (&["accept", "alpha"][..], "is no terminal"),
        (
            &["accept", "nobody", "--key", &"0".repeat(64)][..],
            "knows no master",
        ),
        (
            &["accept", "alpha", "--key", &"0".repeat(64)][..],
            "no key with this fingerprint",
        ),
        (&["revoke", "alpha"][..], "not confirmed"),
        (
            &["revoke", "alpha", "--confirm", "beta"][..],
            "not confirmed",
        ),
    ] {
        let refused = scene.masters(line);
        assert_eq!(refused.code, 2, "{line:?} {refused:?}");
        assert!(refused.notes.contains(reason), "{line:?} {refused:?}");
    }
    scene.accept();
    assert_eq!(scene.fetch(&[]).code, 0);
    let revoked = scene.masters(&["revoke", "alpha", "--confirm", "alpha"]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    let list = scene.masters(&["list"]);
    assert!(
        list.output
            .ends_with("Revoked Keys:\nalpha (the whole id)\n"),
        "{list:?}"
    );
    let refused = scene.fetch(&[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let again = scene.masters(&["accept", "alpha", "--key", &scene.key().hash().to_string()]);
    assert_ne!(again.code, 0, "{again:?}");
}

/// A master's files, in front of a running service.
struct Scene {
    site: Site,
    service: Service,
    papers: Papers,
    admin: Papers,
    root: TempDir,
    rsa: Rsa<Private>,
    pinned: PathBuf,
}

/// What a command did.
#[derive(Debug)]
struct Ended {
    code: i32,
    output: String,
    notes: String,
}

impl Scene {
    fn create() -> Self {
        let site = Site::create().unwrap();
        let service = site.serve().unwrap();
        service.log().wait_for("the HSM is ready").unwrap();
        let root = TempDir::with_prefix("fetch-").unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let scene = Self {
            papers: site.pki().master("alpha").unwrap(),
            admin: site.pki().admin("olga").unwrap(),
            pinned: site.token().public_key_file(),
            rsa: Rsa::generate(2048).unwrap(),
            site,
            service,
            root,
        };
        fs::create_dir_all(scene.pki_dir()).unwrap();
        fs::create_dir(scene.root.path().join("salt")).unwrap();
        let options = format!("pki_dir: {}\n", scene.pki_dir().display());
        fs::write(scene.root.path().join("salt/master"), options).unwrap();
        let public = PKey::from_rsa(scene.rsa.clone()).unwrap();
        for (name, pem) in [
            ("master.pem", scene.rsa.private_key_to_pem().unwrap()),
            ("master.pub", public.public_key_to_pem().unwrap()),
        ] {
            let path = scene.pki_dir().join(name);
            fs::write(&path, pem).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        scene
    }

    fn pki_dir(&self) -> PathBuf {
        self.root.path().join("salt-home/pki")
    }

    fn file(&self) -> PathBuf {
        self.pki_dir().join("master_pubkey_signature")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.pki_dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn key(&self) -> PublicKey {
        let pem = self.rsa.public_key_to_pem().unwrap();
        PublicKey::parse(&pem).unwrap()
    }

    fn fetch(&self, more: &[&str]) -> Ended {
        let mut command = mastersign().unwrap();
        command
            .args(["fetch", "--url", &self.service.url()])
            .args(self.papers.options())
            .arg("--master-sign-pub")
            .arg(&self.pinned)
            .arg("--salt-config")
            .arg(self.root.path().join("salt"))
            .args(more);
        ended(&command)
    }

    fn masters(&self, line: &[&str]) -> Ended {
        let mut command = mastersign().unwrap();
        command
            .arg("masters")
            .args(line)
            .args(["--url", &self.service.url()])
            .args(self.admin.options());
        ended(&command)
    }

    fn accept(&self) {
        let key = self.key().hash().to_string();
        let accepted = self.masters(&["accept", "alpha", "--key", &key]);
        assert_eq!(accepted.code, 0, "{accepted:?}");
    }

    /// Our own `verify` and OpenSSL alone agree that the token's key signed the master's key.
    fn expect_valid(&self) {
        let verified = ended(
            mastersign()
                .unwrap()
                .arg("verify")
                .arg(self.file())
                .arg("--master-pub")
                .arg(self.pki_dir().join("master.pub"))
                .arg("--master-sign-pub")
                .arg(self.site.token().public_key_file()),
        );
        assert_eq!(verified.code, 0, "{verified:?}");
        assert!(
            verified.output.starts_with("valid: PKCS1v15-SHA1"),
            "{verified:?}"
        );
        let path = |name: &str| self.root.path().join(name);
        let text = fs::read_to_string(self.pki_dir().join("master.pub")).unwrap();
        fs::write(path("message"), clean_key(&text)).unwrap();
        run(Command::new("openssl")
            .args(["base64", "-d", "-A", "-in"])
            .arg(self.file())
            .arg("-out")
            .arg(path("raw")))
        .unwrap();
        run(Command::new("openssl")
            .args(["dgst", "-sha1", "-verify"])
            .arg(self.site.token().public_key_file())
            .arg("-signature")
            .arg(path("raw"))
            .arg(path("message")))
        .unwrap();
    }
}

fn ended(command: &Command) -> Ended {
    let (status, output, notes) = attempt(command).unwrap();
    Ended {
        code: status.code().unwrap(),
        output,
        notes,
    }
}
