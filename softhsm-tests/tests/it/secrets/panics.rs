//! Panics while a PIN is held, in each of the processes that hold one. None is a fault that the
//! program has: each is forced from outside, by what the module answers or by what the program calls
//! while it has the PIN in its hands, with the PIN itself as the words where that can be chosen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use signer::authorize::OperatorsCa;
use signer::config::Config;
use signer::hsm::worker::Worker;
use signer::hsm::{Attempts, Context, LatchError, LatchKey, PinLatch, Pool, State};
use signer::{memory, telemetry};
use softhsm_tests::binaries::mastersign;
use softhsm_tests::pool::{Rig, reaches};
use softhsm_tests::process::attempt;
use softhsm_tests::service::Site;
use tokio::sync::mpsc;

use super::files_with;

#[test]
fn a_command_that_panics_over_a_modules_answer_does_not_show_the_pin_that_it_holds() {
    let site = Site::create().unwrap();
    // More than any allocation may have, and not the value that means "unknown".
    site.exchange(
        "FAULT_MODULE_COUNTS",
        "FAULT_MODULE_ATTRIBUTE_LENGTH = \"9223372036854775808\"\nFAULT_MODULE_COUNTS",
    )
    .unwrap();
    for command in ["test", "list"] {
        let mut hsm = mastersign().unwrap();
        hsm.args(["hsm", command, "--pin-file"])
            .arg(site.token().pin_file());
        hsm.arg("--config").arg(site.config());
        let before = site
            .token()
            .counts()
            .spoiled("C_GetAttributeValue")
            .unwrap();
        let (status, said, told) = attempt(&hsm).unwrap();
        assert!(!status.success(), "{said}{told}");
        assert!(told.contains("panicked at"), "{said}{told}");
        assert!(told.contains("its words are kept back"), "{said}{told}");
        assert!(!told.contains("capacity"), "{told}");
        let after = site
            .token()
            .counts()
            .spoiled("C_GetAttributeValue")
            .unwrap();
        assert!(after > before, "the fault was reached");
        nowhere(&site, &[said, told]);
    }
    assert_ne!(site.token().counts().calls("C_Login").unwrap(), 0);
}

#[test]
fn a_service_that_panics_in_the_middle_of_a_login_does_not_show_the_pin_that_it_holds() {
    let site = Site::create().unwrap();
    let output = this_test("a_service_with_a_pin_in_its_hands")
        .env(CONFIG, site.config())
        .output()
        .unwrap();
    let [said, told] = texts(&output);
    assert!(output.status.success(), "{said}{told}");
    assert!(said.contains("1 passed"), "{said}");
    assert!(told.contains("panics.rs:"), "{told}");
    assert!(told.contains("its words are kept back"), "{told}");
    // The log, which was to be complete, says that the one who held the PIN is gone.
    assert!(told.contains("the supervisor of an HSM failed"), "{told}");
    assert_eq!(
        site.token().counts().calls("C_Login").unwrap(),
        0,
        "it still had the PIN"
    );
    nowhere(&site, &[said, told]);
}

#[tokio::test]
#[ignore = "the process of the test above"]
async fn a_service_with_a_pin_in_its_hands() {
    let config = Config::load(Path::new(&std::env::var_os(CONFIG).unwrap())).unwrap();
    telemetry::log(&config.log, Some("trace")).unwrap();
    memory::harden().unwrap();
    // It is asked once.
    let (asked, mut was_asked) = mpsc::channel(1);
    let context = Context {
        executable: mastersign().unwrap().get_program().into(),
        config: config.path.clone(),
        store: config.store.id.unwrap(),
        signing_key: None,
        latch: Arc::new(Careless { asked }),
        latch_key: LatchKey::new(&[7; 32]),
        attempts: Attempts::new(config.path.parent().unwrap()),
        force_login: false,
    };
    let pool = Pool::start(config.hsms, context);
    was_asked.recv().await.unwrap();
    // Nobody is told that an HSM is at work that nobody looks after.
    let status = reaches(&pool, State::Failed).await.unwrap();
    assert!(status.detail.contains("restart it"), "{status:?}");
    assert!(!format!("{status:?}{pool:?}").contains(PIN));
    pool.shutdown().await;
    drop(std::panic::take_hook());
}

/// Asked by the service with the PIN in its hands, and has nothing better to do than to shout it.
#[derive(Debug)]
struct Careless {
    asked: mpsc::Sender<()>,
}

impl PinLatch for Careless {
    fn is_latched(&self, serial: &str, _: &[u8; 32]) -> bool {
        self.asked.try_send(()).unwrap();
        panic!("is {PIN} the PIN of {serial}?");
    }

    fn latch<'a>(
        &'a self,
        _: &'a str,
        _: [u8; 32],
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), LatchError>> + Send + 'a>> {
        unreachable!("nothing was refused")
    }
}

#[tokio::test]
async fn a_worker_that_panics_inside_its_login_does_not_show_the_pin_that_it_presents() {
    let rig = Rig::create().unwrap();
    rig.edit(
        "FAULT_MODULE_COUNTS",
        "FAULT_MODULE_LOGIN = \"1911\"\nFAULT_MODULE_COUNTS",
    )
    .unwrap();
    rig.edit("sessions = 2", "sessions = 2\nstart_deadline = \"2s\"")
        .unwrap();
    let folder = rig.site().directory();
    let (said, told) = (folder.join("said"), folder.join("told"));
    let worker = this_test("a_worker_with_a_pin_in_its_hands");
    let line: Vec<String> = std::iter::once(worker.get_program())
        .chain(worker.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    // $3 is the configuration; standard input is the service's socket.
    let script = format!(
        "#!/bin/sh\nexport {CONFIG}=\"$3\"\nexec {} >>'{}' 2>>'{}'\n",
        line.join(" "),
        said.display(),
        told.display()
    );
    let path = folder.join("worker");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let pool = rig.start_with(&path).unwrap();
    let status = reaches(&pool, State::Backoff).await.unwrap();
    assert!(!format!("{status:?}{pool:?}").contains(PIN));
    pool.shutdown().await;
    assert_ne!(rig.site().token().counts().calls("C_Login").unwrap(), 0);
    let [said, told] = [said, told].map(|path| fs::read_to_string(path).unwrap());
    assert!(
        told.contains("the thread keeper panicked at"),
        "{said}{told}"
    );
    assert!(told.contains("panics.rs:"), "{told}");
    assert!(told.contains("its words are kept back"), "{told}");
    nowhere(rig.site(), &[said, told]);
}

#[test]
#[ignore = "the process of the test above"]
fn a_worker_with_a_pin_in_its_hands() {
    let config = Config::load(Path::new(&std::env::var_os(CONFIG).unwrap())).unwrap();
    log::set_logger(&Shouting).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let worker = Worker::from_stdin().unwrap();
    let operators = OperatorsCa::from_pem(&fs::read(&config.tls.operators_ca).unwrap()).unwrap();
    let hsm = config.hsms.into_iter().next().unwrap();
    worker.run(hsm, operators, config.store.id).unwrap();
}

/// cryptoki says of a return code that it does not know, and says it while `C_Login` is under way.
struct Shouting;

impl log::Log for Shouting {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        panic!("{} to the PIN {PIN}", record.args());
    }

    fn flush(&self) {}
}

/// This test binary, to run one of the tests that are processes of others.
fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let path = format!("secrets::panics::{name}");
    command.args(["--ignored", "--exact", "--nocapture", &path]);
    command.stdin(Stdio::null());
    command
}

/// The PIN is in none of the texts and in no file of the installation.
fn nowhere(site: &Site, texts: &[String]) {
    assert_eq!(site.token().pin(), PIN);
    for text in texts {
        assert!(!text.contains(PIN), "{text}");
    }
    assert_eq!(files_with(site.directory(), PIN), Vec::<String>::new());
}

fn texts(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned())
}

const CONFIG: &str = "SECRETS_TEST_CONFIG";
/// What every token of the suite has.
const PIN: &str = "pin-of-the-suite";
