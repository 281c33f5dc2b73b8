//! `grains.*` (Salt 3008.5, `salt/modules/grains.py`).

use super::{Failure, Job, Step};
use crate::jobs::arguments::Arguments;
use crate::jobs::python::{integer, text, truth, type_name};
use crate::jobs::traverse::traverse;
use crate::wire::msgpack::Value;

pub(super) fn get(arguments: &Arguments, job: &Job<'_>) -> Result<Step, Failure> {
    let (key, default) = (arguments.parameter(0), arguments.parameter(1));
    let (delimiter, ordered) = (arguments.parameter(2), arguments.parameter(3));
    let path = path(key, delimiter)?;
    let with_text_keys;
    let grains = if *ordered == Value::Bool(true) {
        job.context.grains
    } else {
        with_text_keys = through_json(job.context.grains);
        &with_text_keys
    };
    let found = traverse(grains, path).unwrap_or(default);
    Ok(Step::Done(found.clone()))
}

/// A text is split; a list is taken step by step, as is whatever else Python iterates over.
fn path(key: &Value, delimiter: &Value) -> Result<Vec<Value>, Failure> {
    match key {
        Value::Raw(_) => {
            let key = text(key);
            split(&key, delimiter)
        }
        Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) => Ok(vec![key.clone()]),
        Value::Array(items) => Ok(items.clone()),
        Value::Map(entries) => Ok(entries.iter().map(|(key, _)| key.clone()).collect()),
        Value::Nil | Value::Float(_) | Value::Extension(..) => {
            let kind = type_name(key);
            Err(Failure::Type(format!("'{kind}' object is not iterable")))
        }
    }
}

/// `str.split`.
fn split(key: &str, delimiter: &Value) -> Result<Vec<Value>, Failure> {
    match (delimiter, delimiter.as_text()) {
        (Value::Nil, _) => Ok(key.split_whitespace().map(Value::from).collect()),
        (_, Some("")) => Err(Failure::Exception("ValueError: empty separator".to_owned())),
        (_, Some(delimiter)) => Ok(key.split(delimiter).map(Value::from).collect()),
        (other, None) => {
            let kind = type_name(other);
            Err(Failure::Type(format!("must be str or None, not {kind}")))
        }
    }
}

/// What `json.loads(json.dumps(…))` makes of it: keys become text.
fn through_json(value: &Value) -> Value {
    match value {
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let key = match key {
                    Value::Bool(true) => "true".into(),
                    Value::Bool(false) => "false".into(),
                    Value::Nil => "null".into(),
                    key => text(key).as_str().into(),
                };
                (key, through_json(value))
            });
            Value::Map(entries.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(through_json).collect()),
        value => value.clone(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every function")]
pub(super) fn items(arguments: &Arguments, job: &Job<'_>) -> Result<Step, Failure> {
    let grains = job.context.grains.clone();
    if !is_true(arguments.parameter(0)) {
        return Ok(Step::Done(grains));
    }
    let Value::Map(mut entries) = grains else {
        return Ok(Step::Done(grains));
    };
    for (name, value) in &mut entries {
        match name.as_text() {
            Some("domain") => *value = "DOMAINNAME".into(),
            Some("fqdn" | "id") => *value = "MINION.DOMAINNAME".into(),
            Some("host" | "localhost" | "nodename") => *value = "MINION".into(),
            Some("serialnumber") => *value = serial(value).as_str().into(),
            _ => {}
        }
    }
    Ok(Step::Done(Value::Map(entries)))
}

/// The last quarter is struck out.
fn serial(value: &Value) -> String {
    let number: Vec<char> = text(value).chars().collect();
    let kept = number.len().saturating_mul(3).checked_div(4).unwrap_or(0);
    let struck = number.iter().enumerate();
    struck
        .map(|(index, c)| if index < kept { *c } else { 'X' })
        .collect()
}

/// Salt 3008.5, `salt/utils/data.py`, `is_true`: numbers above zero, the text `true`, and what else
/// Python takes for true.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Unsigned(number) => *number > 0,
        Value::Signed(number) => *number > 0,
        Value::Float(number) => *number >= 1.0,
        Value::Raw(_) => {
            let text = text(value);
            match integer(&text) {
                Some(number) => number > 0,
                None => match text.trim().parse::<f64>() {
                    Ok(number) => number > 0.0,
                    Err(_) => text.to_lowercase() == "true",
                },
            }
        }
        value => truth(value),
    }
}
