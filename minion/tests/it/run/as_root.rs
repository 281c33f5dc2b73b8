//! What only root can try: `user`, and the way back that is shut.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
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

/// What a unit's `CacheDirectory=` and `LogsDirectory=` leave behind at the first start of a host.
#[tokio::test]
async fn the_directories_that_a_unit_made_as_root_become_the_users() {
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let nobody = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let fleet = Fleet::new(1).await;
    let mode = |mode| -> fs::Permissions { std::os::unix::fs::PermissionsExt::from_mode(mode) };
    let options = "user: nobody\nlog_file: logs/minion\n";
    let mut program = Program::start(&fleet, options, |pki| {
        let root = pki.parent().unwrap();
        fs::set_permissions(root, mode(0o755)).unwrap();
        give(pki, nobody.0, nobody.1);
        for name in ["cache", "logs"] {
            fs::create_dir(root.join(name)).unwrap();
            fs::set_permissions(root.join(name), mode(0o750)).unwrap();
        }
    });
    program.sees(&[READY.to_owned()]).await;
    let root = program.directory().to_owned();
    let owner = |name: &str| {
        let metadata = fs::metadata(root.join(name)).unwrap();
        (metadata.uid(), metadata.gid())
    };
    let state = "cache/mastersign-masters.json";
    for name in ["cache", state, "logs", "logs/minion"] {
        assert_eq!(owner(name), nobody, "{name}");
    }
    // What is above is root's as before.
    assert_eq!(owner(""), (0, 0));
    let log = program.directory().join("logs/minion");
    let ready = "Minion is ready to receive requests!";
    assert!(fs::read_to_string(&log).unwrap().contains(ready));
    // The user can also follow logrotate.
    fs::rename(&log, program.directory().join("logs/minion.1")).unwrap();
    fleet[0].publish(Job::ping(JID)).await;
    program
        .sees(&["[INFO    ] Returning information".to_owned()])
        .await;
    assert_eq!(owner("logs/minion"), nobody);
    program.terminate();
    assert_eq!(program.code().await, Some(0));
}

#[tokio::test]
async fn root_hands_over_nothing_behind_a_link_and_writes_no_line_there() {
    let fleet = Fleet::new(1).await;
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let options = "user: nobody\nlog_file: logs/minion\n";
    let mut program = Program::start(&fleet, options, |pki| {
        let root = pki.parent().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(root, open).unwrap();
        fs::create_dir_all(root.join("secret/cache")).unwrap();
        fs::write(root.join("secret/file"), "root's").unwrap();
        fs::create_dir(root.join("logs")).unwrap();
        std::os::unix::fs::symlink("../secret/file", root.join("logs/minion")).unwrap();
        std::os::unix::fs::symlink("secret/cache", root.join("cache")).unwrap();
        for path in ["pki", "logs"] {
            give(&root.join(path), nobody.uid.as_raw(), nobody.gid.as_raw());
        }
    });
    program.sees(&[READY.to_owned()]).await;
    program.terminate();
    assert_eq!(program.code().await, Some(0));
    let secret = program.directory().join("secret");
    for name in ["cache", "file"] {
        assert_eq!(fs::metadata(secret.join(name)).unwrap().uid(), 0, "{name}");
    }
    assert_eq!(fs::read_to_string(secret.join("file")).unwrap(), "root's");
}

#[tokio::test]
async fn a_new_pki_dir_is_its_users_alone() {
    let fleet = Fleet::new(1).await;
    let options = "pki_dir: etc/pki/minion\n";
    let mut program = Program::start(&fleet, options, |pki| {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(pki.parent().unwrap(), open).unwrap();
    });
    // There is no key in it that could vouch for a master.
    program
        .sees(&["[ERROR   ] Sign-in attempt failed: ".to_owned()])
        .await;
    let metadata = fs::metadata(program.directory().join("etc/pki/minion")).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o700);
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
    lchown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user, group);
        }
    }
}
