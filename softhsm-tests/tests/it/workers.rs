//! HSM workers: what reaches the token, and what happens when a worker is lost.

use std::sync::Arc;

use minion::verify::{Algorithm, PublicKey};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use openssl::sha::sha256;
use signer::hsm::{Error, HsmStatus, Pool, State};
use softhsm_tests::binaries::Binaries;
use softhsm_tests::pool::{Impostor, Rig, keys, only, reaches, until};
use softhsm_tests::service::Site;
use softhsm_tests::token::Token;

#[tokio::test]
async fn a_worker_logs_in_once_and_signs() {
    let rig = Rig::create().unwrap();
    let pool = rig.start().unwrap();
    let signing = pool.ready().await;
    assert_eq!(*signing, *rig.site().token().public_key());
    for key in keys(3).unwrap() {
        for algorithm in Algorithm::ALL {
            let signature = pool.sign(rig.permit(&key).unwrap(), algorithm).await;
            signing
                .verify(algorithm, &key, &signature.unwrap())
                .unwrap();
            assert_eq!(signatures(&rig, algorithm, &key), 1);
        }
    }
    assert_eq!(logins(&rig), 1);
    let status = only(&pool).unwrap();
    assert_eq!(
        (status.state, status.starts, status.sessions),
        (State::Ready, 1, 2)
    );
    assert!(status.last_probe.is_some());
    pool.shutdown().await;
    assert_eq!(only(&pool).unwrap().state, State::Stopped);
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_all_answered() {
    let rig = Rig::create().unwrap();
    rig.edit("sessions = 2", "sessions = 2\nqueue = 1000")
        .unwrap();
    let pool = rig.start().unwrap();
    let signing = pool.ready().await;
    let keys = keys(1000).unwrap();
    let calls: Vec<_> = keys.iter().map(|key| call(&rig, &pool, key)).collect();
    for (call, key) in calls.into_iter().zip(&keys) {
        let signature = call.await.unwrap().unwrap();
        signing.verify(Algorithm::Sha1, key, &signature).unwrap();
    }
    assert_eq!(but_trials(&rig), 1000);
    assert_eq!(logins(&rig), 1);
}

#[tokio::test]
async fn calls_beyond_the_queue_are_turned_away_at_once() {
    let rig = Rig::create().unwrap();
    rig.edit("sessions = 2", "sessions = 2\nqueue = 3").unwrap();
    let pool = rig.start().unwrap();
    pool.ready().await;
    let worker = stop(&pool);
    // Seven are sent to the worker, which is enough to let it have; three wait.
    let keys = keys(11).unwrap();
    let mut calls = Vec::new();
    for key in &keys[..10] {
        calls.push(call(&rig, &pool, key));
        settled(&pool, calls.len()).await;
    }
    let refused = pool
        .sign(rig.permit(&keys[10]).unwrap(), Algorithm::Sha1)
        .await;
    assert_eq!(refused, Err(Error::Saturated));
    assert!(Error::Saturated.is_retryable());
    kill(worker, Signal::SIGCONT).unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_calls_of_a_killed_worker_are_sent_again() {
    let rig = Rig::create().unwrap();
    let pool = rig.start().unwrap();
    pool.ready().await;
    let worker = stop(&pool);
    let keys = keys(5).unwrap();
    let calls: Vec<_> = keys.iter().map(|key| call(&rig, &pool, key)).collect();
    settled(&pool, 5).await;
    kill(worker, Signal::SIGKILL).unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(only(&pool).unwrap().starts, 2);
    assert_eq!(logins(&rig), 2);
}

#[tokio::test]
async fn a_worker_that_hangs_is_killed_at_the_deadline_and_replaced() {
    let rig = Rig::create().unwrap();
    rig.edit("sessions = 2", "sessions = 2\nsign_deadline = \"300ms\"")
        .unwrap();
    let pool = rig.start().unwrap();
    pool.ready().await;
    let hung = stop(&pool);
    let keys = keys(3).unwrap();
    let calls: Vec<_> = keys.iter().map(|key| call(&rig, &pool, key)).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(kill(hung, None).is_err(), "the worker that hung is gone");
    assert_eq!(only(&pool).unwrap().starts, 2);
}

#[tokio::test]
async fn a_wrong_pin_is_presented_once_and_never_again() {
    let rig = Rig::create().unwrap();
    rig.site().token().write_pin("not the pin").unwrap();
    let pool = rig.start().unwrap();
    let status = reaches(&pool, State::PinLatched).await.unwrap();
    assert!(status.detail.contains("CKR_PIN_INCORRECT"), "{status:?}");
    assert_eq!((logins(&rig), rig.latch().len()), (1, 1));
    let key = keys(1).unwrap().remove(0);
    let refused = pool.sign(rig.permit(&key).unwrap(), Algorithm::Sha1).await;
    assert_eq!(refused, Err(Error::Unavailable));
    pool.shutdown().await;

    let pool = rig.start().unwrap();
    reaches(&pool, State::PinLatched).await.unwrap();
    assert_eq!(logins(&rig), 1, "the next start does not try it");
    pool.shutdown().await;

    rig.site().token().write_pin("pin-of-the-suite").unwrap();
    let pool = rig.start().unwrap();
    reaches(&pool, State::PinCountLow).await.unwrap();
    assert_eq!(
        logins(&rig),
        1,
        "SoftHSM2 counts the wrong PIN, so nobody guesses"
    );
}

#[tokio::test]
async fn a_login_that_fails_with_a_vendors_code_is_tried_once() {
    let rig = Rig::create().unwrap();
    login_fault(&rig, &0x8000_0001_u32.to_string());
    for _ in 0..2 {
        let pool = rig.start().unwrap();
        reaches(&pool, State::PinLatched).await.unwrap();
        pool.shutdown().await;
    }
    assert_eq!((logins(&rig), rig.latch().len()), (1, 1));
}

#[tokio::test]
async fn a_login_that_hangs_is_tried_twice_and_never_again() {
    let rig = Rig::create().unwrap();
    login_fault(&rig, "hang");
    rig.edit("sessions = 2", "sessions = 2\nstart_deadline = \"2s\"")
        .unwrap();
    for _ in 0..2 {
        let pool = rig.start().unwrap();
        let status = reaches(&pool, State::PinLatched).await.unwrap();
        assert!(status.starts > 0);
        pool.shutdown().await;
        assert_eq!((logins(&rig), rig.latch().len()), (2, 1));
    }
}

#[tokio::test]
async fn a_login_over_which_workers_are_killed_is_tried_twice_and_never_again() {
    let rig = Rig::create().unwrap();
    login_fault(&rig, "hang");
    let pool = rig.start().unwrap();
    for login in 1..=2 {
        rig.site()
            .token()
            .counts()
            .reach("C_Login", login)
            .await
            .unwrap();
        kill(worker(&pool), Signal::SIGKILL).unwrap();
        // The next start comes after a while.
        reaches(&pool, State::Backoff).await.unwrap();
    }
    reaches(&pool, State::PinLatched).await.unwrap();
    assert_eq!((logins(&rig), rig.latch().len()), (2, 1));
}

#[tokio::test]
async fn a_service_that_is_stopped_over_a_login_may_try_once_more() {
    let rig = Rig::create().unwrap();
    rig.edit("[hsm.environment]\n", HANG).unwrap();
    let pool = rig.start().unwrap();
    rig.site()
        .token()
        .counts()
        .reach("C_Login", 1)
        .await
        .unwrap();
    // Nobody sees how the login ends, as after a loss of power.
    pool.shutdown().await;
    rig.edit(HANG, "[hsm.environment]\n").unwrap();
    for _ in 0..3 {
        let pool = rig.start().unwrap();
        reaches(&pool, State::Ready).await.unwrap();
        pool.shutdown().await;
    }
    assert_eq!((logins(&rig), rig.latch().len()), (4, 0));
}

#[test]
fn a_worker_whose_keeper_panics_is_noticed_at_once() {
    let site = Site::create().unwrap();
    // More than any allocation may have: the keeper, which reads the key, panics over it.
    site.exchange(
        "FAULT_MODULE_COUNTS",
        "FAULT_MODULE_ATTRIBUTE_LENGTH = \"9223372036854775808\"\nFAULT_MODULE_COUNTS",
    )
    .unwrap();
    let service = site.serve().unwrap();
    let line = service
        .log()
        .wait_for("an HSM worker did not start")
        .unwrap();
    assert!(!line.contains("start deadline"), "{line}");
    assert!(line.contains("signal"), "{line}");
    let counts = site.token().counts();
    assert_ne!(counts.spoiled("C_GetAttributeValue").unwrap(), 0, "reached");
}

#[tokio::test]
async fn a_missing_pin_does_not_stop_the_pool() {
    let rig = Rig::create().unwrap();
    std::fs::remove_file(rig.site().token().pin_file()).unwrap();
    let pool = rig.start().unwrap();
    let status = reaches(&pool, State::Backoff).await.unwrap();
    assert!(
        status.detail.contains("failed to read the PIN"),
        "{status:?}"
    );
    rig.site().token().write_pin("pin-of-the-suite").unwrap();
    pool.ready().await;
}

#[tokio::test]
async fn a_token_that_goes_and_comes_back_is_found_again() {
    let rig = Rig::create().unwrap();
    let pool = rig.start().unwrap();
    pool.ready().await;
    rig.site().token().unplug().unwrap();
    let key = keys(1).unwrap().remove(0);
    let lost = pool.sign(rig.permit(&key).unwrap(), Algorithm::Sha1).await;
    assert!(
        matches!(lost, Err(Error::Lost | Error::Unavailable)),
        "{lost:?}"
    );
    let status = reaches(&pool, State::Backoff).await.unwrap();
    assert!(status.retry_in.is_some());
    rig.site().token().plug_in().unwrap();
    reaches(&pool, State::Ready).await.unwrap();
    pool.sign(rig.permit(&key).unwrap(), Algorithm::Sha1)
        .await
        .unwrap();
}

#[tokio::test]
async fn another_key_than_the_pinned_one_is_not_used() {
    let rig = Rig::create().unwrap();
    let other = &keys(1).unwrap()[0];
    std::fs::write(rig.site().token().public_key_file(), other.to_file()).unwrap();
    let pool = rig.start().unwrap();
    let status = reaches(&pool, State::Backoff).await.unwrap();
    assert!(status.detail.contains("not the pinned one"), "{status:?}");
    assert!(pool.signing_key().is_none());
}

#[tokio::test]
async fn a_module_that_is_another_than_the_pinned_one_is_not_loaded() {
    let rig = Rig::create().unwrap();
    let module = &Binaries::get().unwrap().fault_module;
    let hash = hex::encode(sha256(&std::fs::read(module).unwrap()));
    rig.edit(
        "sessions = 2",
        &format!("sessions = 2\nmodule_sha256 = {hash:?}"),
    )
    .unwrap();
    let pool = rig.start().unwrap();
    pool.ready().await;
    pool.shutdown().await;
    assert_eq!(logins(&rig), 1);

    rig.edit(&hash, &hex::encode(sha256(b"another"))).unwrap();
    let pool = rig.start().unwrap();
    let status = reaches(&pool, State::Backoff).await.unwrap();
    assert!(
        status.detail.contains("not the module that is pinned"),
        "{status:?}"
    );
    assert_eq!(logins(&rig), 1);
}

#[tokio::test]
async fn a_signature_that_does_not_verify_bars_its_hsm_and_goes_nowhere() {
    let rig = Rig::create().unwrap();
    let liar = Impostor::new(&rig, "if kind == 5: body[-1] ^= 1").unwrap();
    let pool = rig.start_with(liar.path()).unwrap();
    pool.ready().await;
    let keys = keys(2).unwrap();
    let refused = pool
        .sign(rig.permit(&keys[0]).unwrap(), Algorithm::Sha1)
        .await;
    assert!(
        matches!(refused, Err(Error::Quarantined { .. })),
        "{refused:?}"
    );
    let refused = pool
        .sign(rig.permit(&keys[1]).unwrap(), Algorithm::Sha1)
        .await;
    assert_eq!(refused, Err(Error::Unavailable));
    assert_eq!(but_trials(&rig), 1, "it gets no more calls");
    reaches(&pool, State::Quarantined).await.unwrap();
}

#[tokio::test]
async fn an_hsm_that_refuses_its_trial_signatures_is_lost() {
    let rig = Rig::create().unwrap();
    let refuse = "if kind == 5: body = b'\\x04\\0\\0'; head = struct.pack('>I', 3) + head[4:]";
    let tired = Impostor::new(&rig, refuse).unwrap();
    let pool = rig.start_with(tired.path()).unwrap();
    pool.ready().await;
    until(&pool, |all| all[0].starts >= 2).await.unwrap();
    assert_eq!(but_trials(&rig), 0, "no call was refused");
}

#[tokio::test]
async fn a_call_that_ends_two_workers_is_given_up_and_takes_nobody_along() {
    let rig = Rig::create().unwrap();
    let keys = keys(4).unwrap();
    let line = keys[0].canonical().lines().nth(3).unwrap();
    let condition = format!("if kind == 4 and b'{line}' in body: os._exit(1)");
    let fragile = Impostor::new(&rig, &condition).unwrap();
    let pool = rig.start_with(fragile.path()).unwrap();
    pool.ready().await;
    let calls: Vec<_> = keys.iter().map(|key| call(&rig, &pool, key)).collect();
    for (at, call) in calls.into_iter().enumerate() {
        let answer = call.await.unwrap();
        assert_eq!(answer.is_ok(), at > 0, "{at}: {answer:?}");
        if at == 0 {
            assert_eq!(answer, Err(Error::Lost));
        }
    }
    // A worker was started after each loss.
    reaches(&pool, State::Ready).await.unwrap();
    assert_eq!(only(&pool).unwrap().starts, 3);
}

#[tokio::test]
async fn the_second_token_with_the_key_signs_when_the_first_is_gone() {
    let rig = Rig::create().unwrap();
    rig.add_twin(rig.site().token()).unwrap();
    let pool = rig.start().unwrap();
    both(&pool, State::Ready, State::Ready).await;
    let keys = keys(2).unwrap();
    let first = pool
        .sign(rig.permit(&keys[0]).unwrap(), Algorithm::Sha1)
        .await;
    rig.site().token().unplug().unwrap();
    kill(worker(&pool), Signal::SIGKILL).unwrap();
    both(&pool, State::Backoff, State::Ready).await;
    let second = pool
        .sign(rig.permit(&keys[0]).unwrap(), Algorithm::Sha1)
        .await;
    assert_eq!(
        second.unwrap(),
        first.unwrap(),
        "the same signature for ever"
    );
}

#[tokio::test]
async fn a_second_token_with_another_key_does_not_join() {
    let rig = Rig::create().unwrap();
    let stranger = Token::create().unwrap();
    rig.add_twin(&stranger).unwrap();
    let pool = rig.start().unwrap();
    let signing = pool.ready().await;
    // The first in the configuration decides, whichever comes up first.
    both(&pool, State::Ready, State::Failed).await;
    assert_eq!(*signing, *rig.site().token().public_key());
    let key = &keys(1).unwrap()[0];
    let signature = pool.sign(rig.permit(key).unwrap(), Algorithm::Sha1).await;
    signing
        .verify(Algorithm::Sha1, key, &signature.unwrap())
        .unwrap();
}

#[tokio::test]
async fn only_the_first_hsm_brings_an_empty_store_its_key() {
    let rig = Rig::create().unwrap();
    let stranger = Token::create().unwrap();
    rig.add_twin(&stranger).unwrap();
    rig.site().token().unplug().unwrap();
    let pool = rig.start().unwrap();
    let refused = |all: &[HsmStatus]| all[1].detail.contains("first configured HSM");
    until(&pool, refused).await.unwrap();
    assert!(pool.signing_key().is_none());
    rig.site().token().plug_in().unwrap();
    assert_eq!(*pool.ready().await, *rig.site().token().public_key());
}

#[tokio::test]
async fn another_key_than_the_stores_never_becomes_the_pools() {
    let mut rig = Rig::create().unwrap();
    rig.store_has(keys(1).unwrap()[0].hash());
    let pool = rig.start().unwrap();
    let status = reaches(&pool, State::Failed).await.unwrap();
    assert!(status.detail.contains("of this store"), "{status:?}");
    assert!(pool.signing_key().is_none());
    assert!(pool.algorithms().is_empty());
}

#[tokio::test]
async fn no_call_waits_for_whoever_gives_the_pin() {
    let rig = Rig::create().unwrap();
    let file = format!("pin = {{ file = {:?} }}", rig.site().token().pin_file());
    let slow = "pin = { command = [\"/bin/sleep\", \"100\"], deadline = \"2m\" }";
    rig.edit(&file, slow).unwrap();
    let pool = rig.start().unwrap();
    let reading = |all: &[HsmStatus]| all[0].detail == "reading the PIN";
    until(&pool, reading).await.unwrap();
    let key = keys(1).unwrap().remove(0);
    let refused = pool.sign(rig.permit(&key).unwrap(), Algorithm::Sha1).await;
    assert_eq!(refused, Err(Error::Unavailable));
}

fn call(
    rig: &Rig,
    pool: &Pool,
    key: &Arc<PublicKey>,
) -> tokio::task::JoinHandle<Result<minion::verify::Signature, Error>> {
    let permit = rig.permit(key).unwrap();
    let pool = pool.clone();
    tokio::spawn(async move { pool.sign(permit, Algorithm::Sha1).await })
}

/// Freezes the worker, as a module that hangs would.
fn stop(pool: &Pool) -> Pid {
    let worker = worker(pool);
    kill(worker, Signal::SIGSTOP).unwrap();
    worker
}

/// The worker of the first HSM.
fn worker(pool: &Pool) -> Pid {
    let status = only(pool).unwrap();
    Pid::from_raw(status.process.unwrap().try_into().unwrap())
}

/// Waits until two HSMs are in these states.
async fn both(pool: &Pool, first: State, second: State) {
    let states = |all: &[HsmStatus]| all.iter().map(|hsm| hsm.state).eq([first, second]);
    until(pool, states).await.unwrap();
}

/// Waits until the pool has taken so many calls.
async fn settled(pool: &Pool, calls: usize) {
    let taken = |status: HsmStatus| status.in_flight.saturating_add(status.queued);
    while taken(only(pool).unwrap()) < calls {
        tokio::task::yield_now().await;
    }
}

/// Has every login end this way before it reaches the token.
fn login_fault(rig: &Rig, fault: &str) {
    let faulty = HANG.replace("hang", fault);
    rig.edit("[hsm.environment]\n", &faulty).unwrap();
}

const HANG: &str = "[hsm.environment]\nFAULT_MODULE_LOGIN = \"hang\"\n";

fn logins(rig: &Rig) -> usize {
    rig.site().token().counts().calls("C_Login").unwrap()
}

fn signatures(rig: &Rig, algorithm: Algorithm, key: &PublicKey) -> usize {
    let counts = rig.site().token().counts();
    counts.signatures(algorithm, key).unwrap()
}

fn but_trials(rig: &Rig) -> usize {
    let token = rig.site().token();
    token
        .counts()
        .signatures_but_over(token.public_key())
        .unwrap()
}
