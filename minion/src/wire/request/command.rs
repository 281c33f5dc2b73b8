//! What a minion asks of its master.
//!
//! There are two commands, since a minion without pillar, mine and file server needs no third; the
//! fields are in the order in which a stock minion sends them.

use super::super::id::MinionId;
use super::super::msgpack::Value;
use crate::wire::publish::Jid;

/// A request's own fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Puts an event on the master's bus, such as `salt/minion/<id>/start`.
    Event {
        /// The event's name.
        tag: String,
        /// What it says.
        data: Value,
    },
    /// Returns what a job gave.
    Return(Return),
}

/// The result of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Return {
    /// The job.
    pub jid: Jid,
    /// The function as the job named it.
    pub fun: Value,
    /// Its arguments.
    pub fun_args: Vec<Value>,
    /// What it returned.
    pub value: Value,
    /// 0, or what Salt's shell shows instead.
    pub retcode: u64,
    /// Whether it did what it was asked for.
    pub success: bool,
    /// The time as Salt writes it: `2026-11-22T01:25:06.996258+00:00`.
    pub stamp: String,
}

impl Command {
    pub(super) fn fields(&self, id: &MinionId) -> Vec<(&'static str, Value)> {
        match self {
            // Salt 3008.5, salt/minion.py, Minion._fire_master.
            Self::Event { tag, data } => vec![
                ("cmd", "_minion_event".into()),
                ("pretag", Value::Nil),
                ("data", data.clone()),
                ("tag", tag.as_str().into()),
            ],
            // Salt 3008.5, salt/minion.py, Minion._prepare_return_pub.
            Self::Return(job) => vec![
                ("cmd", "_return".into()),
                ("id", id.as_str().into()),
                ("jid", job.jid.as_str().into()),
                ("fun", job.fun.clone()),
                ("fun_args", Value::Array(job.fun_args.clone())),
                ("return", job.value.clone()),
                ("retcode", job.retcode.into()),
                ("success", job.success.into()),
                ("_stamp", job.stamp.as_str().into()),
            ],
        }
    }
}
