//! A PIN that an operator hands over, on its way to the supervisor that presents it.
//!
//! The supervisor takes it only while it has nothing better to do: no PIN, one that was refused, or
//! a token that does not start. It answers when it knows what became of the login. An offer that
//! nobody waits for any more is dropped unseen, so that a PIN is never presented at a moment that
//! nobody chose.

use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};

use super::{HsmStatus, State};

/// A PIN and where the outcome goes.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) pin: SecretString,
    /// Present it even if the token says that a wrong PIN was presented lately.
    pub(super) force: bool,
    pub(super) outcome: oneshot::Sender<(State, String)>,
}

/// The way to one supervisor.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) offers: mpsc::Sender<Offer>,
    /// How long an outcome may take.
    pub(super) patience: Duration,
}

impl Slot {
    /// The slot of one HSM, and the end where its supervisor takes offers.
    pub(super) fn new(hsm: &hsm_config::Hsm) -> (Self, mpsc::Receiver<Offer>) {
        let (offers, taken) = mpsc::channel(ONE);
        // A start that is under way is awaited before this one begins.
        let patience = hsm.pool.start_deadline.saturating_mul(2);
        let slot = Self {
            name: hsm.name.to_string(),
            offers,
            patience: patience.saturating_add(GRACE),
        };
        (slot, taken)
    }

    /// Hands over a PIN and waits for what becomes of it.
    pub(super) async fn offer(
        &self,
        pin: SecretString,
        force: bool,
    ) -> Result<(State, String), UnlockError> {
        let (outcome, known) = oneshot::channel();
        let offer = Offer {
            pin,
            force,
            outcome,
        };
        self.offers.try_send(offer).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => UnlockError::Busy {
                hsm: self.name.clone(),
            },
            mpsc::error::TrySendError::Closed(_) => UnlockError::Stopped,
        })?;
        match tokio::time::timeout(self.patience, known).await {
            Ok(outcome) => outcome.map_err(|_| UnlockError::Stopped),
            Err(_) => Err(UnlockError::Late {
                hsm: self.name.clone(),
            }),
        }
    }
}

/// The slot that is meant.
pub(super) fn choose<'a>(
    slots: &'a [Slot],
    wanted: Option<&str>,
) -> Result<(usize, &'a Slot), UnlockError> {
    let known = || {
        let names: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
        names.join(", ")
    };
    match (wanted, slots) {
        (Some(wanted), _) => slots
            .iter()
            .enumerate()
            .find(|(_, slot)| slot.name == wanted)
            .ok_or_else(|| UnlockError::Unknown {
                wanted: wanted.to_owned(),
                known: known(),
            }),
        (None, [only]) => Ok((0, only)),
        (None, _) => Err(UnlockError::NameOne { known: known() }),
    }
}

/// Why a PIN that was handed over was not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// Another PIN waits for this HSM.
    #[error("another PIN was handed over for the HSM {hsm} and is being tried")]
    Busy {
        /// Its name.
        hsm: String,
    },
    /// No outcome in time.
    #[error(
        "the HSM {hsm} did not answer in time; /readyz tells what it is doing, and the PIN is not \
         presented any more if it was not yet"
    )]
    Late {
        /// Its name.
        hsm: String,
    },
    /// There are several, or none.
    #[error("name one of the HSMs with --hsm: {known}")]
    NameOne {
        /// Their names.
        known: String,
    },
    /// It needs no PIN.
    #[error("the HSM {hsm} signs already; the PIN was not used")]
    Ready {
        /// Its name.
        hsm: String,
    },
    /// The service is shutting down, or the HSM cannot be used until it is started again.
    #[error("the HSM takes no PIN any more until the service is restarted; /readyz says why")]
    Stopped,
    /// No HSM of this name.
    #[error("there is no HSM {wanted:?}; there are: {known}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
}

/// What an answer may be short of.
pub(super) fn refuse_ready(status: Option<&HsmStatus>) -> Result<(), UnlockError> {
    match status {
        Some(status) if status.state == State::Ready => Err(UnlockError::Ready {
            hsm: status.name.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// One PIN at a time: two operators who type at once would cost two tries.
const ONE: usize = 1;
/// For what is around the two starts.
const GRACE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(names: &[&str]) -> (Vec<Slot>, Vec<mpsc::Receiver<Offer>>) {
        names
            .iter()
            .map(|name| {
                let (offers, taken) = mpsc::channel(ONE);
                let name = (*name).to_owned();
                let patience = Duration::from_secs(60);
                (
                    Slot {
                        name,
                        offers,
                        patience,
                    },
                    taken,
                )
            })
            .unzip()
    }

    #[test]
    fn the_only_hsm_needs_no_name() {
        let (one, _) = slots(&["a"]);
        assert_eq!(choose(&one, None).unwrap().0, 0);
        let (two, _) = slots(&["a", "b"]);
        assert!(matches!(
            choose(&two, None),
            Err(UnlockError::NameOne { .. })
        ));
        assert_eq!(choose(&two, Some("b")).unwrap().0, 1);
        assert!(
            choose(&two, Some("c"))
                .unwrap_err()
                .to_string()
                .contains("a, b")
        );
    }

    #[tokio::test]
    async fn a_second_pin_does_not_queue_behind_the_first() {
        let (slots, mut taken) = slots(&["a"]);
        let slot = &slots[0];
        let pin = || SecretString::from("1234");
        let supervisor = async {
            let second = slot.offer(pin(), false).await;
            assert!(
                matches!(second, Err(UnlockError::Busy { .. })),
                "{second:?}"
            );
            let offer = taken[0].recv().await.unwrap();
            offer.outcome.send((State::Ready, String::new())).unwrap();
        };
        // The first offer is made before the supervisor looks.
        let (first, ()) = tokio::join!(slot.offer(pin(), false), supervisor);
        assert_eq!(first.unwrap().0, State::Ready);
    }

    #[tokio::test]
    async fn an_offer_that_came_too_late_is_known_to_be_dead() {
        let (mut slots, mut taken) = slots(&["a"]);
        slots[0].patience = Duration::from_millis(1);
        let late = slots[0].offer(SecretString::from("1234"), false).await;
        assert!(matches!(late, Err(UnlockError::Late { .. })));
        assert!(taken[0].recv().await.unwrap().outcome.is_closed());
    }
}
