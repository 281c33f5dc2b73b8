//! Running one function or several, and what the master is told of how it went.
//!
//! Salt 3008.5, `salt/minion.py`, `Minion._thread_return` and `_thread_multi_return`; the same code
//! in 3006.30 and 3007.17 as far as it is followed here.

use super::answer::{Answer, Reply};
use super::context::Context;
use super::function::{Failure, Function, Job, Step};
use super::python::truth;
use crate::fnmatch;
use crate::wire::msgpack::Value;
use crate::wire::publish::{Call, Function as Asked, Publication};

/// `EX_GENERIC` (Salt 3008.5, `salt/defaults/exitcodes.py`).
const EX_GENERIC: Value = Value::Unsigned(1);

/// Runs a job as far as its context allows.
#[must_use]
pub fn run(publication: &Publication, context: &Context<'_>) -> Answer {
    let job = Job {
        publication,
        context,
    };
    match &publication.function {
        Asked::One(call) => one(call, &job),
        Asked::Several(calls) => several(calls, &job),
    }
}

fn one(call: &Call, job: &Job<'_>) -> Answer {
    let Some(function) = Function::find(&call.name) else {
        return Answer::Reply(Reply::failed(unknown(&call.name)));
    };
    let failure = match function.call(&call.arguments, job) {
        Ok(Step::Done(value)) => {
            let (retcode, success) = judged(&value);
            return Answer::Reply(Reply {
                value,
                retcode,
                success,
                out: outputter(function.name),
            });
        }
        Ok(waiting) => return waiting.into(),
        Err(failure) => failure,
    };
    let name = function.name;
    let text = match failure {
        Failure::Exception(text) => {
            format!("The minion function caused an exception: {}", traced(&text))
        }
        Failure::Invocation(text) => format!("ERROR executing '{name}': {text}"),
        Failure::Type(text) => {
            format!(
                "Passed invalid arguments to {name}: {text}\n{}",
                function.doc
            )
        }
    };
    Answer::Reply(Reply::failed(text.as_str()))
}

/// Each function's return, success and code stand under its name; one that failed has its error for
/// a return and no code.
fn several(calls: &[Call], job: &Job<'_>) -> Answer {
    let mut returns = Vec::new();
    let mut retcodes = Vec::new();
    let mut successes = Vec::new();
    for call in calls {
        let name = || Value::from(call.name.as_str());
        let outcome = match Function::find(&call.name) {
            Some(function) => function.call(&call.arguments, job),
            None => Err(Failure::Exception(not_available(&call.name))),
        };
        match outcome {
            Ok(Step::Done(value)) => {
                let (retcode, success) = judged(&value);
                set(&mut returns, name(), value);
                set(&mut retcodes, name(), retcode);
                set(&mut successes, name(), success);
            }
            Ok(waiting) => return waiting.into(),
            Err(failure) => {
                let line = match failure {
                    Failure::Exception(text) => text,
                    Failure::Invocation(text) => {
                        format!("salt.exceptions.SaltInvocationError: {text}")
                    }
                    Failure::Type(text) => format!("TypeError: {text}"),
                };
                set(&mut returns, name(), traced(&line).as_str().into());
                set(&mut successes, name(), false.into());
            }
        }
    }
    Answer::Reply(Reply {
        value: Value::Map(returns),
        retcode: Value::Map(retcodes),
        success: Value::Map(successes),
        out: None,
    })
}

/// Salt 3008.5, `salt/modules/grains.py`, `__outputter__`: the only function of ours that names
/// one.
fn outputter(function: &str) -> Option<&'static str> {
    (function == "grains.items").then_some("nested")
}

impl From<Step> for Answer {
    fn from(step: Step) -> Self {
        match step {
            Step::Done(value) => Self::Reply(Reply::ok(value)),
            Step::Ping(master) => Self::Ping { master },
            Step::Resolve(host) => Self::Resolve { host },
        }
    }
}

/// A map that says of itself that it failed has failed.
fn judged(value: &Value) -> (Value, Value) {
    let denies = |(key, value): &(Value, Value)| {
        matches!(key.as_text(), Some("result" | "success")) && !truth(value)
    };
    if matches!(value, Value::Map(entries) if entries.iter().any(denies)) {
        (EX_GENERIC, false.into())
    } else {
        (Value::Unsigned(0), true.into())
    }
}

/// Salt shows the documentation of the functions whose names begin like that, if there are any.
fn unknown(name: &str) -> Value {
    let all = Function::all().iter();
    let similar = all.filter(|function| fnmatch::matches(&format!("{name}*"), function.name));
    let mut shown: Vec<_> = similar
        .map(|function| (function.name.into(), function.doc.into()))
        .collect();
    let text = Value::from(not_available(name).as_str());
    if shown.is_empty() {
        return text;
    }
    shown.push((name.into(), text));
    Value::Map(shown)
}

fn not_available(name: &str) -> String {
    format!("'{name}' is not available.")
}

/// The last line of a trace is ours to tell; the lines of Salt's source that lead to it are not.
fn traced(line: &str) -> String {
    format!("Traceback (most recent call last):\n{line}\n")
}

/// As a Python dict does: a key keeps its place and gets the new value.
fn set(entries: &mut Vec<(Value, Value)>, key: Value, value: Value) {
    match entries.iter_mut().find(|(known, _)| *known == key) {
        Some((_, old)) => *old = value,
        None => entries.push((key, value)),
    }
}
