//! Salt's way into nested values: `os`, `roles:0`, `disks:sda:size`.
//!
//! Salt 3008.5, `salt/utils/data.py`, `traverse_dict_and_list`; the same code in 3006.30 and
//! 3007.17.

use super::python::integer;
use super::yaml::yamlify;
use crate::wire::msgpack::Value;

/// What stands at the end of the path, if the path leads somewhere.
pub(super) fn traverse(data: &Value, path: impl IntoIterator<Item = Value>) -> Option<&Value> {
    let mut here = data;
    for step in path {
        here = match here {
            Value::Array(items) => member(items, &step)?,
            Value::Map(entries) => entry(entries, &step).or_else(|| {
                // A number that an operator typed is text; a number in a grains file is a number.
                let loaded = yamlify(step.as_text()?);
                entry(entries, &loaded)
            })?,
            Value::Nil
            | Value::Bool(_)
            | Value::Unsigned(_)
            | Value::Signed(_)
            | Value::Float(_)
            | Value::Raw(_)
            | Value::Extension(..) => return None,
        };
    }
    Some(here)
}

/// A map among the members that has the key, else the member of that index.
fn member<'a>(items: &'a [Value], step: &Value) -> Option<&'a Value> {
    let index = match step {
        Value::Unsigned(number) => i64::try_from(*number).ok(),
        Value::Signed(number) => Some(*number),
        step => step.as_text().and_then(integer),
    };
    let key = index.map_or_else(|| step.clone(), Value::from);
    let embedded = items.iter().find_map(|item| match item {
        Value::Map(entries) => entry(entries, &key),
        _ => None,
    });
    embedded.or_else(|| {
        let length = i64::try_from(items.len()).ok()?;
        let index = index?;
        let from_start = if index < 0 {
            index.checked_add(length)?
        } else {
            index
        };
        items.get(usize::try_from(from_start).ok()?)
    })
}

fn entry<'a>(entries: &'a [(Value, Value)], key: &Value) -> Option<&'a Value> {
    // The last of equal keys, as a Python dict keeps it.
    let mut matching = entries.iter().rev();
    let (_, value) = matching.find(|(known, _)| same_key(known, key))?;
    Some(value)
}

/// Whether Python's dict takes the two for one key: `1`, `1.0` and `True` are.
fn same_key(one: &Value, other: &Value) -> bool {
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// Keys in grains are small; a difference beyond 2^53 is none that anybody wrote.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "the comparison is meant to be the float's"
)]
const fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(if *truth { 1.0 } else { 0.0 }),
        Value::Unsigned(number) => Some(*number as f64),
        Value::Signed(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Nil | Value::Raw(_) | Value::Array(_) | Value::Map(_) | Value::Extension(..) => None,
    }
}
