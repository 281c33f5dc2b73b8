//! The ways to get here and back, on real Salt and in the middle of the move: docs/rollout.md, from
//! a fleet without signing, in place and with a master to spare, and docs/migration.md, from Salt's
//! own signing. Each step for which a page has a command is taken with that command, on real Salt, and
//! who is cut off by it is what the page says. What a page leaves to the operator's own tools (the
//! minions that are late, another list of masters, systemd) the test does by hand.

mod steps;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use minion::verify::{Algorithm, PublicKey};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::process::{attempt, run};
use softhsm_tests::salt::{Installation, Master, Minion, MinionConfig, Turn, Version};
use softhsm_tests::search;
use softhsm_tests::service::{Service, Site};
use softhsm_tests::token::Token;

use self::steps::{Restarts, apply, is_counted_as_ready, roots};

#[test]
fn a_fleet_without_signing_is_rolled_out_and_back_on_3006() {
    roll_out(Version::V3006);
}

#[test]
fn a_fleet_without_signing_is_rolled_out_and_back_on_3008() {
    roll_out(Version::V3008);
}

#[test]
fn a_fleet_without_signing_moves_to_a_spare_master_and_nobody_is_cut_off_on_3006() {
    move_to_a_spare(Version::V3006);
}

#[test]
fn a_fleet_without_signing_moves_to_a_spare_master_and_nobody_is_cut_off_on_3008() {
    move_to_a_spare(Version::V3008);
}

#[test]
fn a_fleet_with_salts_own_signing_moves_without_a_hand_on_a_minion_on_3006() {
    migrate(Version::V3006);
}

#[test]
fn a_fleet_with_salts_own_signing_moves_without_a_hand_on_a_minion_on_3008() {
    migrate(Version::V3008);
}

fn roll_out(version: Version) {
    let _turn = Turn::take().unwrap();
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("ready to sign").unwrap();
    let mut master = unsigned(version, "alpha");
    let masters = [master.address().to_string()];
    let trusted = fs::read_to_string(site.token().public_key_file()).unwrap();
    let config = |id| config(version, id, &masters, &trusted);
    let mut early = Minion::start_unready(config("early")).unwrap();
    let mut late = Minion::start_unready(config("late")).unwrap();
    for (minion, id) in [(&early, "early"), (&late, "late")] {
        minion.log().wait_for(READY).unwrap();
        assert!(master.hears_from(id).unwrap(), "before the move: {id}");
    }

    // Step 1: the signature is made, Salt is not told; nobody is cut off.
    sign(&site, &service, master.installation(), "alpha");
    master.restart().unwrap();
    for (minion, id) in [(&early, "early"), (&late, "late")] {
        eventually(&master, id);
        assert_eq!(minion.log().count(NOT_ENABLED), 0);
    }

    // Steps 2 and 3.
    prepare(&site, &service, &master, &mut early, &late);

    // Step 4, the switch: the ready ones come back, the others are cut off.
    let restarts = Restarts::plan(&master, &["early", "late"]);
    drop_in(&site, &service, &master, "alpha");
    master.restart().unwrap();
    restarts.come();
    early.restart().unwrap();
    late.restart().unwrap();
    early.log().wait_for(READY).unwrap();
    eventually(&master, "early");
    late.log().wait_for(NOT_ENABLED).unwrap();
    assert!(!master.hears_from("late").unwrap());

    // Step 5: a late one is made ready, and comes back.
    let late = late.make_ready(config("late")).unwrap();
    late.log().wait_for(VERIFIED).unwrap();
    late.log().wait_for(READY).unwrap();
    eventually(&master, "late");

    // Back: the same the other way round.
    let mark = early.log().len();
    run(&watch(
        &site,
        &service,
        master.installation(),
        "alpha",
        &["--undo"],
    ))
    .unwrap();
    master.restart().unwrap();
    // A running minion of 3006 signs in again at the first publication that it cannot read.
    assert!(!master.hears_from("early").unwrap());
    early.log().wait_for_after(mark, NOT_SENT).unwrap();
    early.forget_settings().unwrap();
    early.restart().unwrap();
    early.log().wait_for(READY).unwrap();
    eventually(&master, "early");
}

/// Steps 2 and 3 of docs/rollout.md, for all that are reached, and who that was.
fn prepare(site: &Site, service: &Service, master: &Master, early: &mut Minion, late: &Minion) {
    // Steps 2 and 3: the key, then the settings onto the one that is reached; nobody is cut off.
    apply(site, service, master, "early", &[]);
    assert!(!early.has_settings());
    apply(site, service, master, "early", &["--verify"]);
    for id in ["early", "late"] {
        assert!(master.hears_from(id).unwrap(), "{id}");
    }
    assert!(is_counted_as_ready(site, service, master, "early", early));
    assert!(!is_counted_as_ready(site, service, master, "late", late));

    // A minion that verifies before the master signs is cut off: that is why it is not restarted.
    early.restart().unwrap();
    early.log().wait_for(NOT_SENT).unwrap();
    assert!(!master.hears_from("early").unwrap());
    assert!(master.hears_from("late").unwrap());
    early.forget_settings().unwrap();
    early.restart().unwrap();
    eventually(master, "early");
    apply(site, service, master, "early", &["--verify"]);
}

fn move_to_a_spare(version: Version) {
    let _turn = Turn::take().unwrap();
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("ready to sign").unwrap();
    let mut old = unsigned(version, "old");
    let mut spare = unsigned(version, "spare");
    let addresses = [old.address(), spare.address()].map(|address| address.to_string());
    let (on_old, on_spare) = (&addresses[..1], &addresses[1..]);
    let trusted = fs::read_to_string(site.token().public_key_file()).unwrap();
    let first = Minion::start_unready(config(version, "first", on_old, &trusted)).unwrap();
    let mut second = Minion::start_unready(config(version, "second", on_old, &trusted)).unwrap();
    for (minion, id) in [(&first, "first"), (&second, "second")] {
        minion.log().wait_for(READY).unwrap();
        eventually(&old, id);
    }

    // 1: the files on both masters, the key onto a minion. By itself it does nothing, also after a
    // restart of the minion.
    site.pki().master("alpha").unwrap();
    sign(&site, &service, old.installation(), "old");
    sign(&site, &service, spare.installation(), "spare");
    apply(&site, &service, &old, "second", &[]);
    assert!(second.directory().join("pki/master_sign.pub").exists());
    second.restart().unwrap();
    second.log().wait_for(READY).unwrap();
    eventually(&old, "second");

    // 2: the spare master switches, and no minion notices.
    drop_in(&site, &service, &spare, "spare");
    spare.restart().unwrap();
    assert!(old.hears_from("first").unwrap());
    assert!(old.hears_from("second").unwrap());

    // 3: group by group; a minion is at one of the two masters all the time but for its restart.
    let first = first
        .make_ready(config(version, "first", on_spare, &trusted))
        .unwrap();
    first.log().wait_for(VERIFIED).unwrap();
    first.log().wait_for(READY).unwrap();
    eventually(&spare, "first");
    assert!(old.hears_from("second").unwrap());
    let second = second
        .make_ready(config(version, "second", on_spare, &trusted))
        .unwrap();
    second.log().wait_for(VERIFIED).unwrap();
    second.log().wait_for(READY).unwrap();
    eventually(&spare, "second");

    // 4: the old master is empty and switches; then the minions get it back, and lose it.
    drop_in(&site, &service, &old, "old");
    old.restart().unwrap();
    for id in ["first", "second"] {
        assert!(spare.hears_from(id).unwrap());
    }
    let first = first
        .make_ready(config(version, "first", &addresses, &trusted))
        .unwrap();
    expect_sign_in(&first, 0, &old);
    first.log().wait_for(READY).unwrap();
    eventually(&old, "first");
    let mark = first.log().len();
    old.kill();
    expect_sign_in(&first, mark, &spare);
    eventually(&spare, "first");
    for minion in [&first, &second] {
        assert_eq!(minion.log().count(NOT_ENABLED), 0);
        assert_eq!(minion.log().count(NOT_SENT), 0);
    }
}

/// A master that signs nothing, running.
fn unsigned(version: Version, id: &str) -> Master {
    let installation = Installation::create(version, id).unwrap();
    installation.without_signature().unwrap();
    let settings = installation.config_dir().join("master.d");
    fs::create_dir(&settings).unwrap();
    fs::create_dir(roots(&installation)).unwrap();
    let place = roots(&installation).display().to_string();
    let text = format!("file_roots:\n  base:\n    - {place}\n");
    fs::write(settings.join("10-roots.conf"), text).unwrap();
    installation.start().unwrap()
}

/// Tells Salt to serve the file; it reads that at its next start.
fn drop_in(site: &Site, service: &Service, master: &Master, id: &str) {
    let options = ["--once", "--drop-in"];
    run(&watch(site, service, master.installation(), id, &options)).unwrap();
}

fn migrate(version: Version) {
    let _turn = Turn::take().unwrap();
    let signing = Rsa::generate(2048).unwrap();
    let stock = |id: &str| {
        let installation = Installation::create(version, id).unwrap();
        installation.with_signing_key(&signing).unwrap();
        fs::create_dir(installation.config_dir().join("master.d")).unwrap();
        installation.start().unwrap()
    };
    let mut alpha = stock("alpha");
    let mut beta = stock("beta");
    let masters = [alpha.address(), beta.address()].map(|address| address.to_string());
    let trusted = String::from_utf8(signing.public_key_to_pem().unwrap()).unwrap();
    let mole = Minion::start(config(version, "mole", &masters, &trusted)).unwrap();
    mole.log().wait_for(VERIFIED).unwrap();
    mole.log().wait_for(READY).unwrap();
    eventually(&alpha, "mole");

    // The key into the token; from here on nobody touches the minion.
    let (site, service) = take_over(alpha.installation(), &trusted);

    // The first master: the file, the settings, and only then the key goes.
    serve_the_file(&site, &service, alpha.installation(), "alpha");
    assert_eq!(
        fs::read_to_string(signature_of(alpha.installation()).unwrap()).unwrap(),
        by_the_file(&signing, alpha.installation()),
        "the token signs what the file signs"
    );
    let mark = mole.log().len();
    alpha.kill();
    expect_sign_in(&mole, mark, &beta);
    alpha.restart().unwrap();
    let roots = [alpha.installation().config_dir()];
    let modulus = site.token().public_key().modulus();
    let report = search::for_private_key(&modulus, &roots).unwrap();
    assert!(report.found.is_empty(), "{:?}", report.found);

    // In the middle of the move: one master by the token, the other still by its file. The minion
    // went there while the first one was away; from one that is back before its next look at its
    // connections, a minion of 3006 does not move.
    eventually(&beta, "mole");

    // The second master; its restart sends the minion to the one that has no key.
    serve_the_file(&site, &service, beta.installation(), "beta");
    let undo = watch(&site, &service, alpha.installation(), "alpha", &["--undo"]);
    assert!(
        service.stop().unwrap().success(),
        "from here on nobody needs it"
    );
    let mark = mole.log().len();
    beta.kill();
    expect_sign_in(&mole, mark, &alpha);
    eventually(&alpha, "mole");
    let mark = mole.log().len();
    beta.restart().unwrap();
    alpha.kill();
    expect_sign_in(&mole, mark, &beta);
    eventually(&beta, "mole");

    // Back, also from a service that is gone: the key in its place again, the settings away. That
    // it signs by itself is seen without the file.
    alpha.installation().put_signing_key(&signing).unwrap();
    run(&undo).unwrap();
    fs::remove_file(signature_of(alpha.installation()).unwrap()).unwrap();
    alpha.restart().unwrap();
    let mark = mole.log().len();
    beta.kill();
    expect_sign_in(&mole, mark, &alpha);
    eventually(&alpha, "mole");
    assert_eq!(mole.log().count("signature verification failed!"), 0);
}

/// Imports the key of a stock master and starts the service with it.
fn take_over(stock: &Installation, trusted: &str) -> (Site, Service) {
    let token = Token::with_imported(&stock.pki_dir().join("master_sign.pem")).unwrap();
    assert_eq!(token.public_key().to_file(), trusted);
    let site = Site::around(token).unwrap();
    let admitted = "sessions = 2\nrequire_never_extractable = \"warn\"\n";
    site.exchange("sessions = 2\n", admitted).unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("ready to sign").unwrap();
    (site, service)
}

/// Steps 3 and 4 of a master's move, but for the restart.
fn serve_the_file(site: &Site, service: &Service, master: &Installation, id: &str) {
    sign(site, service, master, id);
    run(&watch(site, service, master, id, &["--once", "--drop-in"])).unwrap();
    fs::remove_file(master.pki_dir().join("master_sign.pem")).unwrap();
}

fn expect_sign_in(minion: &Minion, from: usize, master: &Master) {
    let signed_in = format!(
        "Received signed and verified master pubkey from master {}",
        master.address()
    );
    minion.log().wait_for_after(from, &signed_in).unwrap();
}

/// What the signing key itself makes of the master's key.
fn by_the_file(signing: &Rsa<openssl::pkey::Private>, master: &Installation) -> String {
    let key = PKey::from_rsa(signing.clone()).unwrap();
    let mut signer = Signer::new(MessageDigest::sha1(), &key).unwrap();
    let public = PublicKey::parse(master.public_key().unwrap().as_bytes()).unwrap();
    let signature = signer
        .sign_oneshot_to_vec(public.canonical().as_bytes())
        .unwrap();
    minion::verify::Signature::new(signature).to_file()
}

/// Has the master's key accepted and its signature written; Salt is not told.
fn sign(site: &Site, service: &Service, master: &Installation, id: &str) {
    site.pki().master(id).unwrap();
    let once = watch(site, service, master, id, &["--once"]);
    let (status, _, said) = attempt(&once).unwrap();
    assert_eq!(status.code(), Some(3), "{said}");
    let key = PublicKey::parse(master.public_key().unwrap().as_bytes()).unwrap();
    let admin = site.pki().admin(&format!("admin-of-{id}")).unwrap();
    run(mastersign()
        .unwrap()
        .args(["masters", "-a", id, "--key", &key.hash().to_string()])
        .args(["--url", &service.url()])
        .args(admin.options()))
    .unwrap();
    run(&once).unwrap();
    assert!(signature_of(master).is_some());
}

/// The signature file; Salt 3008 has another name for it until the settings say one.
fn signature_of(master: &Installation) -> Option<PathBuf> {
    fs::read_dir(master.pki_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with("_pubkey_signature"))
}

fn watch(
    site: &Site,
    service: &Service,
    master: &Installation,
    id: &str,
    options: &[&str],
) -> Command {
    let mut command = mastersign().unwrap();
    command
        .args(["watch", "--url", &service.url()])
        .args(site.on_master(id, master))
        .args(options);
    command
}

fn config<'a>(
    version: Version,
    id: &'a str,
    masters: &'a [String],
    trusted: &'a str,
) -> MinionConfig<'a> {
    MinionConfig {
        version,
        id,
        masters,
        trusted,
        algorithm: Algorithm::Sha1,
        namespace: None,
        log_level: "debug",
        alive_interval: "2",
    }
}

/// A minion notices a restarted master at its next look, so its answer is asked for again, each
/// time for as long as the `salt` command waits.
fn eventually(master: &Master, minion: &str) {
    let heard = (0..ATTEMPTS).any(|_| master.hears_from(minion).unwrap());
    assert!(heard, "{minion} does not answer {}", master.address());
}

const ATTEMPTS: usize = 6;
const READY: &str = "Minion is ready to receive requests!";
const VERIFIED: &str = "Successfully verified signature of master public key";
/// What a minion says that does not verify, to a master that signs.
const NOT_ENABLED: &str = "verification is not enabled on the minion";
/// What a minion says that verifies, to a master that does not sign.
const NOT_SENT: &str = "The master did not send its public-key signature";
