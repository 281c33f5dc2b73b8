//! What is presented to a token that counts wrong PINs.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use uuid::Uuid;

use super::*;
use crate::hsm::{Attempts, Context, LatchError, LatchKey, PinLatch};

/// Remembers nothing.
#[derive(Debug)]
struct NoLatch;

impl PinLatch for NoLatch {
    fn is_latched(&self, _: &str, _: &[u8; 32]) -> bool {
        false
    }

    fn latch<'a>(
        &'a self,
        _: &'a str,
        _: [u8; 32],
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), LatchError>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
    }
}

fn supervisor(pin: &str) -> Supervisor {
    let raw: hsm_config::RawHsm = toml::from_str(&format!(
        "name = \"a\"\nmodule = \"/m.so\"\n{pin}token_serial = \"c0ff\"\nkey_id = \"a0\"\n"
    ))
    .unwrap();
    let hsm = hsm_config::Hsm::try_from(raw).unwrap();
    let context = Context {
        executable: "/".into(),
        config: "/".into(),
        store: Uuid::nil(),
        signing_key: None,
        latch: Arc::new(NoLatch),
        latch_key: LatchKey::new(&[1; 32]),
        attempts: Attempts::new(Path::new("/")),
        force_login: false,
    };
    let shared = Arc::new(Shared::new(std::slice::from_ref(&hsm), context));
    Supervisor::new(shared, 0, hsm, None)
}

fn offer(supervisor: &mut Supervisor) -> oneshot::Receiver<(State, String)> {
    let (outcome, told) = oneshot::channel();
    supervisor.take(Offer {
        pin: SecretString::from("1234"),
        force: false,
        outcome,
    });
    told
}

#[test]
fn a_pin_that_was_handed_over_is_dropped_by_a_token_that_counts() {
    let mut locked = supervisor("");
    let mut told = offer(&mut locked);
    let next = locked.after(NotReady::CountLow, "");
    assert!(
        matches!(next, Next::Unlock),
        "until somebody chooses the moment"
    );
    assert!(locked.pin.is_none());
    assert_eq!(told.try_recv().unwrap().0, State::PinCountLow);

    // The source's own is presented by itself, which is what a source is for.
    let mut file = supervisor("pin = { file = \"/pin\" }\n");
    let _told = offer(&mut file);
    assert!(matches!(file.after(NotReady::CountLow, ""), Next::Start(_)));
    assert!(file.pin.is_none(), "read again from the file");
}

#[test]
fn a_pin_that_a_token_has_taken_before_outlives_its_worker() {
    let mut locked = supervisor("");
    let _told = offer(&mut locked);
    // As `serve` notes it.
    locked.is_offered = false;
    assert!(matches!(
        locked.after(NotReady::CountLow, ""),
        Next::Start(_)
    ));
    assert!(locked.pin.is_some());
}
