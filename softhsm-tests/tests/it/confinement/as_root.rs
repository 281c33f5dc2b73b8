//! Whom the service refuses to be.

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
