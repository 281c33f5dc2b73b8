//! What only root can set up: files of one user, and another user who runs the command.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use nix::unistd::geteuid;

use super::Scene;

#[test]
fn root_becomes_the_owner_of_the_directory_and_what_it_writes_is_the_owners() {
    let scene = of_somebody_else();
    scene.fetch(&[]);
    scene.accept();
    // The client's key and the pinned key are files that only root can read.
    let written = scene.fetch(&[]);
    assert_eq!(written.code, 0, "{written:?}");
    let metadata = fs::symlink_metadata(scene.file()).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (NOBODY, 0o644));
    scene.expect_valid();
}

#[test]
fn links_planted_at_every_name_lead_root_nowhere() {
    let scene = of_somebody_else();
    scene.fetch(&[]);
    scene.accept();
    let victim = scene.root.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    for target in [victim.as_path(), Path::new("/nonexistent/new")] {
        plant(target, &scene.file());
        let refused = scene.fetch(&[]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.notes.contains("is a symbolic link"), "{refused:?}");
        assert!(scene.file().is_symlink());
        fs::remove_file(scene.file()).unwrap();
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");

    // A key that root could read and the owner cannot.
    let hidden = scene.root.path().join("hidden");
    for name in ["master.pub", "master.pem"] {
        let path = scene.pki_dir().join(name);
        fs::copy(&path, &hidden).unwrap();
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&path, scene.root.path().join("kept")).unwrap();
        plant(&hidden, &path);
        let refused = scene.fetch(&[]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.notes.contains("Permission denied"), "{refused:?}");
        assert!(!scene.file().exists());
        fs::rename(scene.root.path().join("kept"), &path).unwrap();
    }
    assert_eq!(scene.fetch(&[]).code, 0);
}

#[test]
fn a_directory_swapped_for_a_link_does_not_make_root_write_elsewhere() {
    let scene = of_somebody_else();
    scene.fetch(&[]);
    scene.accept();
    // Everything that a fetch wants, but in a directory of root's.
    let roots = scene.root.path().join("roots");
    fs::create_dir(&roots).unwrap();
    for name in ["master.pub", "master.pem"] {
        fs::copy(scene.pki_dir().join(name), roots.join(name)).unwrap();
    }
    fs::rename(scene.pki_dir(), scene.root.path().join("salt-home/moved")).unwrap();
    plant(&roots, &scene.pki_dir());
    let refused = scene.fetch(&[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.notes.contains("may be changed by somebody else"),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(&roots).unwrap().count(), 2);
}

#[test]
fn configuration_that_somebody_else_can_change_does_not_lead_root() {
    let scene = as_root();
    chown(scene.root.path().join("salt/master"), Some(NOBODY), None).unwrap();
    let refused = scene.fetch(&[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.notes.contains("choose where root writes"),
        "{refused:?}"
    );
}

/// A scene whose `pki_dir`, with everything in and just above it, belongs to another user.
fn of_somebody_else() -> Scene {
    let scene = as_root();
    let home = scene.root.path().join("salt-home");
    for path in [home, scene.pki_dir()] {
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    for name in scene.names() {
        chown(scene.pki_dir().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    scene
}

fn as_root() -> Scene {
    assert!(
        geteuid().is_root(),
        "this needs a second user: run it as root, or leave it out with `--skip as_root::`"
    );
    Scene::create()
}

/// Makes a link as the other user would.
fn plant(target: &Path, link: &Path) {
    symlink(target, link).unwrap();
    lchown(link, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// Any user that is not root; it needs no name.
const NOBODY: u32 = 65534;
