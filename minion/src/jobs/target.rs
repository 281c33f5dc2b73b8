//! Whether a job is meant for this minion.
//!
//! Each kind is Salt's matcher of that name (Salt 3008.5, `salt/matchers/*_match.py`, the same code
//! in 3006.30 and 3007.17), with a bound on what it may cost. A target that cannot be judged means
//! "not you": the master shows such a minion as one that did not return, which is true.

mod grain;
mod pcre;

use tracing::{error, warn};

use crate::fnmatch;
use crate::wire::id::MinionId;
use crate::wire::msgpack::Value;
use crate::wire::publish::Target;

/// Whether a minion of this id and these grains is meant. A target that cannot be judged is logged.
#[must_use]
pub fn matches(target: &Target, id: &MinionId, grains: &Value) -> bool {
    match target {
        Target::Glob(pattern) => fnmatch::matches(pattern, id.as_str()),
        Target::List(ids) => ids.iter().any(|entry| entry == id.as_str()),
        Target::Pcre(pattern) => pcre::matches(pattern, id.as_str()).unwrap_or_else(|why| {
            warn!("The job's target {pattern:?} is not compared with this minion's id: {why}");
            false
        }),
        Target::Grain {
            expression,
            delimiter,
        } => grain::matches(grains, expression, delimiter).unwrap_or_else(|why| {
            match why {
                grain::Unmatched::NoDelimiter => {
                    error!("Got insufficient arguments for grains match statement from master");
                }
                grain::Unmatched::TooCostly => {
                    warn!(
                        "The job's target is too long or too deep to be compared with the grains"
                    );
                }
            }
            false
        }),
        Target::Other(_) => false,
    }
}
