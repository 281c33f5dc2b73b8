//! What a minion asks of its master.
//!
//! There are three commands, since a minion without mine and file server needs no fourth; the
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
    /// Asks for the minion's pillar. It is the one way by which a master learns a minion's grains,
    /// and by them finds whom `salt -G` means.
    Pillar {
        /// What the minion is.
        grains: Value,
    },
    /// Returns what a job gave.
    Return(Box<Return>),
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
    /// 0, or what Salt's shell shows instead; a map by function if there are several.
    pub retcode: Value,
    /// Whether it did what it was asked for; a map by function if there are several.
    pub success: Value,
    /// The outputter that shows it, if it is not the master's choice.
    pub out: Option<String>,
    /// Who asked for the job, as its publication says.
    pub user: Option<String>,
    /// What the publication wants to have back with the return.
    pub metadata: Option<Value>,
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
            // Salt 3008.5, salt/pillar/__init__.py, AsyncRemotePillar.compile_pillar.
            Self::Pillar { grains } => vec![
                ("id", id.as_str().into()),
                ("grains", grains.clone()),
                ("saltenv", Value::Nil),
                ("pillarenv", Value::Nil),
                ("pillar_override", Value::Map(Vec::new())),
                ("extra_minion_data", Value::Map(Vec::new())),
                ("ver", "2".into()),
                ("cmd", "_pillar".into()),
            ],
            Self::Return(job) => job.fields(id),
        }
    }
}

impl Return {
    /// Salt 3008.5, `salt/minion.py`, `Minion._prepare_return_pub`.
    fn fields(&self, id: &MinionId) -> Vec<(&'static str, Value)> {
        let mut fields = vec![
            ("cmd", "_return".into()),
            ("id", id.as_str().into()),
            ("jid", self.jid.as_str().into()),
            ("fun", self.fun.clone()),
            ("fun_args", Value::Array(self.fun_args.clone())),
            ("return", self.value.clone()),
            ("retcode", self.retcode.clone()),
            ("success", self.success.clone()),
        ];
        let text = |text: &String| Value::from(text.as_str());
        fields.extend(self.user.as_ref().map(|user| ("user", text(user))));
        fields.extend(self.metadata.clone().map(|metadata| ("metadata", metadata)));
        fields.extend(self.out.as_ref().map(|out| ("out", text(out))));
        fields.push(("_stamp", self.stamp.as_str().into()));
        fields
    }
}
