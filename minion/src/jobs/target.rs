//! Whether a job is meant for this minion.

use crate::wire::id::MinionId;
use crate::wire::msgpack::Value;
use crate::wire::publish::Target;

/// Whether a minion of this id and these grains is meant.
#[must_use]
pub fn matches(target: &Target, id: &MinionId, grains: &Value) -> bool {
    let _ = grains;
    match target {
        Target::Glob(pattern) => pattern == "*" || pattern == id.as_str(),
        Target::List(ids) => ids.iter().any(|entry| entry == id.as_str()),
        Target::Grain { .. } | Target::Other(_) | Target::Pcre(_) => false,
    }
}
