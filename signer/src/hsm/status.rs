//! What an operator sees of each HSM.
//!
//! The states are the answers to "what do I have to do": nothing, wait, give a PIN, look at the
//! device.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

/// The state of one HSM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The last start failed or workers were lost repeatedly; the next start comes by itself.
    Backoff,
    /// The token or its key is not what the configuration asks for; it stays so until the service
    /// is restarted.
    Failed,
    /// No PIN source is configured, and `mastersign hsm unlock` has not handed one over yet.
    Locked,
    /// The token says that a wrong PIN was presented lately; it is not risked without an operator's
    /// word.
    PinCountLow,
    /// The token refused this PIN, or did not answer a login with it twice; another one at its
    /// source is tried.
    PinLatched,
    /// A signature did not verify.
    Quarantined,
    /// Signs.
    Ready,
    /// A worker is being started.
    Starting,
    /// The service is shutting down.
    Stopped,
}

/// One HSM at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HsmStatus {
    /// Its name in the configuration.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Why, for a person; never a secret.
    pub detail: String,
    /// The token's serial number, once it was seen.
    pub token_serial: Option<String>,
    /// The token's label, once it was seen.
    pub token_label: Option<String>,
    /// How long ago the token made its last trial signature.
    #[serde(rename = "last_probe_seconds", serialize_with = "seconds")]
    pub last_probe: Option<Duration>,
    /// When the next start comes, in state [`State::Backoff`].
    #[serde(rename = "retry_in_seconds", serialize_with = "seconds")]
    pub retry_in: Option<Duration>,
    /// The worker's process id.
    pub process: Option<u32>,
    /// How many worker processes were started.
    pub starts: u64,
    /// How many sessions sign at the same time.
    pub sessions: usize,
    /// How many calls the worker holds.
    pub in_flight: usize,
    /// How many calls wait for any HSM.
    pub queued: usize,
}

impl HsmStatus {
    /// The status of an HSM of which nothing is known yet.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: State::Starting,
            detail: String::new(),
            token_serial: None,
            token_label: None,
            last_probe: None,
            retry_in: None,
            process: None,
            starts: 0,
            sessions: 0,
            in_flight: 0,
            queued: 0,
        }
    }
}

#[expect(
    clippy::ref_option,
    reason = "serde hands over a reference to the field"
)]
fn seconds<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    value
        .map(|duration| duration.as_secs())
        .serialize(serializer)
}
