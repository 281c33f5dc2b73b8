//! What systemd is told: that the service serves, that it still does, and that it stops.
//!
//! The watchdog is fed from the executor and only while every HSM that calls itself ready has made
//! a trial signature lately. That passes through the supervisor, the socket, the worker process and
//! the token, so none of them can stand still unnoticed. An HSM that is down on its own account is
//! no reason to restart: what is stored is served without it.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::api::health::OLDEST_PROBE;
use crate::hsm::{HsmStatus, Pool, State};

/// Says that the service serves, and feeds the watchdog until it is stopped.
pub(super) async fn report(pool: Pool, stop: CancellationToken) {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    let Some(deadline) = sd_notify::watchdog_enabled() else {
        return;
    };
    // sd_watchdog_enabled(3) asks for half of it; a third forgives one that is late.
    let interval = deadline.checked_div(3).unwrap_or(deadline).max(SHORTEST);
    feed(|| pool.status(), tell, interval, stop).await;
}

/// Tells the watchdog at each interval that the HSMs answer, and nothing while one does not.
async fn feed(
    status: impl Fn() -> Vec<HsmStatus>,
    tell: impl Fn(&[NotifyState<'_>]),
    interval: Duration,
    stop: CancellationToken,
) {
    let pause = || stop.run_until_cancelled(tokio::time::sleep(interval));
    while pause().await.is_some() {
        match status().iter().find(|hsm| !is_alive(hsm)) {
            None => tell(&[NotifyState::Watchdog]),
            Some(stuck) => {
                tracing::error!(hsm = %stuck.name, "no trial signature; the watchdog is not fed");
            }
        }
    }
}

/// Says that the service stops.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell, and that is no error.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot tell systemd about the service");
    }
}

fn is_alive(hsm: &HsmStatus) -> bool {
    hsm.state != State::Ready || hsm.last_probe.is_some_and(|age| age <= OLDEST_PROBE)
}

const SHORTEST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn hsm(state: State, last_probe: Option<u64>) -> HsmStatus {
        HsmStatus {
            name: "rack-1".to_owned(),
            state,
            detail: String::new(),
            token_serial: None,
            token_label: None,
            last_probe: last_probe.map(Duration::from_secs),
            retry_in: None,
            process: None,
            starts: 1,
            sessions: 1,
            in_flight: 0,
            queued: 0,
        }
    }

    #[test]
    fn a_ready_hsm_without_trial_signatures_is_stuck_and_one_that_is_down_is_not() {
        assert!(is_alive(&hsm(State::Ready, Some(16))));
        assert!(!is_alive(&hsm(State::Ready, Some(46))));
        assert!(!is_alive(&hsm(State::Ready, None)));
        for state in [
            State::Backoff,
            State::Locked,
            State::PinLatched,
            State::Quarantined,
        ] {
            assert!(is_alive(&hsm(state, None)), "{state:?}");
        }
    }

    #[tokio::test]
    async fn the_watchdog_starves_while_a_worker_does_not_answer_and_is_fed_again_afterwards() {
        let alive = hsm(State::Ready, Some(1));
        let stuck = hsm(State::Ready, Some(46));
        let away = hsm(State::Backoff, None);
        // What the HSMs look like, and whether systemd hears of it.
        let script = [
            (vec![alive.clone()], true),
            (vec![stuck.clone()], false),
            (vec![alive.clone(), stuck.clone()], false),
            (vec![stuck], false),
            (vec![alive], true),
            (vec![away], true),
            (vec![], true),
        ];
        let stop = CancellationToken::new();
        let looks = RefCell::new(script.iter());
        let heard = RefCell::new(Vec::new());
        let status = || {
            let mut looks = looks.borrow_mut();
            let (now, _) = looks.next().unwrap();
            if looks.len() == 0 {
                stop.cancel();
            }
            heard.borrow_mut().push(None);
            now.clone()
        };
        let tell = |state: &[NotifyState<'_>]| {
            let text: String = state.iter().map(ToString::to_string).collect();
            *heard.borrow_mut().last_mut().unwrap() = Some(text);
        };
        feed(status, tell, Duration::from_millis(1), stop.clone()).await;
        let expected = script.map(|(_, is_fed)| is_fed.then(|| "WATCHDOG=1".to_owned()));
        assert_eq!(heard.into_inner(), expected);
    }
}
