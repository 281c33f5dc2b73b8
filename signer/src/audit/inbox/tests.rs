//! What is left, what is found, and where root is not led.

use std::os::unix::fs::{MetadataExt, symlink};

use super::*;

fn note(number: i64) -> Note {
    Note {
        id: Uuid::new_v4(),
        time: Timestamp::from_unix(number).unwrap(),
        actor: Actor::service(),
        command: "hsm init".to_owned(),
        detail: BTreeMap::from([("exit_code".to_owned(), "0".to_owned())]),
    }
}

#[test]
fn notes_come_in_order_and_once_removed_no_more() {
    let state_dir = tempfile::TempDir::new().unwrap();
    let inbox = Inbox::new(state_dir.path());
    assert_eq!(inbox.notes().unwrap(), []);
    let (first, second) = (note(1), note(2));
    inbox.leave(&second).unwrap();
    inbox.leave(&first).unwrap();
    let notes = inbox.notes().unwrap();
    let found: Vec<&Note> = notes.iter().map(|(_, note)| note).collect();
    assert_eq!(found, [&first, &second]);
    for (path, _) in &notes {
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        inbox.remove(path).unwrap();
    }
    assert_eq!(inbox.notes().unwrap(), []);
}

#[test]
fn what_is_no_note_is_set_aside_and_keeps_no_note_back() {
    let state_dir = tempfile::TempDir::new().unwrap();
    let inbox = Inbox::new(state_dir.path());
    inbox.leave(&note(1)).unwrap();
    let directory = state_dir.path().join("audit-inbox");
    for number in 0..MOST {
        fs::write(directory.join(format!("{number}.json")), "{}").unwrap();
        fs::write(directory.join(format!("{number}.new")), "{").unwrap();
    }
    fs::write(directory.join("long.json"), vec![b' '; 20_000]).unwrap();
    symlink("/etc/passwd", directory.join("link.json")).unwrap();
    nix::unistd::mkfifo(&directory.join("pipe.json"), PRIVATE).unwrap();
    // Whatever order the directory has them in.
    for number in 2..MOST {
        inbox.leave(&note(i64::try_from(number).unwrap())).unwrap();
    }
    assert_eq!(inbox.notes().unwrap().len(), MOST - 1);
    let left = |ending: &str| {
        let names = directory.read_dir().unwrap();
        let names = names.map(|entry| entry.unwrap().path());
        names
            .filter(|path| path.extension().unwrap() == ending)
            .count()
    };
    assert_eq!(left("json"), MOST - 1, "notes only");
    assert_eq!((left("no-note"), left("new")), (MOST + 3, MOST));
}

/// What only root can set up: a state directory of another user.
mod as_root {
    use std::os::unix::fs::chown;

    use nix::unistd::geteuid;

    use super::*;

    #[test]
    fn what_root_leaves_is_the_owners() {
        let state_dir = of_somebody_else();
        for number in 1..3 {
            Inbox::new(state_dir.path()).leave(&note(number)).unwrap();
        }
        let directory = state_dir.path().join("audit-inbox");
        let metadata = directory.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (NOBODY, 0o700));
        let notes = Inbox::new(state_dir.path()).notes().unwrap();
        assert_eq!(notes.len(), 2);
        for (path, _) in notes {
            let metadata = path.metadata().unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (NOBODY, NOBODY));
        }
        // It was that user for the notes only.
        let own = state_dir.path().join("own");
        fs::write(&own, "").unwrap();
        assert_eq!(own.metadata().unwrap().uid(), 0);
    }

    #[test]
    fn a_link_in_the_place_of_the_inbox_leads_root_nowhere() {
        let state_dir = of_somebody_else();
        let victim = tempfile::TempDir::new().unwrap();
        symlink(victim.path(), state_dir.path().join("audit-inbox")).unwrap();
        let error = Inbox::new(state_dir.path()).leave(&note(1)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::ENOTDIR as i32), "{error}");
        expect_untouched(victim.path());
    }

    #[test]
    fn a_directory_of_roots_that_was_moved_into_its_place_stays_roots() {
        let state_dir = of_somebody_else();
        let victim = state_dir.path().join("audit-inbox");
        fs::create_dir(&victim).unwrap();
        let error = Inbox::new(state_dir.path()).leave(&note(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        expect_untouched(&victim);
    }

    fn expect_untouched(victim: &Path) {
        assert_eq!(victim.metadata().unwrap().uid(), 0);
        assert_eq!(victim.read_dir().unwrap().count(), 0);
    }

    fn of_somebody_else() -> tempfile::TempDir {
        assert!(
            geteuid().is_root(),
            "this needs other users: run it as root, or leave it out with `--skip as_root::`"
        );
        let state_dir = tempfile::TempDir::new().unwrap();
        chown(state_dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        state_dir
    }

    const NOBODY: u32 = 65534;
}
