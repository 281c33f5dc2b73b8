//! What is left of a PIN in the memory of the service, into which only root can look.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use nix::unistd::geteuid;
use softhsm_tests::process::attempt;
use softhsm_tests::service::{Service, Site};

use super::contains;
use crate::durability::as_root::{NOBODY, give};

#[test]
fn nothing_of_the_pin_is_left_in_the_services_memory_after_the_login() {
    assert!(
        geteuid().is_root(),
        "run it as root, or leave it out with `--skip as_root::`"
    );
    let site = Site::create().unwrap();
    let pin = site.token().pin();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    assert_eq!(found(&service, pin), Vec::<String>::new());

    // A worker that is lost gets the PIN again, and takes it along.
    let mark = service.log().len();
    service.kill_worker().unwrap();
    service
        .log()
        .wait_for_after(mark, "the HSM is ready")
        .unwrap();
    assert_eq!(found(&service, pin), Vec::<String>::new());

    // What is there is found.
    let id = site.store().to_string();
    assert_ne!(found(&service, &id), Vec::<String>::new());
    assert!(service.stop().unwrap().success());
}

/// A user that may have no second thread makes the runtime panic, whose words nobody chose.
#[test]
fn a_service_that_panics_says_where_and_keeps_its_words_back() {
    let site = Site::create().unwrap();
    site.exchange("allow_root = true", "allow_root = false")
        .unwrap();
    give(site.directory());
    let mut limited = Command::new("setpriv");
    let user = NOBODY.to_string();
    limited
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
        .args(["prlimit", "--nproc=1:1", "--"])
        .arg(site.program().unwrap())
        .args(["serve", "--config"])
        .arg(site.config());
    let (status, said, told) = attempt(&limited).unwrap();
    // The runtime panics without a hook too: what was reached is this, and not an error before it.
    assert!(!status.success(), "{said}{told}");
    assert!(told.contains("panicked at"), "{said}{told}");
    assert!(told.contains("its words are kept back"), "{said}{told}");
    for text in [&said, &told] {
        assert!(!text.contains("spawn"), "{text}");
        assert!(!text.contains(site.token().pin()), "{text}");
    }
}

/// The writable parts of its memory that hold the text.
fn found(service: &Service, text: &str) -> Vec<String> {
    let process = format!("/proc/{}", service.id());
    let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
    let memory = File::open(format!("{process}/mem")).unwrap();
    let mut found = Vec::new();
    for map in maps.lines() {
        // proc_pid_maps(5): address, permissions, offset, device, inode, name.
        let mut fields = map.split_whitespace();
        let (range, permissions) = (fields.next().unwrap(), fields.next().unwrap());
        if !permissions.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut content = vec![0; usize::try_from(end - start).unwrap()];
        // What was given back meanwhile holds nothing.
        if memory.read_exact_at(&mut content, start).is_ok() && contains(&content, text) {
            found.push(map.to_owned());
        }
    }
    found
}
