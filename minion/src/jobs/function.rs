//! The functions: each with the signature that its namesake in Salt has, so that what is refused
//! there is refused here with the same words.

mod grains;
mod key;
mod saltutil;
mod status;
mod sys;
mod test;

use super::Context;
use super::arguments::{Arguments, Default, Misfit, Parameter, Signature};
use crate::wire::msgpack::Value;
use crate::wire::publish::Publication;

/// A function that a master can ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    /// Module and function, as in `test.ping`.
    pub(super) name: &'static str,
    /// What it does, for whoever called it wrongly.
    pub(super) doc: &'static str,
    pub(super) signature: Signature,
    body: fn(&Arguments, &Job<'_>) -> Result<Step, Failure>,
}

/// What a function's body has before it.
pub(super) struct Job<'a> {
    pub(super) publication: &'a Publication,
    pub(super) context: &'a Context<'a>,
}

/// How far a function got.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// It is done.
    Done(Value),
    /// It waits for the answer to a ping.
    Ping(String),
    /// It waits for the addresses of a host.
    Resolve(String),
}

/// What the function would have raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// An exception that Salt does not expect, as the last line of its trace.
    Exception(String),
    /// `SaltInvocationError`.
    Invocation(String),
    /// `TypeError`.
    Type(String),
}

impl Function {
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// All of them, in the order of their names.
    pub(super) const fn all() -> &'static [Self] {
        FUNCTIONS
    }

    pub(super) fn call(&self, given: &[Value], job: &Job<'_>) -> Result<Step, Failure> {
        let arguments = Arguments::fit(&self.signature, given, &job.publication.load)?;
        (self.body)(&arguments, job)
    }
}

impl From<Misfit> for Failure {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::Invocation(text) => Self::Invocation(text),
            Misfit::Type(text) => Self::Type(text),
        }
    }
}

/// Sorted by name: `sys.list_functions` shows them so.
const FUNCTIONS: &[Function] = &[
    Function {
        name: "grains.get",
        doc: "Returns the grain of that name; a colon leads into nested ones.",
        signature: takes(
            "get",
            &[
                needed("key"),
                optional("default", Default::Text("")),
                optional("delimiter", Default::Text(":")),
                optional("ordered", Default::Bool(true)),
            ],
        ),
        body: grains::get,
    },
    Function {
        name: "grains.items",
        doc: "Returns all grains; with sanitize=True without what identifies the host.",
        signature: takes("items", &[optional("sanitize", Default::Bool(false))]),
        body: grains::items,
    },
    Function {
        name: "key.finger",
        doc: "Returns the fingerprint of the minion's public key.",
        signature: takes("finger", &[optional("hash_type", Default::None)]),
        body: key::finger,
    },
    Function {
        name: "key.finger_master",
        doc: "Returns the fingerprint of the public key of the master in use.",
        signature: takes("finger_master", &[optional("hash_type", Default::None)]),
        body: key::finger_master,
    },
    Function {
        name: "saltutil.find_job",
        doc: "Returns the job of that jid while it is under way, else an empty map.",
        signature: takes("find_job", &[needed("jid")]),
        body: saltutil::find_job,
    },
    Function {
        name: "saltutil.running",
        doc: "Returns the jobs that are under way.",
        signature: takes("running", &[]),
        body: saltutil::running,
    },
    Function {
        name: "status.master",
        doc: "Returns whether this minion is connected to that master.",
        signature: takes(
            "master",
            &[
                optional("master", Default::None),
                optional("connected", Default::Bool(true)),
            ],
        ),
        body: status::master,
    },
    Function {
        name: "status.ping_master",
        doc: "Returns whether that master answers a ping.",
        signature: takes("ping_master", &[needed("master")]),
        body: status::ping_master,
    },
    Function {
        name: "sys.list_functions",
        doc: "Returns the names of the functions; arguments are modules or patterns.",
        signature: Signature {
            name: "list_functions",
            parameters: &[],
            variadic: true,
            keywords: true,
        },
        body: sys::list_functions,
    },
    Function {
        name: "test.arg",
        doc: "Returns its arguments, and the job's publication among the named ones.",
        signature: Signature {
            name: "arg",
            parameters: &[],
            variadic: true,
            keywords: true,
        },
        body: test::arg,
    },
    Function {
        name: "test.echo",
        doc: "Returns its argument.",
        signature: takes("echo", &[needed("text")]),
        body: test::echo,
    },
    Function {
        name: "test.ping",
        doc: "Returns True: the minion is up and answers this master.",
        signature: takes("ping", &[]),
        body: test::ping,
    },
    Function {
        name: "test.version",
        doc: "Returns the version of this minion.",
        signature: takes("version", &[]),
        body: test::version,
    },
    Function {
        name: "test.versions_report",
        doc: "Returns the versions of this minion and of what it is made of.",
        signature: takes("versions_report", &[]),
        body: test::versions_report,
    },
];

const fn takes(name: &'static str, parameters: &'static [Parameter]) -> Signature {
    Signature {
        name,
        parameters,
        variadic: false,
        keywords: false,
    }
}

const fn needed(name: &'static str) -> Parameter {
    Parameter {
        name,
        default: None,
    }
}

const fn optional(name: &'static str, default: Default) -> Parameter {
    Parameter {
        name,
        default: Some(default),
    }
}
