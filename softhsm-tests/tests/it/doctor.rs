//! `mastersign doctor`, on a service and on a master, well and ill.

use std::fs;
use std::process::Command;

use minion::verify::{Algorithm, PublicKey, Signature};
use serde_json::Value;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::process::{attempt, run};
use softhsm_tests::salt::{Installation, Version};
use softhsm_tests::service::{Service, Site};

/// A finding by the names on the way to it.
fn find<'a>(tree: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(tree, |at, name| {
        let parts = at["parts"].as_array().unwrap();
        let found = parts.iter().find(|part| part["what"] == **name);
        found.unwrap_or_else(|| panic!("no {name:?} in {at:#}"))
    })
}

/// The findings without parts that are not good.
fn ailing(tree: &Value) -> Vec<&str> {
    let parts = tree["parts"].as_array().unwrap();
    if parts.is_empty() && tree["level"] != "good" {
        return vec![tree["what"].as_str().unwrap()];
    }
    parts.iter().flat_map(ailing).collect()
}

fn findings(command: &mut Command) -> (Option<i32>, Value) {
    let (status, answer, complaint) = attempt(command.arg("--output=json")).unwrap();
    let tree = serde_json::from_str(&answer);
    let tree = tree.unwrap_or_else(|error| panic!("{error}: {answer}{complaint}"));
    (status.code(), tree)
}

fn service(site: &Site, options: &[&str]) -> Command {
    let mut command = mastersign().unwrap();
    command
        .args(["doctor", "service", "--config"])
        .arg(site.config())
        .args(options);
    command
}

#[test]
fn a_service_that_is_well_is_found_well_and_its_pin_is_left_alone() {
    let site = Site::create().unwrap();
    let running = site.serve().unwrap();
    running.log().wait_for("ready to sign").unwrap();
    running.write_ports(&site).unwrap();
    let before = site.token().counts().calls("C_Login").unwrap();
    // The module that counts is a file of whoever runs the suite, and only root's is as it should be.
    let (well, ills) = if nix::unistd::geteuid().is_root() {
        (Some(0), vec![])
    } else {
        (Some(1), vec!["module"])
    };
    let (code, tree) = findings(&mut service(&site, &[]));
    assert_eq!(code, well, "{tree:#}");
    assert_eq!(ailing(&tree), ills);
    assert_eq!(site.token().counts().calls("C_Login").unwrap(), before);
    assert_eq!(find(&tree, &["running", "readiness"])["detail"], "ready");
    find(&tree, &["running", "confinement"]);
    let mechanisms = &find(&tree, &["HSM suite", "mechanisms"])["detail"];
    assert!(
        mechanisms.as_str().unwrap().contains("CKM_RSA_PKCS"),
        "{mechanisms}"
    );
    let (code, tree) = findings(&mut service(&site, &["--login"]));
    assert_eq!(code, well, "{tree:#}");
    assert_eq!(ailing(&tree), ills);
    find(&tree, &["HSM suite", "login and trial signatures"]);
    let own = site.token().public_key();
    assert_eq!(site.token().counts().signatures_but_over(own).unwrap(), 0);
}

#[test]
fn a_module_that_is_not_the_pinned_one_is_found() {
    let site = Site::create().unwrap();
    let pin = "0".repeat(64);
    site.exchange(
        "sessions = 2",
        &format!("sessions = 2\nmodule_sha256 = {pin:?}"),
    )
    .unwrap();
    let (code, tree) = findings(&mut service(&site, &[]));
    assert_eq!(code, Some(2), "{tree:#}");
    let module = find(&tree, &["HSM suite", "module"]);
    assert_eq!(module["level"], "failure");
    assert!(
        module["detail"].as_str().unwrap().contains(&pin),
        "{module}"
    );
}

#[test]
fn a_service_that_is_ill_is_told_what_to_do_worst_first() {
    let site = Site::create().unwrap();
    site.without_store_id().unwrap();
    site.token().write_pin("not-the-pin").unwrap();
    let running = site.serve().unwrap();
    running.log().wait_for("the HSM cannot be used").unwrap();
    running.write_ports(&site).unwrap();
    let bundle = site.directory().join("bundle.json");
    let bundle_option = format!("--bundle={}", bundle.display());
    let (code, tree) = findings(&mut service(&site, &[&bundle_option]));
    assert_eq!(code, Some(1), "{tree:#}");
    let tries = find(&tree, &["HSM suite", "PIN tries"]);
    assert!(
        tries["detail"].as_str().unwrap().contains("fewer than all"),
        "{tries}"
    );
    let readiness = find(&tree, &["running", "readiness"]);
    assert!(
        readiness["fix"].as_str().unwrap().contains("hsm unlock"),
        "{readiness}"
    );
    let id = find(&tree, &["configuration"]);
    assert_eq!(id["level"], "warning");
    let levels: Vec<&str> = tree["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["level"].as_str().unwrap())
        .collect();
    let first_good = levels.iter().position(|level| *level == "good").unwrap();
    assert!(
        levels[first_good..].iter().all(|level| *level == "good"),
        "{levels:?}"
    );
    assert_eq!(
        site.token().counts().calls("C_Login").unwrap(),
        1,
        "the service's own"
    );

    let text = fs::read_to_string(&bundle).unwrap();
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["findings"], tree);
    assert_eq!(read["configuration"]["hsms"][0]["pin"], "file");
    for secret in ["not-the-pin", "softhsm2.conf", "FAULT_MODULE_COUNTS\":"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }

    // Stopped, and without its token.
    assert!(running.stop().unwrap().success());
    site.token().unplug().unwrap();
    let (code, tree) = findings(&mut service(&site, &[]));
    assert_eq!(code, Some(2), "{tree:#}");
    assert_eq!(tree["parts"][0]["what"], "HSM suite", "the worst is on top");
    assert_eq!(find(&tree, &["running"])["level"], "warning");

    fs::write(site.config(), "[listen]\napi = 1\n").unwrap();
    let (code, tree) = findings(&mut service(&site, &[]));
    assert_eq!(code, Some(2));
    assert_eq!(find(&tree, &["configuration"])["level"], "failure");
}

struct Ward {
    site: Site,
    service: Service,
    master: Installation,
}

impl Ward {
    fn create() -> Self {
        let site = Site::create().unwrap();
        let service = site.serve().unwrap();
        service.log().wait_for("ready to sign").unwrap();
        let master = Installation::create(Version::V3006, "east").unwrap();
        site.pki().master("east").unwrap();
        Self {
            site,
            service,
            master,
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = mastersign().unwrap();
        command
            .args(words)
            .args(["--url", &self.service.url()])
            .args(self.site.on_master("east", &self.master));
        command
    }

    fn doctor(&self) -> (Option<i32>, Value) {
        let mut command = self.command(&["doctor", "master"]);
        findings(command.arg("--search").arg(self.master.config_dir()))
    }

    fn key(&self) -> PublicKey {
        PublicKey::parse(self.master.public_key().unwrap().as_bytes()).unwrap()
    }
}

impl Ward {
    /// Has the master's key accepted and its signature fetched.
    fn sign(&self) {
        attempt(&self.command(&["fetch"])).unwrap();
        let admin = self.site.pki().admin("ada").unwrap();
        self.service.accept(&admin, "east", &self.key()).unwrap();
        run(&self.command(&["fetch"])).unwrap();
    }
}

#[test]
fn a_masters_signature_is_judged_as_a_minion_would() {
    let ward = Ward::create();
    let (code, tree) = ward.doctor();
    assert_eq!(code, Some(2), "no file yet");
    let file = find(&tree, &["signature file"]);
    assert!(
        file["detail"].as_str().unwrap().contains("does not start"),
        "{file}"
    );
    assert_eq!(find(&tree, &["service"])["level"], "warning");

    ward.sign();
    let (code, tree) = ward.doctor();
    assert_eq!(code, Some(0), "{tree:#}");
    for name in [
        "TLS handshake",
        "clock",
        "client certificate",
        "the master's key",
    ] {
        assert_eq!(find(&tree, &[name])["level"], "good", "{tree:#}");
    }
    let key = find(&tree, &["the master's key"])["detail"]
        .as_str()
        .unwrap();
    let print = minion::verify::Fingerprint::salt(&ward.key()).to_string();
    assert!(key.contains(&print), "{key}");

    let with_newline = ward.key().to_file();
    let digest_info = Algorithm::Sha1.digest_info(with_newline.as_bytes());
    let signature = ward.site.token().sign_anything(&digest_info).unwrap();
    for (content, expected) in [
        (Signature::new(signature).to_file(), "#68930"),
        ("%%%\n".to_owned(), "hangs at sign-in"),
    ] {
        fs::write(ward.master.signature_file(), content).unwrap();
        let (code, tree) = ward.doctor();
        assert_eq!(code, Some(2));
        let file = find(&tree, &["signature file"]);
        assert!(
            file["detail"].as_str().unwrap().contains(expected),
            "{file}"
        );
    }
}

#[test]
fn what_lies_around_and_what_salt_is_told_is_judged() {
    let ward = Ward::create();
    ward.sign();
    let copy = ward.master.config_dir().join("backup");
    fs::create_dir(&copy).unwrap();
    let other = openssl::rsa::Rsa::generate(2048).unwrap();
    fs::write(
        copy.join("master_sign.pem"),
        other.private_key_to_pem().unwrap(),
    )
    .unwrap();
    let (code, tree) = ward.doctor();
    assert_eq!(code, Some(2));
    let left = find(&tree, &["left signing keys"]);
    assert!(
        left["fix"]
            .as_str()
            .unwrap()
            .contains("backup/master_sign.pem"),
        "{left}"
    );
    fs::remove_dir_all(&copy).unwrap();

    // What an upgrade to 3008 would trip over, and what a stock master does.
    let settings = ward.master.config_dir().join("master");
    let text = fs::read_to_string(&settings).unwrap();
    for (line, level, expected) in [
        (
            "master_pubkey_signature: master_pubkey_signature\n",
            "warning",
            "default changed",
        ),
        (
            "master_use_pubkey_signature: True\n",
            "failure",
            "signs each sign-in by itself",
        ),
    ] {
        fs::write(&settings, text.replace(line, "")).unwrap();
        let (_, tree) = ward.doctor();
        let found = find(&tree, &["Salt's configuration"]);
        assert_eq!(found["level"], level, "{found}");
        assert!(
            found["detail"].as_str().unwrap().contains(expected),
            "{found}"
        );
    }
}

#[test]
fn a_service_that_is_away_does_not_make_a_good_file_bad() {
    let ward = Ward::create();
    ward.sign();
    let mut command = ward.command(&["doctor", "master"]);
    command.arg("--search").arg(ward.master.config_dir());
    assert!(ward.service.stop().unwrap().success());
    let (code, tree) = findings(&mut command);
    assert_eq!(code, Some(2));
    let handshake = find(&tree, &["TLS handshake"]);
    assert!(
        handshake["detail"]
            .as_str()
            .unwrap()
            .contains("nothing listens"),
        "{handshake}"
    );
    assert_eq!(
        find(&tree, &["signature file"])["level"],
        "good",
        "the file is as good as ever"
    );
}
