//! Which key a decision is about.

use minion::verify::{KeyHash, PublicKey};

use crate::authorize::Verb;
use crate::client::{self, KeyStatus, Master, MasterKey};
use crate::commands::masters::fingerprint::Given;
use crate::commands::masters::listing;
use crate::commands::masters::usage::Usage;
use crate::terminal;

/// What a decision is about.
pub(super) enum Chosen {
    Key(KeyHash),
    /// It is so already.
    Settled,
    /// The master with all its keys.
    Whole,
}

/// The key that a fingerprint names.
///
/// One that two keys can share names none, so that nobody takes a match for a proof.
pub(super) fn named<'m>(master: &'m Master, text: &str) -> Result<&'m MasterKey, Usage> {
    let given = Given::parse(text).map_err(Usage::Fingerprint)?;
    let named = master.keys.iter().find_map(|key| {
        let form = match &key.public_key {
            Some(pem) => {
                let public = PublicKey::parse(pem.as_bytes()).ok()?;
                // A key that is not the one it is called is nobody's choice.
                (public.hash() == key.sha256).then_some(())?;
                given.matches(&public)?
            }
            // Nothing was shown yet that another fingerprint could be of.
            None => given.is_name_of(key.sha256)?,
        };
        Some((key, form))
    });
    let shown = || listing::show(master).unwrap_or_else(|error| error.to_string());
    match named {
        Some((key, name)) if name.digest.is_weak() => Err(Usage::Weak {
            id: master.id.clone(),
            key: key.sha256,
            name,
            shown: shown(),
        }),
        Some((key, form)) => {
            // Nobody is left to tell if standard error is closed.
            let _ = terminal::note(format_args!("{form} names key {}", key.sha256));
            Ok(key)
        }
        None => Err(Usage::NoSuchKey {
            id: master.id.clone(),
            shown: shown(),
        }),
    }
}

/// The only key that the verb can be meant for.
pub(super) fn the_only_one(verb: Verb, master: &Master) -> Result<&MasterKey, Usage> {
    let (what, candidates): (_, &[KeyStatus]) = match verb {
        Verb::Forget => (
            "wait or were rejected",
            &[KeyStatus::Pending, KeyStatus::Rejected],
        ),
        Verb::Rename => (
            "can move",
            &[
                KeyStatus::Accepted,
                KeyStatus::Denied,
                KeyStatus::Pending,
                KeyStatus::Rejected,
            ],
        ),
        Verb::Accept | Verb::Reinstate | Verb::Reject | Verb::Revoke => {
            ("wait for a decision", &[KeyStatus::Pending])
        }
    };
    let keys = master.keys.iter();
    let found: Vec<&MasterKey> = keys
        .filter(|key| candidates.contains(&key.status))
        .collect();
    match found.as_slice() {
        [one] => Ok(one),
        several => Err(Usage::NotOne {
            id: master.id.clone(),
            count: several.len(),
            what,
            shown: listing::show(master).unwrap_or_else(|error| error.to_string()),
        }),
    }
}

/// A key that the service need not know: by its name, or as the file that the master has.
pub(super) fn new_key(given: &str) -> Result<KeyHash, Usage> {
    let digits = given.trim().to_ascii_lowercase();
    if let Ok(hash) = digits.parse() {
        return Ok(hash);
    }
    let refuse = |why: String| Usage::NewKey {
        file: client::printable(given),
        why,
    };
    let text = std::fs::read_to_string(given).map_err(|error| refuse(error.to_string()))?;
    let key = PublicKey::decode(&text).map_err(|error| refuse(error.to_string()))?;
    Ok(key.hash())
}
