//! What systemd is told.

use std::os::unix::net::UnixDatagram;

use softhsm_tests::binaries::mastersign;
use softhsm_tests::process::{PATIENCE, Process};
use softhsm_tests::service::Site;

#[test]
fn systemd_hears_that_the_service_serves_lives_and_stops() {
    let site = Site::create().unwrap();
    let path = site.directory().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = mastersign().unwrap();
    command
        .arg("serve")
        .arg("--config")
        .arg(site.config())
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "600000");
    let mut process = Process::start(&mut command).unwrap();
    let hear = || {
        let mut message = [0; 1024];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    process.log().wait_for("serving").unwrap();
    let first = hear();
    assert!(first.contains("READY=1"), "{first}");
    process.log().wait_for("the HSM is ready").unwrap();
    for _ in 0..3 {
        let message = hear();
        assert!(message.contains("WATCHDOG=1"), "{message}");
    }
    process.terminate().unwrap();
    let mut last = hear();
    while last.contains("WATCHDOG=1") {
        last = hear();
    }
    assert!(last.contains("STOPPING=1"), "{last}");
    assert!(process.wait().unwrap().success());
}
