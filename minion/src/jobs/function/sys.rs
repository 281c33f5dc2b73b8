//! `sys.*` (Salt 3008.5, `salt/modules/sysmod.py`).

use super::{Failure, Function, Job, Step};
use crate::fnmatch;
use crate::jobs::arguments::Arguments;
use crate::jobs::python::type_name;
use crate::wire::msgpack::Value;

/// Named arguments are taken and left alone, as in Salt.
pub(super) fn list_functions(arguments: &Arguments, _: &Job<'_>) -> Result<Step, Failure> {
    let mut patterns = Vec::new();
    for argument in &arguments.rest {
        patterns.push(argument.as_text().ok_or_else(|| not_a_name(argument))?);
    }
    let wanted = |name: &str| {
        patterns.is_empty()
            || patterns.iter().any(|pattern| {
                if pattern.contains(['*', '.']) {
                    fnmatch::matches(pattern, name)
                } else {
                    name.split_once('.')
                        .is_some_and(|(module, _)| module == *pattern)
                }
            })
    };
    let names = Function::all().iter().map(|function| function.name);
    let names = names.filter(|name| wanted(name)).map(Value::from);
    Ok(Step::Done(Value::Array(names.collect())))
}

/// What Python says to `"*" in module` or `module + "."`.
fn not_a_name(argument: &Value) -> Failure {
    let kind = type_name(argument);
    Failure::Type(match argument {
        Value::Array(_) => "can only concatenate list (not \"str\") to list".to_owned(),
        Value::Map(_) => format!("unsupported operand type(s) for +: '{kind}' and 'str'"),
        Value::Raw(_) => "a bytes-like object is required, not 'str'".to_owned(),
        _ => format!("argument of type '{kind}' is not iterable"),
    })
}
