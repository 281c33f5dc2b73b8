//! Where the door is, and who is behind it.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn nobody_answers_where_no_service_runs() {
    let directory = tempfile::tempdir().unwrap();
    let request = Request::Unlatch { serial: None };
    assert_eq!(ask(directory.path(), &request).unwrap(), None);
    let missing = directory.path().join("missing");
    assert_eq!(ask(&missing, &request).unwrap(), None);
    // A service that was killed leaves its socket behind.
    drop(std::os::unix::net::UnixListener::bind(directory.path().join(SOCKET)).unwrap());
    assert_eq!(ask(directory.path(), &request).unwrap(), None);
}

#[test]
fn what_is_no_answer_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(directory.path().join(SOCKET)).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).unwrap();
        stream.write_all(b"hello").unwrap();
        Request::from_bytes(&asked).unwrap()
    });
    let request = Request::Unlatch {
        serial: Some("42".to_owned()),
    };
    let error = ask(directory.path(), &request).unwrap_err();
    assert!(matches!(error, ControlError::Socket { .. }), "{error}");
    let asked = answering.join().unwrap();
    assert!(matches!(asked, Request::Unlatch { serial: Some(serial) } if serial == "42"));
}

#[test]
fn a_path_of_any_length_has_a_door() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    let open = File::open(&deep).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(through(&open)).unwrap();
    assert!(UnixStream::connect(through(&open)).is_ok());
    drop(listener);
}
