//! `saltutil.*` (Salt 3008.5, `salt/modules/saltutil.py`): by these `salt` finds out whether to go
//! on waiting.

use super::{Failure, Job, Step};
use crate::jobs::arguments::Arguments;
use crate::wire::msgpack::Value;
use crate::wire::publish::Publication;

#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn find_job(arguments: &Arguments, job: &Job<'_>) -> Result<Step, Failure> {
    let jid = arguments.parameter(0).as_text();
    let found = others(job).find(|other| jid == Some(other.jid.as_str()));
    let shown = found.map(|other| shown(other, job.context.pid));
    Ok(Step::Done(shown.unwrap_or(Value::Map(Vec::new()))))
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn running(_: &Arguments, job: &Job<'_>) -> Result<Step, Failure> {
    let shown = others(job).map(|other| shown(other, job.context.pid));
    Ok(Step::Done(Value::Array(shown.collect())))
}

/// A job does not see itself.
fn others<'a>(job: &'a Job<'a>) -> impl Iterator<Item = &'a Publication> {
    let others = job.context.running.iter().copied();
    others.filter(|other| other.jid != job.publication.jid)
}

/// Salt 3008.5, `salt/minion.py`, `_thread_return`: the publication, and the process before it.
fn shown(job: &Publication, pid: u32) -> Value {
    let mut fields = vec![("pid".into(), u64::from(pid).into())];
    if let Value::Map(load) = &job.load {
        fields.extend(load.iter().cloned());
    }
    Value::Map(fields)
}
