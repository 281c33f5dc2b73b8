//! What a minion tells its master at the start, when that does not listen at first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use minion::agent::{Ended, Setup};
use minion::wire::msgpack::encode;
use scripted_master::request::text;
use scripted_master::{Answer, Exchange, Gate, Job, Log, Master, Step};

use super::JID;
use super::fleet::Fleet;

const START: &str = "salt/minion/minion/start";

#[tokio::test]
async fn a_start_event_that_the_master_drops_is_told_again() {
    let fleet = Fleet::new(1).await;
    first(&fleet[0], START, || Answer::Steps(vec![Step::Close]));
    let minion = fleet.begin(&fleet.store(), &[0], brief);
    fleet[0].until(|log| told(log, START) >= 2).await;
    let tags = ["minion_start", START, START];
    fleet[0].read(|log| {
        assert_eq!(log.faults, 1);
        let seen = log.commands.iter().map(|load| text(load, "tag").unwrap());
        assert_eq!(seen.collect::<Vec<_>>(), tags);
        assert_eq!(log.sign_ins.len(), 1, "in the same session");
    });
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| assert_eq!(log.commands.len(), tags.len(), "and then no more"));
}

#[tokio::test]
async fn a_start_event_under_keys_that_have_expired_is_told_under_new_ones() {
    let fleet = Fleet::new(1).await;
    first(&fleet[0], START, bad_load);
    let minion = fleet.begin(&fleet.store(), &[0], |_| {});
    fleet[0].until(|log| told(log, START) >= 2).await;
    fleet[0].read(|log| {
        assert_eq!(log.faults, 1);
        assert_eq!(log.sign_ins.len(), 2);
    });
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn grains_under_keys_that_have_expired_are_told_under_new_ones() {
    let fleet = Fleet::new(1).await;
    first(&fleet[0], "_pillar", bad_load);
    let minion = fleet.begin(&fleet.store(), &[0], |setup| setup.tell_grains = true);
    fleet[0].until(|log| told(log, "_pillar") >= 2).await;
    fleet[0].read(|log| {
        assert_eq!(log.faults, 1);
        assert_eq!(log.sign_ins.len(), 2);
        assert_eq!(told(log, START), 1, "what it has said it does not repeat");
    });
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn what_was_not_taken_yet_is_told_although_the_session_is_renewed_meanwhile() {
    for what in [START, "_pillar"] {
        let fleet = Fleet::new(1).await;
        // Nobody ever opens it.
        let gate = Gate::shut();
        first(&fleet[0], what, move || {
            Answer::Steps(vec![Step::Wait(gate.clone())])
        });
        let minion = fleet.begin(&fleet.store(), &[0], |setup| {
            brief(setup);
            setup.tell_grains = true;
            // As long as the first try takes.
            setup.returns.request_timeout = Duration::from_secs(3);
        });
        fleet[0].until(|log| log.faults == 1).await;
        fleet[0].forget_keys();
        assert_eq!(fleet[0].publish(Job::ping(JID)).await, 1);
        fleet[0].until(|log| log.returned(JID)).await;
        fleet[0].read(|log| assert_eq!(log.sign_ins.len(), 2, "{what}"));
        fleet[0].until(|log| told(log, what) == 2).await;
        assert_eq!(minion.end().await, Ended::Stopped);
        fleet[0].read(|log| assert_eq!(told(log, START), if what == START { 2 } else { 1 }));
    }
}

/// The next try is soon.
fn brief(setup: &mut Setup) {
    setup.returns.retry_timer = Duration::from_millis(50);
    setup.returns.retry_timer_max = Duration::from_millis(50);
}

/// How often an event was told, or a command given.
fn told(log: &Log, what: &str) -> usize {
    let loads = log.commands.iter();
    loads
        .filter(|load| text(load, "tag") == Some(what) || text(load, "cmd") == Some(what))
        .count()
}

/// The first event or command of this name has another answer than an honest one.
fn first(master: &Master, what: &'static str, answer: impl Fn() -> Answer + Send + Sync + 'static) {
    let done = AtomicBool::new(false);
    let is_it = move |exchange: &Exchange<'_>| {
        let load = exchange.command().unwrap_or_default();
        text(&load, "tag") == Some(what) || text(&load, "cmd") == Some(what)
    };
    master.script(move |exchange| {
        if is_it(exchange) && !done.swap(true, Ordering::Relaxed) {
            answer()
        } else {
            Answer::Honest
        }
    });
}

/// What a master says that has other keys by now.
fn bad_load() -> Answer {
    Answer::reply(encode(&"bad load".into()).unwrap())
}
