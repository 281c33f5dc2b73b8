//! What an HSM worker refuses by itself, whatever the service asks: the service is played by the
//! test.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use minion::verify::{Algorithm, PublicKey};
use secrecy::SecretString;
use signer::authorize::{SignedStatement, Verb};
use signer::config::Config;
use signer::hsm::protocol::{Decoder, Order, Report, WorkerReady};
use softhsm_tests::binaries::Binaries;
use softhsm_tests::people::Operator;
use softhsm_tests::pool::{Rig, keys, statement};
use uuid::Uuid;

#[test]
fn only_an_admins_acceptance_of_this_key_in_this_store_reaches_the_token() {
    let rig = Rig::create().unwrap();
    let mut worker = Worker::start(&rig);
    let ready = worker.log_in(rig.store());
    let keys = keys(2).unwrap();
    let [key, other] = [&*keys[0], &*keys[1]];
    let good = rig.acceptance(key).unwrap();

    let admin = Operator::new(&rig.site().pki().admin("bob").unwrap()).unwrap();
    let stolen = rig.site().pki().admin_by_the_masters_ca("eve").unwrap();
    let thief = Operator::new(&stolen).unwrap();
    let right = statement(rig.store(), key).unwrap();
    let mut rejection = right.clone();
    rejection.verb = Verb::Reject;
    let forgeries = [
        ("by the masters' CA", thief.sign(&right)),
        (
            "another store",
            admin.sign(&statement(Uuid::new_v4(), key).unwrap()),
        ),
        (
            "another key",
            admin.sign(&statement(rig.store(), other).unwrap()),
        ),
        ("a rejection", admin.sign(&rejection)),
        (
            "another text",
            Ok(SignedStatement {
                statement: good.statement.replace("m1.example", "m2.example"),
                ..good.clone()
            }),
        ),
        (
            "another certificate",
            Ok(SignedStatement {
                certificate: admin.sign(&right).unwrap().certificate,
                ..good.clone()
            }),
        ),
    ];
    for (what, forged) in forgeries {
        let answer = worker.sign(key.canonical(), &forged.unwrap());
        assert!(
            matches!(answer, Report::Refused { .. }),
            "{what}: {answer:?}"
        );
    }
    assert_eq!(signed(&rig), 0, "the token was never asked");

    let Report::Signature(signature) = worker.sign(key.canonical(), &good) else {
        panic!("the good one is signed");
    };
    let signing = PublicKey::parse(ready.public_key.as_bytes()).unwrap();
    signing.verify(Algorithm::Sha1, key, &signature).unwrap();
    assert_eq!(signed(&rig), 1);
}

#[test]
fn what_is_no_masters_key_never_reaches_the_token() {
    let rig = Rig::create().unwrap();
    let mut worker = Worker::start(&rig);
    worker.log_in(rig.store());
    let own = rig.site().token().public_key();
    let key = &*keys(1).unwrap()[0];
    let acceptance = rig.acceptance(key).unwrap();
    let small = openssl::rsa::Rsa::generate(1024).unwrap();
    let small = PublicKey::parse(&small.public_key_to_pem().unwrap()).unwrap();
    for (what, text, acceptance) in [
        (
            "the signing key",
            own.canonical().to_owned(),
            rig.acceptance(own).unwrap(),
        ),
        (
            "a short key",
            small.canonical().to_owned(),
            rig.acceptance(&small).unwrap(),
        ),
        (
            "another spelling",
            key.canonical().replace('\n', "\r\n"),
            acceptance.clone(),
        ),
        ("no key", "free bytes".to_owned(), acceptance.clone()),
        ("nothing", String::new(), acceptance),
    ] {
        let answer = worker.sign(&text, &acceptance);
        assert!(
            matches!(answer, Report::Refused { .. }),
            "{what}: {answer:?}"
        );
    }
    assert_eq!(signed(&rig), 0);
}

#[test]
fn nothing_is_signed_before_the_login_and_there_is_only_one() {
    let rig = Rig::create().unwrap();
    let mut worker = Worker::start(&rig);
    let key = &*keys(1).unwrap()[0];
    let acceptance = rig.acceptance(key).unwrap();
    let early = worker.sign(key.canonical(), &acceptance);
    assert!(matches!(early, Report::Refused { .. }), "{early:?}");
    worker.log_in(rig.store());
    // The second names another store, which must not count either.
    worker.send(7, &login(Uuid::new_v4()));
    let answer = worker.sign(key.canonical(), &acceptance);
    assert!(matches!(answer, Report::Signature(_)), "{answer:?}");
    let counts = rig.site().token().counts();
    assert_eq!(counts.calls("C_Login").unwrap(), 1);
}

#[test]
fn a_worker_with_a_configured_store_works_for_no_other() {
    let rig = Rig::create().unwrap();
    let mut worker = Worker::start(&rig);
    // What an admin of the same CA accepted elsewhere.
    let elsewhere = Uuid::new_v4();
    worker.send(0, &login(elsewhere));
    let (_, end) = worker.receive();
    let Report::Ending { detail, .. } = end else {
        panic!("not refused: {end:?}");
    };
    assert!(detail.contains(&elsewhere.to_string()), "{detail}");
    assert!(detail.contains("`store.id`"), "{detail}");
    worker.child.wait().unwrap();
    let counts = rig.site().token().counts();
    assert_eq!(counts.calls("C_Login").unwrap(), 0);
    assert_eq!(counts.calls("C_Sign").unwrap(), 0);
}

#[test]
fn a_worker_without_a_configured_store_believes_the_service() {
    let rig = Rig::create().unwrap();
    rig.site().without_store_id().unwrap();
    let mut worker = Worker::start(&rig);
    let named = Uuid::new_v4();
    worker.log_in(named);
    let key = &*keys(1).unwrap()[0];
    let admin = Operator::new(&rig.site().pki().admin("bob").unwrap()).unwrap();
    let acceptance = admin.sign(&statement(named, key).unwrap()).unwrap();
    let answer = worker.sign(key.canonical(), &acceptance);
    assert!(matches!(answer, Report::Signature(_)), "{answer:?}");
}

#[test]
fn a_probe_signs_the_keys_own_public_half_and_describe_shows_no_signature() {
    let rig = Rig::create().unwrap();
    let mut worker = Worker::start(&rig);
    let ready = worker.log_in(rig.store());
    let trials: Vec<_> = ready.trials.iter().map(|trial| trial.algorithm).collect();
    assert_eq!(trials, Algorithm::ALL);
    worker.send(2, &Order::Probe);
    let probe = Report::Signature(ready.trials[0].signature.clone());
    assert_eq!(worker.receive(), (2, probe));
    worker.send(3, &Order::Describe);
    let (id, Report::Ready(description)) = worker.receive() else {
        panic!("no description");
    };
    assert_eq!((id, description.public_key), (3, ready.public_key));
    assert_eq!(description.trials, []);
    assert_eq!(signed(&rig), 0);
}

#[test]
fn a_worker_ends_with_the_service_and_with_the_protocol() {
    let rig = Rig::create().unwrap();
    let mut worker = Worker::start(&rig);
    worker.log_in(rig.store());
    worker.socket.write_all(&u32::MAX.to_be_bytes()).unwrap();
    worker.child.wait().unwrap();

    let mut worker = Worker::start(&rig);
    let (other, _) = UnixStream::pair().unwrap();
    worker.socket = other;
    worker.child.wait().unwrap();
}

/// The service's end of a worker.
struct Worker {
    child: Child,
    socket: UnixStream,
    decoder: Decoder,
}

impl Worker {
    /// Starts a worker and waits until it has found the token.
    fn start(rig: &Rig) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let path = rig.site().config();
        let config = Config::load(&path).unwrap();
        let child = Command::new(&Binaries::get().unwrap().mastersign)
            .args(["hsm-worker", "--hsm", "suite", "--config"])
            .arg(path)
            .envs(&config.hsms[0].module.environment)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        let mut worker = Self {
            child,
            socket: ours,
            decoder: Decoder::default(),
        };
        let (_, found) = worker.receive();
        assert!(matches!(found, Report::Token(_)), "{found:?}");
        worker
    }

    fn log_in(&mut self, store: Uuid) -> WorkerReady {
        self.send(0, &login(store));
        assert_eq!(self.receive(), (0, Report::LoggedIn));
        match self.receive() {
            (0, Report::Ready(ready)) => ready,
            other => panic!("not ready: {other:?}"),
        }
    }

    fn sign(&mut self, key: &str, acceptance: &SignedStatement) -> Report {
        let order = Order::Sign {
            algorithm: Algorithm::Sha1,
            key: Cow::Borrowed(key),
            acceptance: Cow::Borrowed(acceptance),
        };
        self.send(1, &order);
        let (id, report) = self.receive();
        assert_eq!(id, 1);
        report
    }

    fn send(&mut self, id: u32, order: &Order<'_>) {
        let mut frame = Vec::new();
        order.append(id, &mut frame).unwrap();
        self.socket.write_all(&frame).unwrap();
    }

    fn receive(&mut self) -> (u32, Report) {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                return (frame.id, Report::parse(frame.body).unwrap());
            }
            let count = self.socket.read(self.decoder.space()).unwrap();
            assert!(count > 0, "the worker ended");
            self.decoder.filled(count);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn login(store: Uuid) -> Order<'static> {
    Order::Login {
        store,
        pin: SecretString::from("pin-of-the-suite"),
    }
}

/// What the token was asked to sign but trial signatures.
fn signed(rig: &Rig) -> usize {
    let token = rig.site().token();
    let counts = token.counts();
    counts.signatures_but_over(token.public_key()).unwrap()
}
