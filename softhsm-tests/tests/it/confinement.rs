//! What the kernel keeps the service from.

mod as_root;

use std::fs;
use std::path::Path;

use serde_json::Value;
use softhsm_tests::service::Site;

#[test]
fn what_the_service_starts_writes_nothing_below_etc_and_serves_all_the_same() {
    let site = Site::create().unwrap();
    let forbidden = format!("/etc/mastersign-test-{}", site.store());
    let allowed = site.directory().join("state/allowed");
    // Whoever takes the service can do what its children can: the command that gives the PIN is one.
    let script = format!(
        "echo taken > {forbidden}; echo taken > {}; cat {}",
        allowed.display(),
        site.token().pin_file().display()
    );
    let before = format!("pin = {{ file = {:?} }}", site.token().pin_file());
    let after = format!("pin = {{ command = [\"/bin/sh\", \"-c\", {script:?}] }}");
    site.configure(|text| text.replace(&before, &after))
        .unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let (_, metrics) = service.ask("/metrics").unwrap();
    let whole = metrics.contains("mastersign_landlock_enforced 1");
    assert!(allowed.exists(), "the command ran");
    if whole {
        assert!(!Path::new(&forbidden).exists());
    } else {
        // A kernel without it is said, and nothing else is promised.
        let _ = fs::remove_file(&forbidden);
        service.log().wait_for("Landlock").unwrap();
    }
    assert!(service.stop().unwrap().success());
}

#[test]
fn the_kernel_refuses_system_calls_to_the_service_and_more_of_them_to_its_workers() {
    let site = Site::create().unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("the HSM is ready").unwrap();
    let (_, ready) = service.ask("/readyz").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["confinement"]["seccomp"], "whole");
    let (_, metrics) = service.ask("/metrics").unwrap();
    assert!(
        metrics.contains("mastersign_seccomp_enforced 1"),
        "{metrics}"
    );
    let landlock = metrics.contains("mastersign_landlock_enforced 1");
    assert_eq!(ready["confinement"]["landlock"] == "whole", landlock);
    let workers = service.workers().unwrap();
    assert_eq!(workers.len(), 1);
    // A worker has the service's filter, and one of its own once it is logged in.
    for (process, filters) in [(service.id(), 1), (workers[0], 2)] {
        for thread in fs::read_dir(format!("/proc/{process}/task")).unwrap() {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let own: usize = field("self", "Seccomp_filters").parse().unwrap();
            let found = of(&status, "Seccomp_filters").parse::<usize>().unwrap();
            assert_eq!(found, own + filters, "{status}");
            assert_eq!(of(&status, "NoNewPrivs"), "1", "{status}");
        }
    }
    assert!(service.stop().unwrap().success());

    // Who insists on all of it is served where the kernel has it, and nowhere else.
    site.exchange("allow_root = true", "allow_root = true\nrequired = true")
        .unwrap();
    if landlock {
        assert!(site.serve().unwrap().stop().unwrap().success());
    } else {
        let refused = format!("{:#}", site.serve().unwrap_err());
        assert!(refused.contains("hardening.required"), "{refused}");
    }
}

fn field(process: &str, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    of(&status, name).to_owned()
}

fn of<'a>(status: &'a str, name: &str) -> &'a str {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap().trim()
}
