//! One JSON object a line.

use serde_json::{Map, Value};

use super::record::Record;

/// The whole record, fields beside `message` under their own names.
pub(super) fn line(record: &Record) -> String {
    let mut object = Map::new();
    for (name, value) in &record.fields {
        object.insert((*name).to_owned(), Value::from(value.as_str()));
    }
    if !record.jid.is_empty() {
        object.insert("jid".to_owned(), Value::from(record.jid.as_str()));
    }
    let time = record.time.timestamp().to_string();
    for (name, value) in [
        ("time", Value::from(time)),
        ("level", Value::from(record.level.name())),
        ("name", Value::from(record.name.as_str())),
        ("message", Value::from(record.message.as_str())),
        ("process", Value::from(record.process)),
    ] {
        object.insert(name.to_owned(), value);
    }
    Value::Object(object).to_string()
}
