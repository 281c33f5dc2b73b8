//! The agent over real TCP: one life with masters that rotate their keys, hang, vanish and come
//! back, and no job lost by it.

pub(crate) mod fleet;
mod greeting;
mod options;
mod panics;

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
async fn a_master_that_is_stopped_is_left() {
    let fleet = Fleet::new(2).await;
    let mut minion = fleet
        .minion(|setup| setup.failover.master_alive_interval = Some(Duration::from_secs(1)))
        .await;
    let stopped = tokio::time::Instant::now();
    fleet[0].set_running(false);
    minion.is_on(1).await;
    // The machine leaves it within the interval and a second (`failover`); a busy host may add to it.
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
async fn a_request_that_hangs_does_not_stand_for_its_master() {
    let fleet = Fleet::new(2).await;
    let minion = fleet
        .minion(|setup| {
            // A probe every half second, and one and a half for its answer.
            setup.failover.master_alive_interval = Some(Duration::from_secs(1));
            setup.returns.retry_timer = Duration::from_millis(400);
            setup.returns.retry_timer_max = Duration::from_millis(400);
            setup.returns.retry_tries = u32::MAX;
        })
        .await;
    // Requests hang one after the other, so there is no probe without one.
    fleet[0].script(|exchange| match exchange.request {
        Request::Sealed(_) => Answer::Steps(Vec::new()),
        Request::Auth(_) | Request::Ping | Request::Unreadable => Answer::Honest,
    });
    let before = fleet[0].log().probes;
    fleet[0].publish(Job::ping(JID)).await;
    fleet[0]
        .until(|log| log.probes >= before + 5 && log.faults >= 5)
        .await;
    assert_eq!(minion.state(0), MasterState::Connected);
    fleet[0].read(|log| assert_eq!(log.sign_ins.len(), 1));
    fleet[0].script(|_| Answer::Honest);
    fleet[0].until(|log| log.returned(JID)).await;
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_master_whose_key_is_revoked_is_left_while_it_is_in_use() {
    let fleet = Fleet::new(2).await;
    let store = fleet.store();
    let mut minion = fleet
        .minion_of(&store, &[0, 1], |setup| {
            setup.revocation_interval = Duration::from_millis(20);
        })
        .await;
    store.revoke(fleet[0].key().public().hash());
    minion.is_on(1).await;
    assert_eq!(minion.state(0), MasterState::Lost);
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| assert_eq!(log.sign_ins.len(), 1));
}

#[tokio::test]
async fn a_silent_first_master_does_not_cost_the_whole_timeout() {
    let fleet = Fleet::new(2).await;
    fleet[0].set_running(false);
    let store = fleet.store();
    let mut minion = fleet.begin(&store, &[0, 1], |setup| {
        // Twice as long as this test waits for anything.
        setup.failover.auth_timeout = LONG * 2;
        setup.failover.stagger = Duration::from_millis(50);
    });
    minion.is_on(1).await;
    fleet[0].read(|log| assert!(log.connections >= 1, "it was asked first"));
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_name_leads_to_whichever_of_its_addresses_answers() {
    let fleet = Fleet::new(1).await;
    let minion = fleet
        .minion(|setup| setup.masters[0].host = "localhost".to_owned())
        .await;
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn an_agent_that_is_dropped_leaves_nothing_behind() {
    let fleet = Fleet::new(1).await;
    let minion = fleet.minion(|_| {}).await;
    minion.drop_it();
    fleet[0]
        .until(|log| log.requesting == 0 && log.subscribed == 0)
        .await;
}

#[tokio::test]
async fn it_goes_back_to_the_first_master_and_hears_it_before_it_lets_go() {
    let fleet = Fleet::new(2).await;
    // The first master is full until it has been passed over.
    fleet[0].decide(Verdict::TurnedAway("full".into()));
    let store = fleet.store();
    let mut minion = fleet.begin(&store, &[0, 1], |setup| {
        setup.failover.master_failback = true;
        setup.failover.master_failback_interval = Some(Duration::from_secs(1));
    });
    minion.is_on(1).await;
    fleet[0].read(|log| assert_eq!(log.sign_ins.len(), 1));
    // Its answer is held, so the minion must still be with the second master when it comes.
    let gate = Gate::shut();
    let held = gate.clone();
    fleet[0].decide(Verdict::Accepted);
    fleet[0].script(move |exchange| match exchange.request {
        Request::Auth(_) => Answer::Steps(vec![
            Step::Wait(held.clone()),
            Step::Reply(exchange.honest()),
        ]),
        Request::Ping | Request::Sealed(_) | Request::Unreadable => Answer::Honest,
    });
    fleet[0].until(|log| log.sign_ins.len() >= 2).await;
    fleet[1].publish(Job::ping(JID)).await;
    fleet[1].until(|log| log.returned(JID)).await;
    gate.open();
    minion.is_on(0).await;
    assert_eq!(minion.state(1), MasterState::Unused);
    fleet[0].read(|log| assert_eq!(log.subscribed, 1, "it hears it already"));
    fleet[1].until(|log| log.subscribed == 0).await;
    fleet[0].publish(Job::ping(OTHER)).await;
    fleet[0].until(|log| log.returned(OTHER)).await;
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_pending_minion_stays_and_is_let_in_when_an_operator_accepts_it() {
    let fleet = Fleet::new(2).await;
    fleet[0].decide(Verdict::TurnedAway(Value::Bool(true)));
    let store = fleet.store();
    let mut minion = fleet.begin(&store, &[0, 1], |setup| {
        setup.failover.acceptance_wait_time = Duration::from_secs(1);
    });
    fleet[0].until(|log| log.sign_ins.len() >= 2).await;
    assert_eq!(minion.state(0), MasterState::Pending);
    fleet[0].decide(Verdict::Accepted);
    minion.is_on(0).await;
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[1].read(|log| assert_eq!(log.sign_ins.len(), 0, "the tutorial's rule: it stays"));
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
async fn without_a_master_it_waits_until_it_is_told_to_stop() {
    let fleet = Fleet::new(1).await;
    let minion = fleet.begin(&fleet.store(), &[], |setup| {
        setup.failover.master_type = MasterType::Disable;
    });
    // Whatever would end by itself has had its turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| assert_eq!(log.connections, 0));
}

#[tokio::test]
async fn a_job_that_two_masters_publish_is_run_once() {
    let fleet = Fleet::new(2).await;
    let mut minion = fleet
        .minion(|setup| setup.failover.master_type = MasterType::Str)
        .await;
    minion.is_on(1).await;
    assert_eq!(fleet[0].publish(Job::ping(JID)).await, 1);
    fleet[0].until(|log| log.returned(JID)).await;
    // The second master's next job shows that it was heard, and a return under way has time at the
    // end.
    for jid in [JID, OTHER] {
        assert_eq!(fleet[1].publish(Job::ping(jid)).await, 1);
    }
    fleet[1].until(|log| log.returned(OTHER)).await;
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| assert_eq!(log.returns(), [JID]));
    fleet[1].read(|log| assert_eq!(log.returns(), [OTHER]));
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
async fn a_job_makes_the_minion_ask_its_own_masters_and_nobody_else() {
    let fleet = Fleet::new(2).await;
    let minion = fleet.minion(|_| {}).await;
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let elsewhere = stranger.local_addr().unwrap().to_string();
    let second = fleet[1].request_address();
    let asked = [
        ("20261125120000000001", "master-1".to_owned(), true),
        ("20261125120000000002", second.to_string(), true),
        ("20261125120000000003", second.ip().to_string(), true),
        ("20261125120000000004", elsewhere, false),
        // A host that is known, at a port that is not.
        ("20261125120000000005", format!("{}:1", second.ip()), false),
    ];
    for (jid, master, expected) in asked {
        let job = Job {
            fun: "status.ping_master".into(),
            arg: vec![master.as_str().into()],
            ..Job::ping(jid)
        };
        fleet[0].publish(job).await;
        fleet[0].until(|log| log.returned(jid)).await;
        let told = fleet[0].read(|log| {
            let mut commands = log.commands.iter();
            let load = commands
                .find(|load| text(load, "jid") == Some(jid))
                .unwrap();
            let value = load.iter().find(|(key, _)| *key == "return".into());
            value.unwrap().1.clone()
        });
        assert_eq!(told, Value::Bool(expected), "{master}");
    }
    let nobody = stranger.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(minion.end().await, Ended::Stopped);
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
