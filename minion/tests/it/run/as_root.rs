//! What only root can try: `user`, and the way back that is shut.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use nix::unistd::{User, geteuid};
use scripted_master::Job;

use super::{Fleet, Program, READY};

const JID: &str = "20261125120000000001";

#[tokio::test]
async fn root_becomes_the_user_for_good_and_works_as_that_user() {
    assert!(
        geteuid().is_root(),
        "run by root, or without the module as_root"
    );
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let (user, group) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let fleet = Fleet::new(1).await;
    let mut program = Program::start(&fleet, "user: nobody\n", |pki| {
        give(pki.parent().unwrap(), user, group);
    });
    program.sees(&[READY.to_owned()]).await;
    // Real, effective, saved and for files; no group is left but the user's own, and no capability.
    assert_eq!(
        program.account("Uid"),
        [user; 4].map(|id| id.to_string()).join(" ")
    );
    assert_eq!(
        program.account("Gid"),
        [group; 4].map(|id| id.to_string()).join(" ")
    );
    assert_eq!(program.account("Groups"), group.to_string());
    for held in ["CapEff", "CapPrm", "CapAmb"] {
        assert_eq!(program.account(held), "0000000000000000", "{held}");
    }
    fleet[0].publish(Job::ping(JID)).await;
    fleet[0].until(|log| log.returned(JID)).await;
    // What it learned and keeps is the user's.
    for name in ["pki/masters", "cache/mastersign-masters.json"] {
        let metadata = fs::metadata(program.directory().join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (user, group), "{name}");
    }
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn a_directory_of_root_is_not_opened_for_the_user_but_named() {
    let fleet = Fleet::new(1).await;
    let mut program = Program::start(&fleet, "user: nobody\n", |pki| {
        // The minion may come this far and no further.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(pki.parent().unwrap(), open).unwrap();
    });
    let words = "mastersign-minion: uid 65534 can't write to pki_dir ";
    program.sees(&[words.to_owned()]).await;
    assert_eq!(program.code().await, Some(1));
}

#[tokio::test]
async fn a_user_that_there_is_not_ends_it_before_it_does_anything() {
    let fleet = Fleet::new(1).await;
    let mut program = Program::start(&fleet, "user: no-such-user\n", |_| {});
    let words = "mastersign-minion: there is no user \"no-such-user\"";
    program.sees(&[words.to_owned()]).await;
    assert_eq!(program.code().await, Some(1));
    assert_eq!(fleet[0].log().connections, 0);
}

/// Hands a directory and everything in it over.
fn give(path: &Path, user: u32, group: u32) {
    chown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user, group);
        }
    }
}
