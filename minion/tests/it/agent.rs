//! The agent over real TCP: one life with masters that rotate their keys, hang, vanish and come
//! back, and no job lost by it.

mod fleet;

use std::time::Duration;

use minion::agent::{Ended, MasterState};
use minion::failover::{Exit, MasterType};
use minion::wire::msgpack::Value;
use scripted_master::request::{Request, text};
use scripted_master::{Answer, Gate, Job, Step, Verdict};

use fleet::{Fleet, LONG};

const JID: &str = "20261125120000000001";
const OTHER: &str = "20261125120000000002";

#[tokio::test]
async fn it_signs_in_tells_that_it_is_there_and_answers() {
    let fleet = Fleet::new(1).await;
    let minion = fleet.minion(|_| {}).await;
    let events: Vec<String> = fleet[0].read(|log| {
        let tags = log.commands.iter().filter_map(|load| text(load, "tag"));
        tags.map(str::to_owned).collect()
    });
    assert_eq!(events, ["minion_start", "salt/minion/minion/start"]);
    assert_eq!(fleet[0].publish(Job::ping(JID)).await, 1);
    fleet[0].until(|log| log.returned(JID)).await;
    assert_eq!(minion.end().await, Ended::Stopped);
    // A descriptor for requests and one for publications, and none that was thrown away.
    assert_eq!(fleet[0].log().connections, 2);
}

#[tokio::test]
async fn a_job_is_run_once_and_only_by_whom_it_names() {
    let fleet = Fleet::new(1).await;
    let minion = fleet.minion(|_| {}).await;
    let elsewhere = Job {
        tgt: "another".into(),
        ..Job::ping(OTHER)
    };
    for job in [Job::ping(JID), Job::ping(JID), elsewhere] {
        fleet[0].publish(job).await;
    }
    let last = "20261125120000000009";
    fleet[0].publish(Job::ping(last)).await;
    fleet[0].until(|log| log.returned(last)).await;
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| assert_eq!(log.returns(), [JID, last]));
}

#[tokio::test]
async fn what_is_published_under_a_new_key_waits_for_that_key() {
    let fleet = Fleet::new(1).await;
    let minion = fleet.minion(|_| {}).await;
    fleet[0].forget_keys();
    fleet[0].publish(Job::ping(JID)).await;
    fleet[0].publish(Job::ping(OTHER)).await;
    fleet[0]
        .until(|log| log.returned(JID) && log.returned(OTHER))
        .await;
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| {
        assert_eq!(log.sign_ins.len(), 2, "one sign-in for one rotation");
        // The subscription was kept: one connection for it, and one for requests a session.
        assert_eq!(log.connections, 3);
    });
}

#[tokio::test]
async fn a_return_is_made_again_under_new_keys() {
    let fleet = Fleet::new(1).await;
    let minion = fleet.minion(|_| {}).await;
    // The publication leaves under the old AES key, and the session is gone before its return.
    let publication = fleet[0].next_publication(Job::ping(JID));
    fleet[0].forget_keys();
    let body = scripted_master::reply::pack(publication);
    fleet[0].publish_frames(&[&body]).await;
    fleet[0].until(|log| log.returned(JID)).await;
    fleet[0].read(|log| assert_eq!(log.bad_loads, 1));
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_return_reaches_the_master_that_asked_after_a_failover() {
    let fleet = Fleet::new(2).await;
    let mut minion = fleet
        .minion(|setup| {
            setup.returns.retry_timer = Duration::from_millis(200);
            setup.returns.retry_timer_max = Duration::from_millis(200);
            setup.returns.retry_tries = 50;
        })
        .await;
    // The return is read and not answered, nor is a sign-in, so the minion has to go elsewhere.
    fleet[0].script(|exchange| match exchange.request {
        Request::Auth(_) | Request::Sealed(_) => Answer::Steps(vec![Step::Close]),
        Request::Ping | Request::Unreadable => Answer::Honest,
    });
    fleet[0].publish(Job::ping(JID)).await;
    fleet[0].until(|log| log.faults >= 1).await;
    fleet[0].disconnect();
    minion.is_on(1).await;
    fleet[0].script(|_| Answer::Honest);
    let unanswered = fleet[0].log().returns().len();
    fleet[0].until(|log| log.returns().len() > unanswered).await;
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[1].read(|log| assert!(!log.returned(JID), "the other master never asked"));
}

#[tokio::test]
async fn a_master_that_is_killed_is_left_at_once() {
    let mut fleet = Fleet::new(2).await;
    let mut minion = fleet.minion(|_| {}).await;
    fleet.kill(0);
    minion.is_on(1).await;
    assert_eq!(minion.state(0), MasterState::Lost);
    fleet[1].publish(Job::ping(JID)).await;
    fleet[1].until(|log| log.returned(JID)).await;
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_master_that_is_stopped_is_left_within_the_interval_and_a_second() {
    let fleet = Fleet::new(2).await;
    let mut minion = fleet
        .minion(|setup| setup.failover.master_alive_interval = Some(Duration::from_secs(1)))
        .await;
    let stopped = tokio::time::Instant::now();
    fleet[0].set_running(false);
    minion.is_on(1).await;
    // A busy machine may add to it; a minute is what a stock minion would not do it in.
    assert!(
        stopped.elapsed() < Duration::from_secs(10),
        "{:?}",
        stopped.elapsed()
    );
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_master_whose_workers_hang_is_left_although_its_sockets_live() {
    let fleet = Fleet::new(2).await;
    let mut minion = fleet
        .minion(|setup| setup.failover.master_alive_interval = Some(Duration::from_secs(1)))
        .await;
    fleet[0].script(|_| Answer::Steps(vec![Step::Wait(Gate::shut())]));
    minion.is_on(1).await;
    fleet[0].read(|log| {
        assert!(log.probes >= 1, "a worker was asked");
        assert!(log.pings >= 1, "and so was the publisher, which answered");
    });
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_healthy_master_is_kept_through_many_probes() {
    let fleet = Fleet::new(2).await;
    let minion = fleet
        .minion(|setup| setup.failover.master_alive_interval = Some(Duration::from_millis(100)))
        .await;
    fleet[0]
        .until(|log| log.probes >= 5 && log.pings >= 5)
        .await;
    assert_eq!(minion.state(0), MasterState::Connected);
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| assert_eq!(log.sign_ins.len(), 1));
}

#[tokio::test]
async fn without_failover_every_master_of_the_list_is_served() {
    let fleet = Fleet::new(2).await;
    let mut minion = fleet
        .minion(|setup| setup.failover.master_type = MasterType::Str)
        .await;
    minion.is_on(0).await;
    minion.is_on(1).await;
    for (number, jid) in [JID, OTHER].into_iter().enumerate() {
        fleet[number].publish(Job::ping(jid)).await;
        fleet[number].until(|log| log.returned(jid)).await;
    }
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_minion_that_everybody_rejects_ends_as_salts_does() {
    let fleet = Fleet::new(2).await;
    // Only a master that is known can say so: the first sign-in makes it known.
    let store = fleet.store();
    for number in 0..2 {
        let minion = fleet.minion_of(&store, &[number], |_| {}).await;
        assert_eq!(minion.end().await, Ended::Stopped);
        fleet[number].decide(Verdict::TurnedAway(Value::Bool(false)));
    }
    let minion = fleet.begin(&store, &[0, 1], |_| {});
    assert_eq!(minion.ended().await, Ended::GaveUp(Exit::NoPermission));
}

#[tokio::test]
async fn a_return_under_way_has_time_when_the_minion_is_told_to_stop() {
    let fleet = Fleet::new(1).await;
    let minion = fleet.minion(|_| {}).await;
    let gate = Gate::shut();
    let held = gate.clone();
    fleet[0].script(move |exchange| {
        let command = exchange.command();
        match command.as_ref().and_then(|load| text(load, "cmd")) {
            Some("_return") => Answer::Steps(vec![
                Step::Wait(held.clone()),
                Step::Reply(exchange.honest()),
            ]),
            _ => Answer::Honest,
        }
    });
    fleet[0].publish(Job::ping(JID)).await;
    fleet[0].until(|log| log.faults >= 1).await;
    let ending = tokio::spawn(minion.end());
    tokio::task::yield_now().await;
    gate.open();
    let ended = tokio::time::timeout(LONG, ending).await.unwrap().unwrap();
    assert_eq!(ended, Ended::Stopped);
}
