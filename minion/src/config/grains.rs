//! Static grains: what the operator says about the host.

use std::path::Path;

use serde_json::Value as Yaml;

use super::ConfigError;
use super::option::Options;
use crate::salt_config;
use crate::wire::msgpack::Value;

/// The file `grains` beside the main file, and over it the option `grains`.
///
/// Salt 3008.5, `salt/grains/extra.py`, `config`, and the end of `salt/loader/__init__.py`,
/// `grains`: the option wins, by whole grains or, with `grains_deep_merge`, by their parts.
pub(super) fn read(options: &mut Options, main: &Path) -> Result<Value, ConfigError> {
    let path = main.with_file_name("grains");
    let text = salt_config::text(&path)?.unwrap_or_default();
    let mut grains = salt_config::mapping(&path, &text)?;
    let deep = options.boolean("grains_deep_merge")?.unwrap_or(false);
    let own = options.parse("grains", "a mapping", |value| value.as_object().cloned())?;
    for (name, value) in own.unwrap_or_default() {
        match (grains.get_mut(&name), value) {
            (Some(Yaml::Object(old)), Yaml::Object(new)) if deep => overlay(old, new),
            (_, value) => {
                grains.insert(name, value);
            }
        }
    }
    Ok(to_wire(&Yaml::Object(grains)))
}

fn overlay(old: &mut serde_json::Map<String, Yaml>, new: serde_json::Map<String, Yaml>) {
    for (key, value) in new {
        match (old.get_mut(&key), value) {
            (Some(Yaml::Object(old)), Yaml::Object(new)) => overlay(old, new),
            (_, value) => {
                old.insert(key, value);
            }
        }
    }
}

/// A value as it goes on the wire.
fn to_wire(value: &Yaml) -> Value {
    match value {
        Yaml::Null => Value::Nil,
        Yaml::Bool(truth) => Value::Bool(*truth),
        Yaml::Number(number) => number.as_u64().map(Value::Unsigned).unwrap_or_else(|| {
            let signed = number.as_i64().map(Value::Signed);
            signed.unwrap_or_else(|| Value::Float(number.as_f64().unwrap_or_default()))
        }),
        Yaml::String(text) => text.as_str().into(),
        Yaml::Array(list) => Value::Array(list.iter().map(to_wire).collect()),
        Yaml::Object(map) => Value::Map(
            map.iter()
                .map(|(key, value)| (key.as_str().into(), to_wire(value)))
                .collect(),
        ),
    }
}
