//! Links, swapped directories and other traps in a directory that somebody else fills.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use nix::unistd::geteuid;
use tempfile::TempDir;

use super::*;

/// A directory of ours, and beside it a file that nobody may touch.
struct Ground {
    root: TempDir,
    pki: PkiDir,
}

impl Ground {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let path = root.path().join("pki");
        fs::create_dir(&path).unwrap();
        fs::write(root.path().join("victim"), "untouched").unwrap();
        let pki = PkiDir::open_own(&path, geteuid().as_raw()).unwrap();
        Self { root, pki }
    }

    fn victim(&self) -> PathBuf {
        self.root.path().join("victim")
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.root.path().join("pki").join(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.inside(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn signature() -> FileName {
    FileName::new("master_pubkey_signature").unwrap()
}

#[test]
fn a_new_file_is_readable_for_all_and_leaves_no_other_behind() {
    let ground = Ground::new();
    ground.pki.replace(&signature(), b"new\n").unwrap();
    let path = ground.inside("master_pubkey_signature");
    assert_eq!(fs::read(&path).unwrap(), b"new\n");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o644
    );
    assert_eq!(ground.names(), ["master_pubkey_signature"]);
}

#[test]
fn an_existing_file_is_replaced_and_not_rewritten() {
    let ground = Ground::new();
    let path = ground.inside("master_pubkey_signature");
    fs::hard_link(ground.victim(), &path).unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    ground.pki.replace(&signature(), b"new").unwrap();
    assert_ne!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(fs::read(ground.victim()).unwrap(), b"untouched");
}

#[test]
fn a_link_in_the_place_of_the_signature_is_refused() {
    let ground = Ground::new();
    for target in [ground.victim(), PathBuf::from("nowhere")] {
        let path = ground.inside("master_pubkey_signature");
        symlink(&target, &path).unwrap();
        let error = ground.pki.replace(&signature(), b"new").unwrap_err();
        assert!(matches!(error, DirectoryError::Link { .. }), "{error}");
        assert_eq!(fs::read_link(&path).unwrap(), target);
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::read(ground.victim()).unwrap(), b"untouched");
}

#[test]
fn a_directory_in_the_place_of_the_signature_is_refused() {
    let ground = Ground::new();
    fs::create_dir(ground.inside("master_pubkey_signature")).unwrap();
    let error = ground.pki.replace(&signature(), b"new").unwrap_err();
    assert!(matches!(error, DirectoryError::NotAFile { .. }), "{error}");
    assert_eq!(ground.names(), ["master_pubkey_signature"]);
}

#[test]
fn links_and_files_planted_at_temporary_names_are_passed_over() {
    let ground = Ground::new();
    symlink(ground.victim(), ground.inside("planted")).unwrap();
    symlink("nowhere", ground.inside("dangling")).unwrap();
    fs::write(ground.inside("file"), "theirs").unwrap();
    let names = ["planted", "dangling", "file", "free"].map(str::to_owned);
    let (name, mut file) = ground.pki.create(names.into_iter()).unwrap();
    file.write_all(b"ours").unwrap();
    assert_eq!(name.as_str(), "free");
    assert_eq!(fs::read(ground.victim()).unwrap(), b"untouched");
    assert_eq!(fs::read(ground.inside("file")).unwrap(), b"theirs");
    assert!(!ground.inside("nowhere").exists());
    let taken = ["planted", "dangling"].map(str::to_owned);
    assert!(ground.pki.create(taken.into_iter()).is_err());
}

#[test]
fn a_directory_that_is_swapped_for_a_link_does_not_move_the_file() {
    let ground = Ground::new();
    let elsewhere = ground.root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let moved = ground.root.path().join("moved");
    fs::rename(ground.inside(""), &moved).unwrap();
    symlink(&elsewhere, ground.root.path().join("pki")).unwrap();
    ground.pki.replace(&signature(), b"new").unwrap();
    assert!(moved.join("master_pubkey_signature").exists());
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn links_are_followed_to_read_a_key() {
    let ground = Ground::new();
    fs::write(ground.inside("m1.pub"), "key").unwrap();
    symlink(ground.inside("m1.pub"), ground.inside("master.pub")).unwrap();
    assert_eq!(ground.pki.read("master.pub").unwrap().unwrap(), b"key");
    assert_eq!(
        ground.pki.link("master.pub").unwrap(),
        ground.inside("m1.pub")
    );
    assert!(ground.pki.read("absent").unwrap().is_none());
}

#[test]
fn a_pipe_in_the_place_of_a_key_does_not_hang_the_reader() {
    let ground = Ground::new();
    nix::unistd::mkfifo(&ground.inside("master.pub"), Mode::S_IRWXU).unwrap();
    let error = ground.pki.read("master.pub").unwrap_err();
    assert!(matches!(error, DirectoryError::NotAFile { .. }), "{error}");
}

#[test]
fn a_directory_of_somebody_else_or_of_everybody_is_refused() {
    let ground = Ground::new();
    let stranger = geteuid().as_raw().wrapping_add(1);
    let error = PkiDir::open_own(&ground.inside(""), stranger).unwrap_err();
    assert!(matches!(error, DirectoryError::Owner { .. }), "{error}");
    fs::set_permissions(ground.inside(""), fs::Permissions::from_mode(0o777)).unwrap();
    let error = PkiDir::open_own(&ground.inside(""), geteuid().as_raw()).unwrap_err();
    assert!(matches!(error, DirectoryError::Writable { .. }), "{error}");
}

#[test]
fn names_that_lead_elsewhere_or_at_a_key_are_refused() {
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "/etc/passwd",
        "master.pem",
        "m1.pub",
        "a\0b",
    ] {
        assert!(FileName::new(name).is_err(), "{name:?}");
    }
    for name in ["master_pubkey_signature", "m1_pubkey_signature", "a.b"] {
        assert!(FileName::new(name).is_ok(), "{name:?}");
    }
}

/// What only root can set up: directories of other users.
mod as_root {
    use super::*;

    #[test]
    fn root_writes_only_below_directories_that_are_roots_alone() {
        let ground = ground();
        let pki = ground.inside("");
        PkiDir::open_as_root(&pki).unwrap();
        let link = ground.root.path().join("link");
        symlink(&pki, &link).unwrap();
        PkiDir::open_as_root(&link).unwrap();

        fs::set_permissions(ground.root.path(), fs::Permissions::from_mode(0o775)).unwrap();
        for path in [&pki, &link] {
            let error = PkiDir::open_as_root(path).unwrap_err();
            assert!(matches!(error, DirectoryError::Writable { .. }), "{error}");
        }
        fs::set_permissions(ground.root.path(), fs::Permissions::from_mode(0o755)).unwrap();

        fs::set_permissions(&pki, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(PkiDir::open_as_root(&pki).is_err());
        fs::set_permissions(&pki, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(ground.root.path(), Some(12345), None).unwrap();
        assert!(PkiDir::open_as_root(&pki).is_err());
    }

    #[test]
    fn a_link_planted_in_a_directory_for_everybody_leads_root_nowhere() {
        let ground = ground();
        let open = ground.root.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        let planted = open.join("pki");
        symlink(ground.inside(""), &planted).unwrap();
        std::os::unix::fs::lchown(&planted, Some(12345), None).unwrap();
        let error = PkiDir::open_as_root(&planted).unwrap_err();
        assert!(matches!(error, DirectoryError::Writable { .. }), "{error}");
    }

    fn ground() -> Ground {
        assert!(
            geteuid().is_root(),
            "this needs other users: run it as root, or leave it out with `--skip as_root::`"
        );
        Ground::new()
    }
}
