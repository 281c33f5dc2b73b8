//! Returns and events that nobody takes: how often they are tried, and what the log then says.

use scripted_master::request::text;
use scripted_master::{Answer, Exchange, Job, Step};

use super::program::Program;
use super::{JID, READY};
use crate::agent::fleet::Fleet;

/// Two tries of a second each.
const BRIEF: &str = "return_retry_tries: 2\nreturn_retry_timer: 1\nreturn_retry_timer_max: 1\n";
const OTHER: &str = "20261125120000000002";

/// Returns are read and never answered.
fn no_returns(exchange: &Exchange<'_>) -> Answer {
    let command = exchange.command();
    match command.as_ref().and_then(|load| text(load, "cmd")) {
        Some("_return") => Answer::Steps(vec![Step::Close]),
        _ => Answer::Honest,
    }
}

#[tokio::test]
async fn a_start_event_that_is_never_taken_does_not_keep_a_minion_from_work() {
    let fleet = Fleet::new(1).await;
    fleet[0].script(|exchange| {
        let command = exchange.command();
        match command.as_ref().and_then(|load| text(load, "cmd")) {
            Some("_minion_event") => Answer::Steps(vec![Step::Close]),
            _ => Answer::Honest,
        }
    });
    let options = format!("{BRIEF}enable_legacy_startup_events: False\n");
    let mut program = Program::start(&fleet, &options, |_| {});
    let words = "the event salt/minion/minion/start did not reach the master";
    program
        .sees(&[
            READY.to_owned(),
            format!("[DEBUG   ] {words} and is told again: "),
            format!("[WARNING ] {words}: "),
        ])
        .await;
    fleet[0].read(|log| assert_eq!(log.faults, 2, "as often as return_retry_tries says"));
    assert_eq!(fleet[0].publish(Job::ping(JID)).await, 1);
    fleet[0].until(|log| log.returned(JID)).await;
    program.terminate();
    assert_eq!(program.code().await, Some(0));
    let log = std::fs::read_to_string(program.directory().join("log")).unwrap();
    assert_eq!(log.matches("Minion is ready").count(), 1, "{log}");
}

fn lost() -> String {
    format!(
        "[WARNING ] The minion failed to return the job information for job {JID}. This is often \
         due to the master being shut down or overloaded. If the master is running, consider \
         increasing the worker_threads value. The return is lost: "
    )
}

#[tokio::test]
async fn a_return_that_is_never_answered_is_reported_lost_when_its_tries_are_spent() {
    let fleet = Fleet::new(1).await;
    let mut program = Program::start(&fleet, BRIEF, |_| {});
    program.sees(&[READY.to_owned()]).await;
    fleet[0].script(no_returns);
    assert_eq!(fleet[0].publish(Job::ping(JID)).await, 1);
    let returning = format!("[INFO    ] Returning information for job: {JID}");
    program.sees(&[returning, lost()]).await;
    fleet[0].read(|log| {
        assert_eq!(log.faults, 2);
        assert_eq!(
            log.returns(),
            [JID; 2],
            "as often as return_retry_tries says"
        );
    });
    fleet[0].script(|_| Answer::Honest);
    assert_eq!(fleet[0].publish(Job::ping(OTHER)).await, 1);
    fleet[0].until(|log| log.returned(OTHER)).await;
    program.terminate();
    assert_eq!(program.code().await, Some(0));
    fleet[0].read(|log| assert_eq!(log.returns(), [JID, JID, OTHER], "what is lost stays lost"));
}

#[tokio::test]
async fn a_return_whose_master_never_comes_back_is_reported_lost_and_goes_nowhere_else() {
    let mut fleet = Fleet::new(2).await;
    let mut program = Program::start(&fleet, BRIEF, |_| {});
    program.sees(&[READY.to_owned()]).await;
    fleet[0].script(no_returns);
    assert_eq!(fleet[0].publish(Job::ping(JID)).await, 1);
    fleet[0].until(|log| log.faults >= 1).await;
    fleet.kill(0);
    program.sees(&[lost()]).await;
    // It works with the other master, which never asked for that.
    fleet[1].until(|log| log.commands.len() >= 2).await;
    assert_eq!(fleet[1].publish(Job::ping(OTHER)).await, 1);
    fleet[1].until(|log| log.returned(OTHER)).await;
    program.terminate();
    assert_eq!(program.code().await, Some(0));
    fleet[1].read(|log| assert_eq!(log.returns(), [OTHER]));
}
