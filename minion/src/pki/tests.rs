//! Keys and what is learned, on a real directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use openssl::rsa::Rsa;
use tempfile::TempDir;

use super::*;
use crate::wire::crypticle::Crypticle;

struct Scene {
    directory: TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::open(directory.path(), "master_sign").unwrap();
        Self { directory, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().mode() & 0o7777
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Every name below the directory.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn key() -> PublicKey {
    let rsa = Rsa::generate(2048).unwrap();
    PublicKey::from_components(&rsa.n().to_vec(), &rsa.e().to_vec()).unwrap()
}

fn name(text: &str) -> MasterName {
    crate::config::Master {
        name: text.to_owned(),
        host: text.to_owned(),
        port: 4506.try_into().unwrap(),
    }
    .endpoint()
}

fn aes(byte: u8) -> KeyId {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode([byte; 56]);
    Crypticle::parse(text.as_bytes()).unwrap().id()
}

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let scene = Scene::new();
    assert!(matches!(
        scene.store.existing_identity(),
        Err(PkiError::NoIdentity(_))
    ));
    assert!(
        scene.names().is_empty(),
        "looking for a key wrote something"
    );
    let made = scene.store.identity(2048).unwrap();
    assert_eq!(scene.names(), ["minion.pem", "minion.pub"]);
    assert_eq!(
        (scene.mode("minion.pem"), scene.mode("minion.pub")),
        (0o400, 0o644)
    );
    let pem = fs::read_to_string(scene.path("minion.pem")).unwrap();
    assert!(
        pem.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"),
        "not as Salt writes it"
    );
    assert_eq!(
        fs::read_to_string(scene.path("minion.pub")).unwrap(),
        made.public().to_file()
    );
    for again in [scene.store.identity(3072), scene.store.existing_identity()] {
        assert_eq!(again.unwrap().public(), made.public());
    }
    assert_eq!(fs::read_to_string(scene.path("minion.pem")).unwrap(), pem);
}

#[test]
fn the_size_of_a_new_key_is_the_configured_one() {
    let scene = Scene::new();
    assert_eq!(scene.store.identity(3072).unwrap().public().bits(), 3072);
}

#[test]
fn two_that_make_a_key_at_once_have_the_same() {
    let scene = Scene::new();
    let path = scene.directory.path();
    let keys = std::thread::scope(|scope| {
        let start = || {
            let store = Store::open(path, "master_sign").unwrap();
            store.identity(2048).unwrap().public().to_file()
        };
        let threads = [(); 4].map(|()| scope.spawn(start));
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(scene.names(), ["minion.pem", "minion.pub"]);
}

#[test]
fn a_public_key_without_its_private_one_is_not_replaced() {
    let scene = Scene::new();
    scene.write("minion.pub", &key().to_file());
    assert!(matches!(
        scene.store.identity(2048),
        Err(PkiError::Orphan(_))
    ));
    assert_eq!(scene.names(), ["minion.pub"]);
}

#[test]
fn a_private_key_that_others_may_read_is_refused() {
    let scene = Scene::new();
    scene.store.identity(2048).unwrap();
    for mode in [0o440, 0o404, 0o420, 0o604, 0o601] {
        scene.set_mode("minion.pem", mode);
        let error = scene.store.existing_identity().unwrap_err();
        assert!(
            matches!(error, PkiError::Readable { .. }),
            "{mode:o}: {error}"
        );
        assert!(error.to_string().contains("chmod 400"));
    }
    scene.set_mode("minion.pem", 0o600);
    scene.store.existing_identity().unwrap();
}

#[test]
fn what_is_no_key_is_named_and_not_quoted() {
    let scene = Scene::new();
    scene.write("minion.pem", "secret-word");
    scene.set_mode("minion.pem", 0o400);
    let error = scene.store.identity(2048).unwrap_err();
    assert!(matches!(error, PkiError::Private { .. }), "{error}");
    assert!(!format!("{error:?}").contains("secret-word"));
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let scene = Scene::new();
    for mode in [0o770, 0o702, 0o777, 0o1777] {
        scene.set_mode("", mode);
        let error = Store::open(scene.directory.path(), "master_sign").unwrap_err();
        assert!(
            matches!(error, PkiError::Writable { .. }),
            "{mode:o}: {error}"
        );
    }
    scene.set_mode("", 0o755);
    Store::open(scene.directory.path(), "master_sign").unwrap();
    let none = Store::open(&scene.path("none"), "master_sign").unwrap_err();
    assert!(matches!(none, PkiError::NoDirectory(_)), "{none}");
}

#[test]
fn a_missing_directory_is_made_for_its_owner_alone() {
    let scene = Scene::new();
    Store::create(&scene.path("pki/minion"), "master_sign").unwrap();
    assert_eq!(scene.mode("pki/minion"), 0o700);
}

#[test]
fn signing_keys_come_from_two_places_each_with_its_time() {
    let scene = Scene::new();
    let (stock, next, old) = (key(), key(), key());
    scene.write("master_sign.pub", &stock.to_file());
    scene.write(
        "master_sign.d/next.pub",
        &format!(
            "# not-before: 2026-01-31T00:00:00Z\n# not-after: 2027-01-31T00:00:00+01:00\n\n{}",
            next.to_file()
        ),
    );
    scene.write("master_sign.d/old.pub", &old.to_file());
    scene.write("master_sign.d/notes.txt", "no key");
    scene.write("master_sign.d/.draft.pub", "no key");
    let keys = scene.store.signing_keys().unwrap();
    let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["master_sign.pub", "next.pub", "old.pub"]);
    assert_eq!(
        (&keys[0].key, &keys[1].key, &keys[2].key),
        (&stock, &next, &old)
    );
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    // 2026-01-31T00:00:00Z and 2027-01-30T23:00:00Z.
    let (begin, end) = (1_769_817_600, 1_801_350_000);
    for (moment, current) in [
        (at(begin - 1), false),
        (at(begin), true),
        (at(end - 1), true),
        (at(end), false),
    ] {
        assert_eq!(keys[1].is_current(moment), current);
        assert!(keys[0].is_current(moment));
    }
}

#[test]
fn a_signing_key_that_cannot_be_read_is_never_passed_over() {
    let scene = Scene::new();
    let missing = scene.store.signing_keys().unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("master_sign.pub does not exist"),
        "{missing}"
    );
    let pem = key().to_file();
    for content in [
        format!("# not-after: soon\n{pem}"),
        format!("# not_after: 2026-01-31T00:00:00Z\n{pem}"),
        format!("# not-after: 2026-01-31T00:00:00Z\n# not-after: 2027-01-31T00:00:00Z\n{pem}"),
        format!("a note\n{pem}"),
    ] {
        scene.write("master_sign.d/a.pub", &content);
        let error = scene.store.signing_keys().unwrap_err();
        assert!(matches!(error, PkiError::Validity { .. }), "{error}");
    }
    scene.write("master_sign.d/a.pub", "");
    assert!(matches!(
        scene.store.signing_keys(),
        Err(PkiError::Key { .. })
    ));
    fs::remove_file(scene.path("master_sign.d/a.pub")).unwrap();
    scene.write("master_sign.pub", &pem);
    scene.set_mode("master_sign.pub", 0o664);
    assert!(matches!(
        scene.store.signing_keys(),
        Err(PkiError::Writable { .. })
    ));
    scene.set_mode("master_sign.pub", 0o644);
    scene.store.signing_keys().unwrap();
    scene.set_mode("master_sign.d", 0o775);
    assert!(matches!(
        scene.store.signing_keys(),
        Err(PkiError::Writable { .. })
    ));
}

#[test]
fn the_signing_keys_name_is_configured() {
    let scene = Scene::new();
    scene.write("fleet.pub", &key().to_file());
    let store = Store::open(scene.directory.path(), "fleet").unwrap();
    assert_eq!(store.signing_keys().unwrap()[0].name, "fleet.pub");
}

#[test]
fn revoked_keys_are_read_line_by_line_or_not_at_all() {
    let scene = Scene::new();
    assert!(scene.store.revoked().unwrap().is_empty());
    let (one, two) = (key().hash(), key().hash());
    scene.write("revoked_masters", &format!("# lost\n{one}\n\n  {two}  \n"));
    assert_eq!(scene.store.revoked().unwrap(), BTreeSet::from([one, two]));
    scene.write(
        "revoked_masters",
        &format!("{one}\n{}\n", two.to_string().to_uppercase()),
    );
    let error = scene.store.revoked().unwrap_err();
    assert!(
        error.to_string().ends_with("revoked_masters, line 2"),
        "{error}"
    );
}

#[test]
fn each_master_has_its_own_key() {
    let scene = Scene::new();
    let (one, two) = (key(), key());
    assert!(scene.store.pinned(&name("m1")).unwrap().is_none());
    assert!(
        scene.names().is_empty(),
        "looking for a pin wrote something"
    );
    scene.store.pin(&name("m1"), &one).unwrap();
    scene.store.pin(&name("m2"), &two).unwrap();
    assert_eq!(scene.store.pinned(&name("m1")).unwrap(), Some(one.clone()));
    assert_eq!(scene.store.pinned(&name("m2")).unwrap(), Some(two.clone()));
    scene.store.pin(&name("m1"), &two).unwrap();
    let reopened = Store::open(scene.directory.path(), "master_sign").unwrap();
    assert_eq!(reopened.pinned(&name("m1")).unwrap(), Some(two));
    assert!(reopened.pinned(&name("m3")).unwrap().is_none());
    assert_eq!(scene.names(), ["masters"]);
    assert_eq!(scene.mode("masters"), 0o700);
    assert_eq!(scene.mode(&format!("masters/{}.pub", one.hash())), 0o600);
}

#[test]
fn a_pin_that_is_there_is_not_written_again() {
    let scene = Scene::new();
    let key = key();
    scene.store.pin(&name("m1"), &key).unwrap();
    let inode = |name: &str| fs::metadata(scene.path(name)).unwrap().ino();
    let endpoint = "masters/m1:4506.endpoint";
    let before = inode(endpoint);
    scene.store.pin(&name("m1"), &key).unwrap();
    assert_eq!(inode(endpoint), before);
}

#[test]
fn a_pin_that_was_tampered_with_is_no_pin() {
    let scene = Scene::new();
    let (one, two) = (key(), key());
    scene.store.pin(&name("m1"), &one).unwrap();
    let file = format!("masters/{}.pub", one.hash());
    let pinned = || scene.store.pinned(&name("m1"));
    fs::write(scene.path(&file), two.to_file()).unwrap();
    assert!(matches!(pinned(), Err(PkiError::Damaged(_))));
    fs::remove_file(scene.path(&file)).unwrap();
    assert!(matches!(pinned(), Err(PkiError::Damaged(_))));
    scene.write("elsewhere", &one.to_file());
    symlink(scene.path("elsewhere"), scene.path(&file)).unwrap();
    assert!(matches!(pinned(), Err(PkiError::NotAFile(_))));
    fs::remove_file(scene.path(&file)).unwrap();
    scene.store.pin(&name("m1"), &one).unwrap();
    assert_eq!(pinned().unwrap(), Some(one));
    scene.set_mode("masters/m1:4506.endpoint", 0o660);
    assert!(matches!(pinned(), Err(PkiError::Writable { .. })));
}

#[test]
fn serials_only_rise_and_belong_to_a_master_and_an_aes_key() {
    let scene = Scene::new();
    let (one, two) = (key(), key());
    assert_eq!(scene.store.serial(&one, aes(1)).unwrap(), None);
    assert!(
        scene.names().is_empty(),
        "looking for a serial wrote something"
    );
    scene.store.keep_serial(&one, aes(1), 7).unwrap();
    scene.store.keep_serial(&one, aes(2), u64::MAX).unwrap();
    scene.store.keep_serial(&one, aes(1), 3).unwrap();
    let reopened = Store::open(scene.directory.path(), "master_sign").unwrap();
    assert_eq!(reopened.serial(&one, aes(1)).unwrap(), Some(7));
    assert_eq!(reopened.serial(&one, aes(2)).unwrap(), Some(u64::MAX));
    assert_eq!(reopened.serial(&two, aes(1)).unwrap(), None);
    for other in 3..=9 {
        scene.store.keep_serial(&one, aes(other), 1).unwrap();
    }
    assert_eq!(scene.store.serial(&one, aes(2)).unwrap(), Some(u64::MAX));
    assert_eq!(scene.store.serial(&one, aes(1)).unwrap(), None);
    scene.write(&format!("masters/{}.serials", one.hash()), "no serial\n");
    assert!(matches!(
        scene.store.serial(&one, aes(2)),
        Err(PkiError::Damaged(_))
    ));
}

#[test]
fn a_serial_waits_for_no_disk_and_a_pin_does() {
    use nix::libc::{EIO, SYS_fdatasync, SYS_fsync};
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
    let scene = Scene::new();
    let key = key();
    let refusing = SeccompFilter::new(
        [(SYS_fsync, Vec::new()), (SYS_fdatasync, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(EIO.unsigned_abs()),
        TargetArch::try_from(std::env::consts::ARCH).unwrap(),
    );
    let refusing = BpfProgram::try_from(refusing.unwrap()).unwrap();
    // The directory is there before, as it is after the first handshake.
    scene.store.keep_serial(&key, aes(1), 1).unwrap();
    std::thread::scope(|scope| {
        let without_a_disk = scope.spawn(|| {
            apply_filter(&refusing).unwrap();
            scene.store.keep_serial(&key, aes(1), 2).unwrap();
            let error = scene.store.pin(&name("m1"), &key).unwrap_err();
            assert!(
                matches!(error, PkiError::Io { verb: "write", .. }),
                "{error}"
            );
        });
        without_a_disk.join().unwrap();
    });
    assert_eq!(scene.store.serial(&key, aes(1)).unwrap(), Some(2));
    assert_eq!(scene.store.pinned(&name("m1")).unwrap(), None);
}

#[test]
fn a_file_of_a_third_user_is_refused() {
    use nix::unistd::{Uid, chown, geteuid};
    let scene = Scene::new();
    scene.write("master_sign.pub", &key().to_file());
    if !geteuid().is_root() {
        // Only root can give a file away; what is left is that root's own are accepted.
        Store::open(Path::new("/etc"), "master_sign").unwrap();
        return;
    }
    let (minion, other) = (Uid::from_raw(4711), Uid::from_raw(4712));
    let give = |name: &str, to| chown(&scene.path(name), Some(to), None).unwrap();
    give("", minion);
    give("master_sign.pub", minion);
    let reopened = || Store::open(scene.directory.path(), "master_sign").unwrap();
    reopened().signing_keys().unwrap();
    give("master_sign.pub", other);
    let error = reopened().signing_keys().unwrap_err();
    assert!(
        matches!(
            error,
            PkiError::Owner {
                owner: 4712,
                user: 4711,
                ..
            }
        ),
        "{error}"
    );
}
