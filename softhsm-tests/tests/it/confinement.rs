//! What the kernel keeps the service from.

use std::path::Path;

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
        let _ = std::fs::remove_file(&forbidden);
        service.log().wait_for("Landlock").unwrap();
    }
    assert!(service.stop().unwrap().success());
}
