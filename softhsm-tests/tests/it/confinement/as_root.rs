//! Whom the service refuses to be, and what its workers are given.

use std::fs;
use std::path::Path;

use nix::unistd::geteuid;
use softhsm_tests::binaries::mastersign;
use softhsm_tests::process::attempt;
use softhsm_tests::service::Site;

#[test]
fn the_service_does_not_run_as_root_unless_it_is_told_to() {
    assert!(
        geteuid().is_root(),
        "run it as root, or leave it out with `--skip as_root::`"
    );
    let site = Site::create().unwrap();
    site.without_hsm().unwrap();
    site.exchange("allow_root = true", "allow_root = false")
        .unwrap();
    let mut serve = mastersign().unwrap();
    serve.arg("serve").arg("--config").arg(site.config());
    let (status, _, error) = attempt(&serve).unwrap();
    assert_eq!(status.code(), Some(1), "{error}");
    assert!(error.contains("allow_root = true"), "{error}");
    assert!(error.contains(&site.config().display().to_string()));
    assert!(
        !site.directory().join("state").exists(),
        "nothing of root's is left for the service's own user to stumble over"
    );
    // To look is for everybody.
    serve.arg("--check");
    let (status, _, error) = attempt(&serve).unwrap();
    assert!(status.success(), "{error}");

    site.exchange("allow_root = false", "allow_root = true")
        .unwrap();
    let service = site.serve().unwrap();
    service.log().wait_for("this runs as root").unwrap();
    assert!(service.stop().unwrap().success());
}

#[test]
fn code_from_the_services_environment_reaches_no_worker() {
    let site = Site::create().unwrap();
    let elsewhere = site.directory().join("libraries");
    let theirs = format!("LD_LIBRARY_PATH={}", elsewhere.display());
    let given = |from: &[(&str, &Path)]| {
        let service = site.serve_in(&[], from).unwrap();
        service.log().wait_for("the HSM is ready").unwrap();
        let worker = service.workers().unwrap()[0];
        let environ = fs::read(format!("/proc/{worker}/environ")).unwrap();
        let log = service.log().text();
        assert!(service.stop().unwrap().success());
        let given = String::from_utf8(environ).unwrap();
        assert!(given.contains("SOFTHSM2_CONF="), "{given}");
        (given.split('\0').any(|one| one == theirs), log)
    };
    let (reached, log) = given(&[("LD_LIBRARY_PATH", &elsewhere)]);
    assert!(!reached);
    assert!(log.contains("the environment has LD_LIBRARY_PATH"), "{log}");

    // What the configuration names is another matter.
    let named = format!("[hsm.environment]\nLD_LIBRARY_PATH = {elsewhere:?}\n");
    site.exchange("[hsm.environment]\n", &named).unwrap();
    let (reached, log) = given(&[]);
    assert!(reached);
    assert!(!log.contains("LD_LIBRARY_PATH"), "{log}");
}
