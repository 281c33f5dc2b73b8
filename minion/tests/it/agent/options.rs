//! What options do to a minion, as its master sees it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use minion::agent::Ended;
use minion::failover::MasterType;
use scripted_master::reply::pack;
use scripted_master::request::{Request, text};
use scripted_master::{Answer, Job, Load};

use super::fleet::Fleet;
use super::{JID, OTHER};

#[tokio::test]
async fn it_tells_that_it_lives_as_often_as_ping_interval_says() {
    const EVERY: Duration = Duration::from_millis(100);
    let fleet = Fleet::new(1).await;
    let begun = Instant::now();
    let minion = fleet
        .minion(|setup| setup.ping_interval = Some(EVERY))
        .await;
    let is_ping = |load: &&Load| text(load, "tag") == Some("minion_ping");
    fleet[0]
        .until(|log| log.commands.iter().filter(is_ping).count() >= 3)
        .await;
    assert!(begun.elapsed() >= EVERY * 3, "{:?}", begun.elapsed());
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| {
        for load in log.commands.iter().filter(is_ping) {
            assert_eq!(text(load, "cmd"), Some("_minion_event"));
            assert_eq!(text(load, "data"), Some("ping"));
        }
    });
}

#[tokio::test]
async fn publish_port_stands_above_what_the_master_says() {
    let fleet = Fleet::new(2).await;
    let elsewhere = fleet[1].publish_address().port().try_into().unwrap();
    let minion = fleet
        .minion_of(&fleet.store(), &[0], |setup| {
            setup.publish_port = Some(elsewhere);
        })
        .await;
    let body = pack(fleet[0].next_publication(Job::ping(JID)));
    assert_eq!(fleet[0].publish_frames(&[&body]).await, 0);
    assert_eq!(fleet[1].publish_frames(&[&body]).await, 1);
    fleet[0].until(|log| log.returned(JID)).await;
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[1].read(|log| assert_eq!(log.sign_ins.len(), 0));
}

#[tokio::test]
async fn with_zmq_filtering_it_subscribes_to_everybodys_topic_and_its_own() {
    // What `printf minion | sha1sum` says.
    const OWN: &[u8] = b"77e4c401984e5d311e746b4f0797a24e3276f694";
    let fleet = Fleet::new(1).await;
    let minion = fleet
        .minion(|setup| setup.network.zmq_filtering = true)
        .await;
    fleet[0].read(|log| assert_eq!(log.topics, [b"broadcast", OWN]));
    for (topic, jid) in [(&b"broadcast"[..], JID), (OWN, OTHER)] {
        let body = pack(fleet[0].next_publication(Job::ping(jid)));
        assert_eq!(fleet[0].publish_frames(&[topic, &body]).await, 1);
        fleet[0].until(|log| log.returned(jid)).await;
    }
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn without_zmq_filtering_it_subscribes_to_everything() {
    let fleet = Fleet::new(1).await;
    let minion = fleet.minion(|_| {}).await;
    fleet[0].read(|log| assert_eq!(log.topics, [b""]));
    assert_eq!(minion.end().await, Ended::Stopped);
}

#[tokio::test]
async fn a_master_that_takes_the_question_and_does_not_answer_is_given_time() {
    const PATIENCE: Duration = Duration::from_millis(300);
    const WAIT: Duration = Duration::from_secs(2);
    let fleet = Fleet::new(1).await;
    let asked = AtomicU32::new(0);
    fleet[0].script(move |exchange| match exchange.request {
        Request::Auth(_) if asked.fetch_add(1, Ordering::Relaxed) == 0 => Answer::Steps(Vec::new()),
        _ => Answer::Honest,
    });
    let minion = fleet
        .minion(|setup| {
            setup.failover.master_type = MasterType::Str;
            setup.failover.auth_timeout = PATIENCE;
            setup.failover.acceptance_wait_time = WAIT;
        })
        .await;
    assert_eq!(minion.end().await, Ended::Stopped);
    fleet[0].read(|log| {
        assert!(log.sign_ins.len() >= 2, "the silence was not reached");
        let waited = log.sign_ins[1].at.duration_since(log.sign_ins[0].at);
        assert!(waited >= PATIENCE + WAIT / 2, "{waited:?}");
    });
}

#[tokio::test]
async fn with_fixed_source_ports_a_session_is_renewed_and_a_master_pinged_beside_it() {
    let fleet = Fleet::new(1).await;
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [free(), free()].map(|held| held.local_addr().unwrap().port());
    let minion = fleet
        .minion(|setup| {
            setup.network.source_address = Some("127.0.0.1".parse().unwrap());
            setup.network.source_ret_port = ports[0].try_into().ok();
            setup.network.source_publish_port = ports[1].try_into().ok();
        })
        .await;
    let ping = Job {
        fun: "status.ping_master".into(),
        arg: vec!["master-0".into()],
        ..Job::ping(JID)
    };
    fleet[0].publish(ping).await;
    fleet[0].until(|log| log.returned(JID)).await;
    fleet[0].read(|log| assert_eq!(log.probes, 1));
    fleet[0].forget_keys();
    fleet[0].publish(Job::ping(OTHER)).await;
    fleet[0].until(|log| log.returned(OTHER)).await;
    fleet[0].read(|log| assert_eq!(log.sign_ins.len(), 2));
    assert_eq!(minion.end().await, Ended::Stopped);
}
