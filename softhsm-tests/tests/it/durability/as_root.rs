//! A disk that is full, which takes a file system of its own, which takes root.

use std::fs::File;
use std::io::Write;
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

/// A file system of its own with little room.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
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
        std::fs::remove_file(self.at.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The service may still be ending; a lazy unmount waits for it.
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}
