//! A master's heartbeats: PINGs of its ZeroMQ on each subscription, in the middle of what it
//! publishes. A minion that does not answer is cut off and misses what comes meanwhile.
//!
//! Salt 3006.30 and 3008.5 send them (`salt/transport/zeromq.py`, `_set_zmq_heartbeat`); 3007.17
//! has no such thing, so there is nothing to show with it.

use std::time::{Duration, Instant};

use super::*;

/// Only a test that fails waits for it.
const LONG: Duration = Duration::from_secs(300);

/// Every second, and five without an answer are the end of the connection.
pub(super) fn no_publication_is_lost_over_ten_heartbeats(version: Version) {
    let stage = stage(version);
    let master = stage.quiet(Algorithm::Sha1).unwrap();
    let host = Host::of(&stage, Algorithm::Sha1);
    follow(&host, master, Duration::from_secs(1));
}

/// Every ten seconds, and thirty without an answer: who configures nothing has these.
pub(super) fn no_publication_is_lost_over_ten_heartbeats_by_salts_default(version: Version) {
    let stage = stage(version);
    let restless = stage.restless(SignedBy::Master).unwrap();
    let host = Host::at_restless(&stage, Algorithm::Sha1, &restless);
    follow(&host, &restless.master, Duration::from_secs(10));
}

/// Publishes numbers all the time that it takes for more than ten heartbeats on one connection.
fn follow(host: &Host<'_>, master: &Master, every: Duration) {
    let console = master.console().unwrap();
    // Its own probes would be signs of life, too, and hide that a PING was not answered.
    let options = [("log_level", "trace"), ("master_alive_interval", "3600")];
    let (start, mut jobs) = (Instant::now(), Vec::new());
    let minion = host.start_accepted(master, &options);
    // The number counts the PINGs of one connection.
    let eleventh = format!("PING 11 of {}:4505 is answered", master.address());
    // On a slow machine there are more heartbeats, not fewer publications.
    while minion.log().count(&eleventh) == 0 || jobs.len() < 55 {
        let log = minion.log().text();
        assert!(start.elapsed() < every * 20 + LONG, "no heartbeats:\n{log}");
        // Some at once, so that a PING finds publications before and behind it.
        let burst = jobs.len()..jobs.len() + 5;
        jobs.extend(burst.map(|number| {
            let target = ("glob", json!(minion.id()));
            let arg = format!("number {number}");
            console.publish(target, "test.echo", &[&arg]).unwrap()
        }));
        let last = jobs.last().unwrap();
        console.answer(last, minion.id()).unwrap();
    }
    assert!(start.elapsed() >= every * 10, "{:?}", start.elapsed());
    for (number, job) in jobs.iter().enumerate() {
        let answer = console.answer(job, minion.id()).unwrap();
        assert_eq!(answer["return"], json!(format!("number {number}")));
    }
    // Nothing was told twice, and all of it in the first session.
    expect_answer(&minion, master);
    for job in &jobs {
        assert_eq!(returned(console, &job.jid, minion.id()), 1, "{job:?}");
        let line = format!("Returning information for job: {}", job.jid);
        assert_eq!(minion.log().count(&line), 1, "{job:?}");
    }
    assert_eq!(minion.log().count(SIGNED_IN), 1);
    assert_eq!(minion.log().count("Connection to master"), 0);
}
