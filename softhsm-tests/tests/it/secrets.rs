//! The PIN is in the token's login and nowhere else.

mod as_root;
mod panics;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use minion::verify::Algorithm;
use signer::authorize::Verb;
use signer::client::Put;
use softhsm_tests::people::{Master, Operator};
use softhsm_tests::service::Site;

#[tokio::test(flavor = "multi_thread")]
async fn the_pin_is_in_no_log_environment_command_line_metric_or_core_file() {
    let site = Site::create().unwrap();
    let pin = site.token().pin();
    let service = site.serve_with(&["--log", "trace"]).unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let master = Master::new(&site.pki().master("alpha").unwrap()).unwrap();
    let client = master.connect(&service).unwrap();
    master.put(&client, Algorithm::Sha1).await.unwrap();
    let operator = Operator::new(&site.pki().admin("olga").unwrap()).unwrap();
    let desk = operator.connect(&service).unwrap();
    let (id, key) = (master.id().unwrap(), master.public_key().hash());
    operator
        .decide(&desk, Verb::Accept, id, Some(key))
        .await
        .unwrap();
    let signed = master.put(&client, Algorithm::Sha1).await.unwrap();
    assert!(matches!(signed, Put::Signed { new: true, .. }));

    let workers = service.workers().unwrap();
    assert_eq!(workers.len(), 1);
    for process in workers.iter().copied().chain([service.id()]) {
        let proc = Path::new("/proc").join(process.to_string());
        for name in ["cmdline", "environ", "status", "maps"] {
            match fs::read(proc.join(name)) {
                Ok(text) => assert!(!contains(&text, pin), "/proc/{process}/{name}"),
                // What is not dumpable is root's.
                Err(error) => {
                    assert!(!nix::unistd::geteuid().is_root(), "{name}: {error}");
                    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{name}");
                }
            }
        }
        let limits = fs::read_to_string(proc.join("limits")).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let core = core.unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(core[4..6], ["0", "0"], "{limits}");
        // What is not dumpable is root's, and no other process of the user looks into it.
        let memory = proc.join("mem").metadata().unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&memory), 0);
    }
    for path in ["/metrics", "/readyz"] {
        let (status, body) = service.ask(path).unwrap();
        assert_eq!(status, 200);
        assert!(!body.contains(pin), "{path}");
    }

    // A module that crashes: no core, and nothing in the log about what it held.
    let mark = service.log().len();
    for worker in workers {
        let worker = nix::unistd::Pid::from_raw(i32::try_from(worker).unwrap());
        nix::sys::signal::kill(worker, nix::sys::signal::Signal::SIGABRT).unwrap();
    }
    service
        .log()
        .wait_for_after(mark, "the HSM is ready")
        .unwrap();
    let database = fs::read(site.database()).unwrap();
    assert!(!contains(&database, pin));
    assert_eq!(files_with(site.directory(), pin), Vec::<String>::new());
    let log = service.log().clone();
    assert!(service.stop().unwrap().success());
    let text = log.text();
    assert!(text.contains("TRACE"), "the log was to be complete");
    assert!(!text.contains(pin));
}

#[test]
fn a_refused_pin_is_not_repeated() {
    let site = Site::create().unwrap();
    let wrong = "canary-of-a-wrong-pin";
    site.token().write_pin(wrong).unwrap();
    let service = site.serve_with(&["--log", "trace"]).unwrap();
    service.log().wait_for("PIN").unwrap();
    let (_, ready) = service.ask("/readyz").unwrap();
    assert!(!ready.contains(wrong), "{ready}");
    let log = service.log().clone();
    assert!(service.stop().unwrap().success());
    assert!(!log.text().contains(wrong));
    assert_eq!(files_with(site.directory(), wrong), Vec::<String>::new());
}

#[test]
fn a_worker_that_crashes_with_the_pin_in_its_hands_leaves_it_nowhere() {
    let site = Site::create().unwrap();
    let pin = site.token().pin();
    site.exchange(
        "FAULT_MODULE_COUNTS",
        "FAULT_MODULE_LOGIN = \"abort\"\nFAULT_MODULE_COUNTS",
    )
    .unwrap();
    let service = site.serve_with(&["--log", "trace"]).unwrap();
    let lost = service
        .log()
        .wait_for("an HSM worker did not start")
        .unwrap();
    assert!(lost.contains("SIGABRT"), "{lost}");
    assert_ne!(site.token().counts().calls("C_Login").unwrap(), 0);
    let (_, ready) = service.ask("/readyz").unwrap();
    assert!(!ready.contains(pin), "{ready}");
    let log = service.log().clone();
    assert!(service.stop().unwrap().success());
    assert!(!log.text().contains(pin));
    assert_eq!(files_with(site.directory(), pin), Vec::<String>::new());
}

/// Every file below the folder that holds the text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() && contains(&fs::read(&path).unwrap(), text) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
