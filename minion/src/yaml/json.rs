//! Values as JSON has them, for whoever asks for options by name.

use serde_json::{Map, Number, Value as Json};

use crate::wire::msgpack::Value;

/// The same with texts for keys; a number that JSON lacks becomes the text that Python writes.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Unsigned(number) => Json::from(*number),
        Value::Signed(number) => Json::from(*number),
        Value::Float(number) => float(*number),
        Value::Raw(text) | Value::Extension(_, text) => {
            Json::String(String::from_utf8_lossy(text).into_owned())
        }
        Value::Array(list) => Json::Array(list.iter().map(to_json).collect()),
        Value::Map(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(key, value)| (python_str(&to_json(key)), to_json(value)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
    }
}

fn float(number: f64) -> Json {
    if number.is_nan() {
        return Json::from("nan");
    }
    let finite = Number::from_f64(number).map(Json::Number);
    finite.unwrap_or_else(|| Json::from(if number < 0.0 { "-inf" } else { "inf" }))
}

/// Python's `str` of a scalar: Salt makes a text of an `id` that is none.
#[must_use]
pub fn python_str(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::String(text) => text.clone(),
        Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    }
}
