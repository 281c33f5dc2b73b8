//! What running a job gives.

use crate::wire::msgpack::Value;
use crate::wire::publish::{Function, Publication};
use crate::wire::request::Return;

/// What running a job gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The job needs to know whether a master answers a clear `ping`. Send one, put the outcome
    /// into [`Context::pings`](super::Context::pings) and run the job again.
    Ping {
        /// The master as the job names it: a host, and perhaps a port.
        master: String,
    },
    /// The job is done.
    Reply(Reply),
    /// The job needs the addresses of a host. Look it up, put them (none if there are none) into
    /// [`Context::addresses`](super::Context::addresses) and run the job again.
    Resolve {
        /// The host as the job names it.
        host: String,
    },
}

/// The result of a job that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What it returned; a map by function if there are several.
    pub value: Value,
    /// 0, or what Salt's shell shows instead; a map by function if there are several.
    pub retcode: Value,
    /// Whether it did what it was asked for; a map by function if there are several.
    pub success: Value,
    /// The outputter that shows it, if it is not the master's choice.
    pub out: Option<&'static str>,
}

impl Reply {
    /// A result that is what was asked for.
    #[must_use]
    pub fn ok(value: Value) -> Self {
        Self {
            value,
            retcode: Value::Unsigned(0),
            success: Value::Bool(true),
            out: None,
        }
    }

    /// A result that is an error; its code is `EX_GENERIC` (Salt 3008.5,
    /// `salt/defaults/exitcodes.py`).
    #[must_use]
    pub fn failed(value: impl Into<Value>) -> Self {
        Self {
            value: value.into(),
            retcode: Value::Unsigned(1),
            success: Value::Bool(false),
            out: Some("nested"),
        }
    }

    /// The message that brings the result to the master; `stamp` is the time as
    /// [`Return::stamp`] says.
    #[must_use]
    pub fn into_return(self, job: &Publication, stamp: String) -> Return {
        let (fun, fun_args) = match &job.function {
            Function::One(call) => (call.name.as_str().into(), call.arguments.clone()),
            Function::Several(calls) => (
                Value::Array(calls.iter().map(|call| call.name.as_str().into()).collect()),
                calls
                    .iter()
                    .map(|call| Value::Array(call.arguments.clone()))
                    .collect(),
            ),
        };
        Return {
            jid: job.jid.clone(),
            fun,
            fun_args,
            value: self.value,
            retcode: self.retcode,
            success: self.success,
            out: self.out.map(str::to_owned),
            user: (!job.user.is_empty()).then(|| job.user.clone()),
            metadata: job.metadata(),
            stamp,
        }
    }
}
