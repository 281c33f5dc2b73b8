//! `status.*` (Salt 3008.5, `salt/modules/status.py`).
//!
//! Both only answer. In Salt they also steer: an answer that was not expected makes the minion
//! leave its master. Here the agent decides that by its own probes.

use std::net::IpAddr;

use super::{Failure, Job, Step};
use crate::jobs::arguments::Arguments;
use crate::wire::msgpack::Value;

/// Salt looks for any TCP connection of this host to the master; we know whether ours is up.
#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn master(arguments: &Arguments, job: &Job<'_>) -> Result<Step, Failure> {
    let Some(wanted) = arguments
        .parameter(0)
        .as_text()
        .filter(|name| !name.is_empty())
    else {
        return Ok(Step::Done(Value::Nil));
    };
    let answer = |is_ours: bool| {
        let connected = job.context.master.is_some_and(|master| master.connected);
        Step::Done((is_ours && connected).into())
    };
    let ours = job.context.master;
    if ours.is_some_and(|master| master.name == wanted) {
        return Ok(answer(true));
    }
    let is_ours = |address: &IpAddr| ours.is_some_and(|master| master.address == *address);
    if let Ok(address) = wanted.parse::<IpAddr>() {
        return Ok(answer(is_ours(&address)));
    }
    Ok(match job.context.addresses.get(wanted) {
        None => Step::Resolve(wanted.to_owned()),
        // Salt 3008.5: nothing is returned for a name that has no address.
        Some(addresses) if addresses.is_empty() => Step::Done(Value::Nil),
        Some(addresses) => answer(addresses.iter().any(is_ours)),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn ping_master(arguments: &Arguments, job: &Job<'_>) -> Result<Step, Failure> {
    let Some(wanted) = arguments
        .parameter(0)
        .as_text()
        .filter(|name| !name.is_empty())
    else {
        return Ok(Step::Done(false.into()));
    };
    Ok(match job.context.pings.get(wanted) {
        None => Step::Ping(wanted.to_owned()),
        Some(answered) => Step::Done((*answered).into()),
    })
}
