//! What tells a master that the minion is here: the start events, its grains, and from time to time
//! that it lives.
//!
//! It lasts as long as the minion is subscribed to the master, over every renewal of the session:
//! what was not taken under the old keys is told again under the new ones.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::channel::{CallError, Channel};
use super::clock::{after, ascii_time};
use super::notice::Notice;
use super::random::seed;
use super::setup::Setup;
use super::speak::{Line, chain};
use crate::failover::{Level, Random};
use crate::wire::msgpack::Value;
use crate::wire::request::Command;

/// The task, which ends with this.
#[derive(Debug)]
pub(super) struct Greeting {
    channels: watch::Sender<Arc<Channel>>,
    _task: AbortOnDropHandle<()>,
}

impl Greeting {
    pub(super) fn begin(
        setup: &Arc<Setup>,
        channel: &Arc<Channel>,
        grains: Arc<Value>,
        notices: mpsc::Sender<Notice>,
    ) -> Self {
        let (channels, current) = watch::channel(Arc::clone(channel));
        let greeter = Greeter {
            setup: Arc::clone(setup),
            channels: current,
            grains,
            notices,
        };
        Self {
            channels,
            _task: AbortOnDropHandle::new(tokio::spawn(greeter.run())),
        }
    }

    /// The session was renewed.
    pub(super) fn go_on_with(&self, channel: &Arc<Channel>) {
        self.channels.send_replace(Arc::clone(channel));
    }
}

struct Greeter {
    setup: Arc<Setup>,
    /// The session's channel, another one after each renewal.
    channels: watch::Receiver<Arc<Channel>>,
    grains: Arc<Value>,
    notices: mpsc::Sender<Notice>,
}

impl Greeter {
    async fn run(self) {
        // A session that has said it all keeps no room for it.
        Box::pin(self.start()).await;
        let grains = async {
            if self.setup.tell_grains {
                Box::pin(self.tell_grains()).await;
            }
        };
        tokio::join!(grains, self.live());
    }

    /// Salt 3008.5, `salt/minion.py`, `Minion._fire_master_minion_start`.
    async fn start(&self) {
        let id = self.setup.identity.id();
        let legacy = self.setup.legacy_start_event;
        let tags = [
            legacy.then(|| "minion_start".to_owned()),
            Some(format!("salt/minion/{id}/start")),
        ];
        let data = format!("Minion {id} started at {}", ascii_time());
        let mut ready = Some(Line::new(
            Level::Info,
            "Minion is ready to receive requests!",
        ));
        for tag in tags.iter().flatten() {
            // It is, also if the master does not listen to it.
            let failed = || ready.take().iter().for_each(Line::say);
            self.fire(tag, &data, failed).await;
        }
        ready.iter().for_each(Line::say);
    }

    /// Tells that the minion lives, whatever becomes of the grains meanwhile.
    async fn live(&self) {
        let Some(every) = self.setup.ping_interval.filter(|every| !every.is_zero()) else {
            return;
        };
        let mut ticks = interval_at(after(every), every);
        // What is told late is not told in a row.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // The agent that nobody drives any more has ended.
        while !self.notices.is_closed() {
            ticks.tick().await;
            // Salt 3008.5, salt/minion.py, Minion.tune_in, ping_master.
            self.fire("minion_ping", "ping", || ()).await;
        }
    }

    /// Tells an event, as often as a return is tried; `failed` is called after each try without
    /// success.
    ///
    /// Salt 3006.30 to 3008.5, `salt/minion.py`, `_send_req_async_main`, and
    /// `salt/channel/client.py`, `AsyncReqChannel.send`. A try there waits for the master to come
    /// back; one that fails early waits here as a return does.
    async fn fire(&self, tag: &str, data: &str, mut failed: impl FnMut()) {
        let seed = match seed() {
            Ok(seed) => seed,
            Err(error) => {
                let text = format!("The event {tag} is not sent: {}", chain(&error));
                return Line::new(Level::Warning, text).say();
            }
        };
        let mut random = Random::new(seed);
        let event = Command::Event {
            tag: tag.to_owned(),
            data: Value::from(data),
        };
        let within = self.setup.returns.request_timeout;
        let mut left = self.setup.returns.retry_tries;
        loop {
            left = left.saturating_sub(1);
            let end = after(self.setup.patience(&mut random));
            let channel = self.channel();
            let Err(error) = channel.call(&event, within).await else {
                return;
            };
            failed();
            let why = chain(&error);
            if !self.may_try_again(&channel, &error, left).await {
                tracing::warn!(
                    target: "minion::agent",
                    "the event {tag} did not reach the master: {why}"
                );
                return;
            }
            tracing::debug!(
                target: "minion::agent",
                "the event {tag} did not reach the master and is told again: {why}"
            );
            self.renewed(&channel, &error, end).await;
        }
    }

    /// Salt 3008.5, `salt/channel/client.py`, `_send_with_retry`. A try there ends by its timeout
    /// alone, for ZeroMQ connects anew meanwhile; so one that fails earlier waits here for that, and
    /// nobody besets a master that closes its connections.
    async fn tell_grains(&self) {
        let command = Command::Pillar {
            grains: Value::clone(&self.grains),
        };
        let within = self.setup.returns.request_timeout;
        let mut left = self.setup.returns.request_tries;
        loop {
            left = left.saturating_sub(1);
            let end = after(within);
            let channel = self.channel();
            let Err(error) = channel.tell(&command, within).await else {
                return;
            };
            let why = chain(&error);
            if !self.may_try_again(&channel, &error, left).await {
                tracing::warn!(
                    target: "minion::agent",
                    "the grains did not reach the master, so salt -G may not find this minion: \
                     {why}"
                );
                return;
            }
            tracing::debug!(
                target: "minion::agent",
                "the grains did not reach the master and are told again: {why}"
            );
            self.renewed(&channel, &error, end).await;
        }
    }

    fn channel(&self) -> Arc<Channel> {
        Arc::clone(&self.channels.borrow())
    }

    /// Whether a failure leaves anything to do; has the session renewed if its keys are to blame.
    async fn may_try_again(&self, channel: &Channel, error: &CallError, left: u32) -> bool {
        if error.is_stale() {
            let attempt = channel.attempt;
            let _ = self.notices.send(Notice::KeysRefused { attempt }).await;
        }
        left > 0 && (error.is_stale() || error.is_transient())
    }

    /// Waits for the end of a try, or until the session was renewed.
    async fn renewed(&self, old: &Channel, error: &CallError, end: Instant) {
        // New keys take as long as the fleet's spread.
        let spread = self.setup.failover.random_reauth_delay;
        let end = match error.is_stale() {
            true => end.max(after(
                spread.saturating_add(self.setup.failover.auth_timeout),
            )),
            false => end,
        };
        let mut channels = self.channels.clone();
        let renewed = async {
            let newer = channels.wait_for(|current| current.attempt != old.attempt);
            if newer.await.is_err() {
                // The session has ended, and this task is about to.
                pending::<()>().await;
            }
        };
        let _ = timeout_at(end, renewed).await;
    }
}
