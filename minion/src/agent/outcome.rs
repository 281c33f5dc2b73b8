//! What became of an attempt to sign in: for the machine, for the log and for the status.
//!
//! The lines are Salt's and the tutorial's, word for word, because operators grep for them; Salt
//! 3008.5, `salt/crypt.py`, and for "Loaded minion key" and "Verifying signature" the tutorial.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::random::NoRandomness;
use super::speak::{Line, chain};
use crate::failover::{Evidence, Failure, Level, Outcome};
use crate::net;
use crate::wire::auth::{BeginError, Proof, Refusal};
use crate::wire::envelope::Hint;

/// Why an attempt did not end with a session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("no request could be made")]
    Begin(#[from] BeginError),
    #[error("there was no answer within {0:?}")]
    NoAnswer(Duration),
    #[error("the name has no address")]
    NoAddress,
    #[error(transparent)]
    Random(#[from] NoRandomness),
    #[error("the master could not be reached")]
    Reach(#[from] net::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the name could not be resolved")]
    Resolve(#[source] io::Error),
    #[error("{what} could not be read")]
    Store {
        what: &'static str,
        #[source]
        source: io::Error,
    },
}

impl Failed {
    /// What the machine is told.
    pub(super) const fn outcome(&self) -> Outcome {
        Outcome::Failed(match self {
            Self::Begin(_)
            | Self::Random(_)
            | Self::Reach(net::Error::Protocol(_))
            | Self::Store { .. } => Failure::Broken,
            Self::NoAddress | Self::Resolve(_) => Failure::Unresolved,
            Self::NoAnswer(_) | Self::Reach(net::Error::Late { .. } | net::Error::Silent(_)) => {
                Failure::NoAnswer
            }
            Self::Reach(
                net::Error::Closed | net::Error::Connect { .. } | net::Error::Transfer { .. },
            ) => Failure::Unreachable,
            Self::Refused(refusal) => match of_refusal(refusal) {
                Outcome::Failed(failure) => failure,
                other => return other,
            },
        })
    }

    /// What the log says about it; `master` is the name as configured.
    pub(super) fn lines(&self, master: &str) -> Vec<Line> {
        let line = Line::new;
        match self {
            Self::NoAddress | Self::Resolve(_) => vec![line(
                Level::Error,
                format!("DNS lookup or connection check of '{master}' failed."),
            )],
            Self::Reach(_) | Self::NoAnswer(_) => vec![line(
                Level::Info,
                format!(
                    "The Salt Master at {master} could not be used: {}",
                    chain(self)
                ),
            )],
            Self::Begin(_) | Self::Random(_) | Self::Store { .. } => vec![line(
                Level::Error,
                format!("Sign-in attempt failed: {}", chain(self)),
            )],
            Self::Refused(refusal) => of_refused(refusal, master),
        }
    }
}

const fn of_refusal(refusal: &Refusal) -> Outcome {
    Outcome::Failed(match refusal {
        Refusal::Pending(_) => return Outcome::Pending,
        // The key is no key of a master that this fleet trusts, by whichever rule.
        Refusal::MasterKey(_)
        | Refusal::Revoked
        | Refusal::SignatureDamaged
        | Refusal::SignatureRejected
        | Refusal::Weak { .. } => Failure::BadSignature,
        Refusal::SignatureMissing => Failure::MissingSignature,
        Refusal::Finger { .. } => Failure::FingerprintMismatch,
        Refusal::Full(_) => Failure::Full,
        Refusal::Rejected(Proof::Signed) => Failure::Rejected(Evidence::Verified),
        Refusal::Rejected(Proof::Unverified) => Failure::Rejected(Evidence::Hint),
        Refusal::Hint(Hint::BadEncryption | Hint::BadSigning) => Failure::UnsupportedAlgorithm,
        Refusal::Envelope(_)
        | Refusal::Hint(Hint::BadLoad | Hint::Text(_) | Hint::Unknown)
        | Refusal::KeyExchange
        | Refusal::Nonce
        | Refusal::PayloadSignature => Failure::Broken,
    })
}

fn of_refused(refusal: &Refusal, master: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut say = |level, text: String| lines.push(Line::new(level, text));
    match refusal {
        // The machine has its own lines for these two.
        Refusal::Pending(_) | Refusal::Rejected(_) => {
            say(
                Level::Debug,
                format!("The Salt Master at {master}: {refusal}"),
            );
        }
        Refusal::SignatureRejected => {
            loading(&mut say);
            say(
                Level::Debug,
                "Failed to verify signature of public key".to_owned(),
            );
            say(
                Level::Error,
                format!(
                    "Received signed public-key from master {master} but signature verification \
                     failed!"
                ),
            );
            say(Level::Critical, NOT_AUTHENTICATED.to_owned());
        }
        Refusal::SignatureDamaged | Refusal::SignatureMissing => {
            say(Level::Error, refusal.to_string());
            say(Level::Critical, NOT_AUTHENTICATED.to_owned());
        }
        Refusal::Weak { .. } | Refusal::Revoked | Refusal::MasterKey(_) => {
            say(Level::Error, format!("{} ({master})", chain(refusal)));
            say(Level::Critical, NOT_AUTHENTICATED.to_owned());
        }
        Refusal::KeyExchange => say(Level::Critical, NOT_AUTHENTICATED.to_owned()),
        Refusal::Finger { .. } | Refusal::PayloadSignature => {
            say(Level::Critical, refusal.to_string());
        }
        Refusal::Nonce => say(
            Level::Critical,
            "The payload nonce did not validate.".to_owned(),
        ),
        Refusal::Full(_) => say(Level::Warning, format!("{refusal}: {master}")),
        Refusal::Hint(hint) => say(Level::Error, hint.to_string()),
        Refusal::Envelope(_) => say(Level::Error, chain(refusal)),
    }
    lines
}

/// What is written before a handshake's answer is there, and when the key is used for it.
pub(super) fn begun(key: &Path) -> Line {
    Line::new(
        Level::Debug,
        format!("Loaded minion key: {}", key.display()),
    )
}

/// What is written about a handshake that proved the master's key by the signing key in this file.
pub(super) fn verified(master: &str, signer: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut say = |level, text: String| lines.push(Line::new(level, text));
    loading(&mut say);
    say(
        Level::Debug,
        format!(
            "Successfully verified signature of master public key with verification public key \
             {signer}"
        ),
    );
    say(
        Level::Info,
        format!("Received signed and verified master pubkey from master {master}"),
    );
    say(
        Level::Debug,
        "Decrypting the current master AES key".to_owned(),
    );
    lines
}

fn loading(say: &mut impl FnMut(Level, String)) {
    for step in ["Loading public key", "Verifying signature"] {
        say(Level::Debug, format!("salt.crypt.verify_signature: {step}"));
    }
}

const NOT_AUTHENTICATED: &str = "The Salt Master server's public key did not authenticate!";
