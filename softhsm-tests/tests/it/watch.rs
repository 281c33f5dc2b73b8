//! `mastersign watch` on a master's files, without a salt-master: what it writes when, and what it
//! leaves alone.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use minion::verify::{Algorithm, PublicKey, Signature};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::process::{Process, attempt, run};
use softhsm_tests::salt::{Installation, Version};
use softhsm_tests::service::{Service, Site};
use tempfile::TempDir;

/// A master that knows nothing of signatures yet, and what watch gets.
struct Scene {
    site: Site,
    service: Service,
    master: Installation,
    metrics: TempDir,
}

impl Scene {
    fn create() -> Self {
        let site = Site::create().unwrap();
        let service = site.serve().unwrap();
        service.log().wait_for("ready to sign").unwrap();
        let master = Installation::create(Version::V3008, "east").unwrap();
        master.without_signature().unwrap();
        fs::create_dir(master.config_dir().join("master.d")).unwrap();
        site.pki().master("east").unwrap();
        let metrics = TempDir::with_prefix("metrics-").unwrap();
        Self {
            site,
            service,
            master,
            metrics,
        }
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = mastersign().unwrap();
        command
            .args(["watch", "--url", &self.service.url()])
            .args(self.site.on_master("east", &self.master))
            .args(options);
        command
    }

    fn accept(&self) {
        let key = PublicKey::parse(self.master.public_key().unwrap().as_bytes()).unwrap();
        let admin = self.site.pki().admin("ada").unwrap();
        self.service.accept(&admin, "east", &key).unwrap();
    }

    /// A master whose key is accepted before anything is watched.
    fn accepted(&self) {
        let (status, _, said) = attempt(&self.command(&["--once"])).unwrap();
        assert_eq!(status.code(), Some(3), "{said}");
        self.accept();
    }

    fn drop_in(&self) -> PathBuf {
        self.master.config_dir().join("master.d/50-mastersign.conf")
    }

    fn textfile(&self) -> PathBuf {
        self.metrics.path().join("mastersign.prom")
    }

    fn metric(&self, line: &str) -> bool {
        let text = fs::read_to_string(self.textfile()).unwrap();
        text.lines().any(|found| found == line)
    }

    fn verifies(&self) -> bool {
        let key = PublicKey::parse(self.master.public_key().unwrap().as_bytes()).unwrap();
        let file = fs::read(self.master.signature_file()).unwrap();
        let signature = Signature::from_file(&file).unwrap();
        let signing = self.site.token().public_key();
        signing.verify(Algorithm::Sha1, &key, &signature).is_ok()
    }
}

#[test]
fn the_file_comes_before_the_settings_and_survives_an_outage_and_a_new_key() {
    let scene = Scene::create();
    let textfile = scene.textfile();
    let watch = Process::start(&mut scene.command(&[
        "--interval=1s",
        "--drop-in",
        "--textfile",
        textfile.to_str().unwrap(),
    ]))
    .unwrap();
    let log = watch.log();
    log.wait_for("pending: an operator has to accept this key")
        .unwrap();
    assert!(!scene.master.signature_file().exists());
    assert!(!scene.drop_in().exists(), "no file, so no settings");

    scene.accept();
    log.wait_for("wrote master.d/50-mastersign.conf").unwrap();
    assert!(scene.verifies());
    let settings = fs::read_to_string(scene.drop_in()).unwrap();
    assert!(
        settings.contains("master_use_pubkey_signature: True"),
        "{settings}"
    );
    // What deploy/mastersign-restart.path watches changes with the signature, whatever that is
    // called.
    let file = fs::read(scene.master.signature_file()).unwrap();
    let hash = hex::encode(openssl::sha::sha256(&file));
    assert!(settings.contains(&hash), "{settings}");
    let unit = include_str!("../../../deploy/mastersign-restart.path");
    assert!(unit.contains("\nPathChanged=/etc/salt/master.d/50-mastersign.conf\n"));
    log.wait_for("unchanged: ").unwrap();
    assert!(scene.metric("mastersign_watch_signature_valid 1"));
    assert!(scene.metric("mastersign_watch_salt_serves 1"));

    let good = fs::read(scene.master.signature_file()).unwrap();
    let Scene {
        site,
        service,
        master,
        metrics,
    } = scene;
    assert!(service.stop().unwrap().success());
    log.wait_for("error: ").unwrap();
    log.wait_for("master_pubkey_signature verifies").unwrap();
    assert_eq!(fs::read(master.signature_file()).unwrap(), good);

    // The master gets another key while nobody can sign: it is told that its file is of no use any
    // more, and the file stays, because salt-master does not start without one.
    let mark = log.len();
    let key = Rsa::generate(2048).unwrap();
    replace(
        &master.pki_dir(),
        "master.pem",
        &key.private_key_to_pem().unwrap(),
    );
    let public = PKey::from_rsa(key).unwrap().public_key_to_pem().unwrap();
    replace(&master.pki_dir(), "master.pub", &public);
    log.wait_for_after(mark, "there is no master_pubkey_signature that verifies")
        .unwrap();
    assert_eq!(fs::read(master.signature_file()).unwrap(), good);
    let text = fs::read_to_string(metrics.path().join("mastersign.prom")).unwrap();
    assert!(
        text.contains("\nmastersign_watch_signature_valid 0\n"),
        "{text}"
    );
    drop((site, watch));
}

#[test]
fn settings_that_salt_would_not_follow_are_taken_back() {
    let scene = Scene::create();
    let once = |options: &[&str]| {
        let all = [&["--once"], options].concat();
        attempt(&scene.command(&all)).unwrap()
    };
    let (status, _, said) = once(&["--drop-in"]);
    assert_eq!(status.code(), Some(3), "{said}");
    scene.accept();

    let later = scene.master.config_dir().join("master.d/99-local.conf");
    fs::write(&later, "master_use_pubkey_signature: False\n").unwrap();
    let (status, _, said) = once(&["--drop-in"]);
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("overrules"), "{said}");
    assert!(said.contains("master_use_pubkey_signature: True"), "{said}");
    assert!(!scene.drop_in().exists());
    assert!(scene.verifies(), "the file is there all the same");
    fs::remove_file(&later).unwrap();

    fs::write(scene.drop_in(), "# mine\nmaster_sign_pubkey: False\n").unwrap();
    let (status, _, said) = once(&["--drop-in"]);
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("not written by mastersign"), "{said}");
    let (status, _, said) = attempt(&scene.command(&["--undo"])).unwrap();
    assert!(!status.success() && said.contains("left alone"), "{said}");
    assert!(
        fs::read_to_string(scene.drop_in())
            .unwrap()
            .starts_with("# mine")
    );
    fs::remove_file(scene.drop_in()).unwrap();

    let (status, _, said) = once(&["--drop-in"]);
    assert!(status.success(), "{said}");
    assert!(scene.drop_in().exists());
    let told = run(&scene.command(&["--undo"])).unwrap();
    assert!(told.contains("cut off"), "{told}");
    assert!(!scene.drop_in().exists());
    assert!(scene.master.signature_file().exists());
    assert!(
        run(&scene.command(&["--undo"]))
            .unwrap()
            .contains("unchanged")
    );
}

#[test]
fn an_undo_beside_a_running_watch_is_refused_and_says_what_to_stop() {
    let scene = Scene::create();
    scene.accepted();
    let mut watch = Process::start(&mut scene.command(&["--interval=1s", "--drop-in"])).unwrap();
    watch
        .log()
        .wait_for("wrote master.d/50-mastersign.conf")
        .unwrap();
    let (status, _, said) = attempt(&scene.command(&["--undo"])).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("mastersign-watch.service"), "{said}");
    assert!(said.contains("Nothing was changed"), "{said}");
    assert!(scene.drop_in().exists());

    watch.terminate().unwrap();
    assert!(watch.wait().unwrap().success());
    let told = run(&scene.command(&["--undo"])).unwrap();
    assert!(told.contains("took master.d"), "{told}");
    assert!(!scene.drop_in().exists());

    // One that tells Salt nothing is in nobody's way.
    let plain = Process::start(&mut scene.command(&["--interval=1s"])).unwrap();
    plain.log().wait_for("unchanged: ").unwrap();
    run(&scene.command(&["--once", "--drop-in"])).unwrap();
    assert!(scene.drop_in().exists());
    run(&scene.command(&["--undo"])).unwrap();
    assert!(!scene.drop_in().exists());
}

#[test]
fn settings_that_another_file_overrules_are_neither_written_nor_asked_for_in_a_loop() {
    let scene = Scene::create();
    let (status, _, said) = attempt(&scene.command(&["--once"])).unwrap();
    assert_eq!(status.code(), Some(3), "{said}");
    scene.accept();
    let master_d = scene.master.config_dir().join("master.d");
    let later = master_d.join("99-local.conf");
    fs::write(&later, "master_use_pubkey_signature: False\n").unwrap();
    let seen = Changes::of(&master_d);
    let watch = Process::start(&mut scene.command(&["--interval=1h", "--drop-in"])).unwrap();
    let log = watch.log();
    log.wait_for("overrules").unwrap();
    let first = Instant::now();
    let mark = log.len();
    log.wait_for_after(mark, "overrules").unwrap();
    // The first wait is 10 s. A change of master.d, by whomever, would have ended it.
    assert!(first.elapsed() > Duration::from_secs(5));
    assert!(scene.verifies(), "the file is there all the same");
    assert_eq!(seen.of_ours(), 0, "deploy/mastersign-restart.path");

    fs::remove_file(&later).unwrap();
    log.wait_for("wrote master.d/50-mastersign.conf").unwrap();
    log.wait_for("unchanged: ").unwrap();
    assert_eq!(seen.of_ours(), 1);

    let mark = log.len();
    fs::write(&later, "master_use_pubkey_signature: False\n").unwrap();
    log.wait_for_after(mark, "overrules").unwrap();
    assert!(!scene.drop_in().exists(), "half of it would do harm");
    let (first, mark) = (Instant::now(), log.len());
    log.wait_for_after(mark, "overrules").unwrap();
    assert!(first.elapsed() > Duration::from_secs(5));
    assert_eq!(seen.of_ours(), 1, "it went once");
    assert_eq!(log.count("wrote master.d/50-mastersign.conf"), 1);
}

#[test]
fn a_key_that_salt_keeps_elsewhere_is_refused_by_name() {
    let scene = Scene::create();
    let file = scene.master.config_dir().join("master.d/keys.conf");
    fs::write(&file, "keys.cache_driver: redis\n").unwrap();
    let (status, _, said) = attempt(&scene.command(&["--once"])).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("redis") && said.contains("localfs_key"),
        "{said}"
    );
}

#[test]
fn a_cluster_has_its_common_key_signed() {
    let scene = Scene::create();
    let shared = TempDir::with_prefix("cluster-").unwrap();
    let key = Rsa::generate(2048).unwrap();
    let public = PKey::from_rsa(key.clone())
        .unwrap()
        .public_key_to_pem()
        .unwrap();
    let cipher = openssl::symm::Cipher::aes_256_cbc();
    let private = key
        .private_key_to_pem_passphrase(cipher, b"common")
        .unwrap();
    fs::write(shared.path().join("cluster.pem"), private).unwrap();
    fs::write(shared.path().join("cluster.pub"), &public).unwrap();
    fs::write(
        scene.master.config_dir().join("master.d/cluster.conf"),
        format!(
            "cluster_id: east\ncluster_pki_dir: {}\ncluster_key_pass: common\n",
            shared.path().display()
        ),
    )
    .unwrap();
    let (status, _, said) = attempt(&scene.command(&["--once"])).unwrap();
    assert_eq!(status.code(), Some(3), "{said}");
    let public = PublicKey::parse(&public).unwrap();
    assert!(
        said.contains(&public.hash().to_string()),
        "the cluster's key: {said}"
    );
    let admin = scene.site.pki().admin("ada").unwrap();
    scene.service.accept(&admin, "east", &public).unwrap();
    run(&scene.command(&["--once"])).unwrap();
    let file = fs::read(scene.master.signature_file()).unwrap();
    let signature = Signature::from_file(&file).unwrap();
    let signing = scene.site.token().public_key();
    signing
        .verify(Algorithm::Sha1, &public, &signature)
        .unwrap();
}

fn replace(directory: &Path, name: &str, content: &[u8]) {
    let new = directory.join("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, directory.join(name)).unwrap();
}

/// What became of the names in a directory.
struct Changes(Inotify);

impl Changes {
    fn of(directory: &Path) -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
        let what = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE;
        inotify.add_watch(directory, what).unwrap();
        Self(inotify)
    }

    /// How often the drop-in came or went since the last look.
    fn of_ours(&self) -> usize {
        let events = match self.0.read_events() {
            Err(Errno::EAGAIN) => Vec::new(),
            events => events.unwrap(),
        };
        let ours = |name: &OsString| name == "50-mastersign.conf";
        events
            .iter()
            .filter(|event| event.name.as_ref().is_some_and(ours))
            .count()
    }
}
