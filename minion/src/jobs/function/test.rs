//! `test.*` (Salt 3008.5, `salt/modules/test.py`).

use super::{Failure, Job, Step};
use crate::jobs::arguments::Arguments;
use crate::jobs::version;
use crate::wire::msgpack::Value;

#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn ping(_: &Arguments, _: &Job<'_>) -> Result<Step, Failure> {
    Ok(Step::Done(true.into()))
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn echo(arguments: &Arguments, _: &Job<'_>) -> Result<Step, Failure> {
    Ok(Step::Done(arguments.parameter(0).clone()))
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn arg(arguments: &Arguments, _: &Job<'_>) -> Result<Step, Failure> {
    Ok(Step::Done(Value::map([
        ("args", Value::Array(arguments.rest.clone())),
        ("kwargs", Value::Map(arguments.named.clone())),
    ])))
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn version(_: &Arguments, _: &Job<'_>) -> Result<Step, Failure> {
    Ok(Step::Done(version::line().as_str().into()))
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn versions_report(_: &Arguments, job: &Job<'_>) -> Result<Step, Failure> {
    let report = version::report(job.context.grains);
    Ok(Step::Done(report.as_str().into()))
}
