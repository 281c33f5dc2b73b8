//! Arguments: from the list in a publication to the parameters of a function, with the errors that
//! Python would raise.
//!
//! Salt 3008.5, `salt/minion.py`, `load_args_and_kwargs`; the same code in 3006.30 and 3007.17.

use super::python::text;
use super::yaml::yamlify;
use crate::wire::msgpack::Value;

/// What a function takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    /// The function's own name, which Python's errors begin with.
    pub(super) name: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// Whether it takes any number of arguments (`*args`).
    pub(super) variadic: bool,
    /// Whether it takes any named argument (`**kwargs`).
    pub(super) keywords: bool,
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) default: Option<Default>,
}

/// What a parameter is when nothing is given for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Default {
    Bool(bool),
    None,
    Text(&'static str),
}

/// The arguments of one call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arguments {
    /// One for each parameter.
    parameters: Vec<Value>,
    /// What is left of the unnamed ones for `*args`.
    pub(super) rest: Vec<Value>,
    /// What is left of the named ones for `**kwargs`.
    pub(super) named: Vec<(Value, Value)>,
}

/// Why a function cannot be called like that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Salt's `SaltInvocationError`.
    Invocation(String),
    /// Python's `TypeError`.
    Type(String),
}

impl Arguments {
    /// The argument of a parameter, by its place in the signature.
    pub(super) fn parameter(&self, index: usize) -> &Value {
        self.parameters.get(index).unwrap_or(&Value::Nil)
    }

    /// Fits the arguments of a publication to a signature. Whoever takes any named argument is
    /// handed the publication as well.
    pub(super) fn fit(
        signature: &Signature,
        given: &[Value],
        publication: &Value,
    ) -> Result<Self, Misfit> {
        let mut positional = Vec::new();
        let mut named = Vec::new();
        let mut invalid = Vec::new();
        for argument in given {
            match named_arguments(argument) {
                None => positional.push(unmarked(argument)),
                Some(entries) => {
                    for (key, value) in entries {
                        if signature.takes(&key) {
                            set(&mut named, key, value);
                        } else {
                            invalid.push(format!("{}={}", text(&key), text(&value)));
                        }
                    }
                }
            }
        }
        if !invalid.is_empty() {
            return Err(Misfit::Invocation(format!(
                "The following keyword arguments are not valid: {}",
                invalid.join(", ")
            )));
        }
        if signature.keywords
            && let Value::Map(fields) = publication
        {
            for (key, value) in fields {
                let key = format!("__pub_{}", text(key));
                set(&mut named, key.as_str().into(), value.clone());
            }
        }
        signature.bind(positional, named)
    }
}

impl Signature {
    fn takes(&self, name: &Value) -> bool {
        self.keywords || self.position(name).is_some()
    }

    fn position(&self, name: &Value) -> Option<usize> {
        let name = name.as_text()?;
        self.parameters
            .iter()
            .position(|parameter| parameter.name == name)
    }

    /// `CPython` 3.11, `Python/ceval.c`, `initialize_locals`: in this order, with these words.
    fn bind(
        &self,
        mut positional: Vec<Value>,
        named: Vec<(Value, Value)>,
    ) -> Result<Arguments, Misfit> {
        let given = positional.len();
        let mut rest = Vec::new();
        if given > self.parameters.len() {
            rest = positional.split_off(self.parameters.len());
        }
        let mut slots: Vec<Option<Value>> = positional.into_iter().map(Some).collect();
        slots.resize(self.parameters.len(), None);
        let mut left = Vec::new();
        for (name, value) in named {
            let slot = self.position(&name).and_then(|index| slots.get_mut(index));
            match slot {
                None => left.push((name, value)),
                Some(slot @ None) => *slot = Some(value),
                Some(Some(_)) => {
                    let (function, name) = (self.name, text(&name));
                    return Err(Misfit::Type(format!(
                        "{function}() got multiple values for argument '{name}'"
                    )));
                }
            }
        }
        if !rest.is_empty() && !self.variadic {
            return Err(Misfit::Type(self.too_many(given)));
        }
        let mut parameters = Vec::with_capacity(slots.len());
        let mut missing = Vec::new();
        for (parameter, slot) in self.parameters.iter().zip(slots) {
            match slot.or_else(|| parameter.default.map(Default::value)) {
                Some(value) => parameters.push(value),
                None => missing.push(parameter.name),
            }
        }
        if missing.is_empty() {
            Ok(Arguments {
                parameters,
                rest,
                named: left,
            })
        } else {
            Err(Misfit::Type(self.missing(&missing)))
        }
    }

    fn too_many(&self, given: usize) -> String {
        let most = self.parameters.len();
        let optional = self.parameters.iter();
        let optional = optional.filter(|parameter| parameter.default.is_some());
        let least = most.saturating_sub(optional.count());
        let takes = if least == most {
            format!("{most} positional argument{}", plural(most))
        } else {
            format!("from {least} to {most} positional arguments")
        };
        let was = if given == 1 { "was" } else { "were" };
        format!("{}() takes {takes} but {given} {was} given", self.name)
    }

    /// No function here has more than one parameter without a default.
    fn missing(&self, names: &[&str]) -> String {
        format!(
            "{}() missing {} required positional argument{}: '{}'",
            self.name,
            names.len(),
            plural(names.len()),
            names.join("' and '")
        )
    }
}

impl Default {
    fn value(self) -> Value {
        match self {
            Self::Bool(truth) => truth.into(),
            Self::None => Value::Nil,
            Self::Text(text) => text.into(),
        }
    }
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The named arguments that one of the list holds: a map that says so, or `name=value`.
fn named_arguments(argument: &Value) -> Option<Vec<(Value, Value)>> {
    if let Value::Map(entries) = argument {
        let marked = |(key, value): &(Value, Value)| is_mark(key) && *value == Value::Bool(true);
        return entries.iter().any(marked).then(|| {
            let entries = entries.iter().filter(|(key, _)| !is_mark(key));
            entries.cloned().collect()
        });
    }
    let (name, value) = assignment(argument.as_text()?)?;
    Some(vec![(name.into(), yamlify(value))])
}

/// A map whose mark is not `True` is an argument like any other, and loses the mark (Salt 3008.5,
/// `salt/utils/args.py`, `parse_input`).
fn unmarked(argument: &Value) -> Value {
    let Value::Map(entries) = argument else {
        return argument.clone();
    };
    let entries = entries.iter().filter(|(key, _)| !is_mark(key));
    Value::Map(entries.cloned().collect())
}

fn is_mark(key: &Value) -> bool {
    key.as_text() == Some("__kwarg__")
}

/// Salt 3008.5, `salt/utils/args.py`, `KWARG_REGEX`: `^([^\d\W][\w.-]*)=(?!=)(.*)$`.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let word = |c: char| c == '_' || c.is_alphanumeric();
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| word(c) && !c.is_numeric());
    let value_line = value.strip_suffix('\n').unwrap_or(value);
    let well_formed = begins
        && letters.all(|c| word(c) || matches!(c, '.' | '-'))
        && !value.starts_with('=')
        && !value_line.contains('\n');
    well_formed.then_some((name, value_line))
}

/// As a Python dict does: a key keeps its place and gets the new value.
fn set(entries: &mut Vec<(Value, Value)>, key: Value, value: Value) {
    match entries.iter_mut().find(|(known, _)| *known == key) {
        Some((_, old)) => *old = value,
        None => entries.push((key, value)),
    }
}
