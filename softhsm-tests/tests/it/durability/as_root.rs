//! A disk that is full, and a database of somebody else: what takes root to set up.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use minion::verify::KeyHash;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use openssl::rand::rand_bytes;
use signer::authorize::MasterId;
use signer::client::Client;
use softhsm_tests::people::Operator;
use softhsm_tests::service::Site;

use super::revoke;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_changes_and_the_service_goes_on_when_there_is_room() {
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    let small = SmallDisk::mount(&site.directory().join("state"));
    let service = site.serve().unwrap();
    let operator = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = operator.connect(&service).unwrap();
    let id: MasterId = "m1".parse().unwrap();
    let revoke = async |desk: &Client, generation: u64| {
        let mut hash = [0; 32];
        rand_bytes(&mut hash).unwrap();
        revoke(&operator, desk, &id, KeyHash::new(hash), generation).await
    };
    revoke(&desk, 1).await.unwrap();

    small.fill();
    let mut taken = 1;
    // Until what the log of the database still had is used up.
    let refused = loop {
        assert!(taken < 10_000, "the disk does not fill up");
        match revoke(&desk, taken + 1).await {
            Ok(()) => taken += 1,
            Err(error) => break format!("{error:#}"),
        }
    };
    assert!(refused.contains("could not be recorded"), "{refused}");
    let master = desk.master(&id).await.unwrap();
    assert_eq!(
        master.generation, taken,
        "reading goes on, and nothing half was kept"
    );
    assert_eq!(service.ask("/livez").unwrap().0, 200);

    small.empty();
    revoke(&desk, taken + 1).await.unwrap();
    assert!(service.stop().unwrap().success());
    let again = site.serve().unwrap();
    let desk = operator.connect(&again).unwrap();
    assert_eq!(desk.master(&id).await.unwrap().generation, taken + 1);
    assert!(again.stop().unwrap().success());
}

#[test]
fn a_database_that_its_user_may_not_write_is_refused_by_name_and_left_alone() {
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    // From here on it is another user's, and root has no part in it.
    site.exchange("allow_root = true", "allow_root = false")
        .unwrap();
    give(site.directory());
    let service = site.serve_as(NOBODY).unwrap();
    assert_eq!(service.ask("/livez").unwrap().0, 200);
    assert!(service.stop().unwrap().success());
    let before = fs::read(site.database()).unwrap();

    // Its mode, as after a careless restore; and its owner, as after a start by root.
    let refused = |owner: u32, mode: u32| {
        fs::set_permissions(site.database(), Permissions::from_mode(mode)).unwrap();
        lchown(site.database(), Some(owner), Some(owner)).unwrap();
        let error = format!("{:#}", site.serve_as(NOBODY).unwrap_err());
        for named in [
            format!("failed to open {}", site.database().display()),
            format!("user {NOBODY} may not"),
            format!("belongs to user {owner} and has mode {mode:04o}"),
            "chown -R".to_owned(),
        ] {
            assert!(error.contains(&named), "{named:?} in {error}");
        }
    };
    refused(NOBODY, 0o400);
    refused(0, 0o600);
    assert_eq!(fs::read(site.database()).unwrap(), before);

    // A directory in which nothing can be made.
    lchown(site.database(), Some(NOBODY), Some(NOBODY)).unwrap();
    let state = site.directory().join("state");
    fs::set_permissions(&state, Permissions::from_mode(0o500)).unwrap();
    let lock = state.join("mastersign.db.lock");
    fs::remove_file(&lock).unwrap();
    let error = format!("{:#}", site.serve_as(NOBODY).unwrap_err());
    let named = format!(
        "{} belongs to user {NOBODY} and has mode 0500",
        state.display()
    );
    assert!(error.contains(&named), "{error}");

    fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
    let again = site.serve_as(NOBODY).unwrap();
    assert!(again.stop().unwrap().success());
}

/// Gives a directory and everything in it to another user.
pub(crate) fn give(path: &Path) {
    lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

/// Any user that is not root; it needs no name.
pub(crate) const NOBODY: u32 = 65534;

/// A file system of its own with little room.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        mount(
            Some("tmpfs"),
            at,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=1m,mode=0700"),
        )
        .unwrap();
        Self { at: at.to_owned() }
    }

    /// Leaves some pages, which SQLite's log soon has.
    fn fill(&self) {
        let mut file = File::create(self.at.join("ballast")).unwrap();
        let page = [0; 4096];
        while file.write_all(&page).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.at.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The service may still be ending; a lazy unmount waits for it.
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}
