//! Where a PIN comes from.
//!
//! This module describes a source and never holds a PIN: a PIN in the configuration file would be
//! in every backup of it, in every diff and in the terminal of whoever edits it. A `pin = "…"` is
//! therefore recognised only to be refused, and its value is dropped while it is read.

mod raw;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use self::raw::RawPin;
use self::raw::Value;
use crate::pool::{self, PoolError};
use crate::suggest::nearest;

/// A place from which the service reads a PIN when a worker starts.
#[derive(Clone, PartialEq, Eq)]
pub enum PinSource {
    /// The standard output of a program, started without a shell.
    Command {
        /// The program's absolute path and its arguments.
        argv: Vec<String>,
        /// How long it may take.
        deadline: Duration,
    },
    /// A systemd credential: the file of that name in `$CREDENTIALS_DIRECTORY`.
    Credential {
        /// The credential's name.
        name: String,
    },
    /// An open descriptor that the service inherits.
    Descriptor {
        /// Its number, 3 or above.
        fd: i32,
    },
    /// An environment variable of the service.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A file that only its owner can read.
    File {
        /// Its absolute path.
        path: PathBuf,
    },
    /// No source: the service starts locked and serves what is stored.
    Locked,
    /// The terminal; for ceremonies, not for a service.
    Prompt,
}

impl fmt::Debug for PinSource {
    /// Shows a command without its arguments: they should not hold a secret, and some do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { argv, deadline } => f
                .debug_struct("Command")
                .field("program", &argv.first())
                .field("deadline", deadline)
                .finish_non_exhaustive(),
            Self::Credential { name } => write!(f, "Credential({name:?})"),
            Self::Descriptor { fd } => write!(f, "Descriptor({fd})"),
            Self::Environment { variable } => write!(f, "Environment({variable:?})"),
            Self::File { path } => write!(f, "File({})", path.display()),
            Self::Locked => f.write_str("Locked"),
            Self::Prompt => f.write_str("Prompt"),
        }
    }
}

impl TryFrom<RawPin> for PinSource {
    type Error = PinError;

    fn try_from(raw: RawPin) -> Result<Self, Self::Error> {
        let RawPin { fields } = raw;
        let Some(mut fields) = fields else {
            return Err(PinError::Inline);
        };
        let deadline = fields.remove("deadline");
        let allow = fields.remove("allow");
        let mut sources = fields.into_iter();
        let (Some((source, value)), None) = (sources.next(), sources.next()) else {
            return Err(PinError::NotOne);
        };
        if deadline.is_some() && source != "command" {
            return Err(PinError::Misplaced {
                key: "deadline",
                of: "command",
            });
        }
        if allow.is_some() && source != "environment" {
            return Err(PinError::Misplaced {
                key: "allow",
                of: "environment",
            });
        }
        match (source.as_str(), value) {
            ("command", Value::List(argv)) => command(argv, deadline),
            ("credential", Value::Text(name)) => credential(name),
            ("environment", Value::Text(variable)) => environment(variable, allow.as_ref()),
            ("fd", Value::Number(fd)) => descriptor(fd),
            ("file", Value::Text(path)) => file(path),
            ("prompt", Value::Flag(true)) => Ok(Self::Prompt),
            (known, _) if SOURCES.contains(&known) => Err(PinError::Type { form: form(known) }),
            (unknown, _) => Err(PinError::Unknown {
                nearest: nearest(unknown, SOURCES).map(str::to_owned),
                key: unknown.to_owned(),
            }),
        }
    }
}

/// Why a `pin` is refused; no variant holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// A credential name that is a path.
    #[error(
        "a credential is named by A-Z, a-z, 0-9, dot, underscore and hyphen, as in LoadCredential="
    )]
    Credential,
    /// A deadline that is none.
    #[error("the command's deadline")]
    Deadline(#[source] PoolError),
    /// One of the three standard descriptors, or a negative number.
    #[error("a descriptor is a number from 3 to 1023; 0, 1 and 2 are the standard streams")]
    Descriptor,
    /// A PIN in the environment, which nobody allowed.
    #[error(
        "a PIN in the environment is inherited by every child and readable in /proc; add `allow = \
         true` to accept that, or use `credential` or `file`"
    )]
    EnvironmentNotAllowed,
    /// The PIN itself.
    #[error(
        "a PIN in the configuration is refused: it would be in every copy of this file; point to \
         it instead, for example pin = {{ credential = \"NAME\" }} or pin = {{ file = \
         \"/etc/mastersign/NAME.pin\" }}"
    )]
    Inline,
    /// An option of another source.
    #[error("`{key}` belongs to `{of}`")]
    Misplaced {
        /// The option.
        key: &'static str,
        /// The source that has it.
        of: &'static str,
    },
    /// A path that depends on the working directory.
    #[error("the path must be absolute")]
    NotAbsolute,
    /// No source, or several.
    #[error("give exactly one of credential, file, fd, command, prompt and environment")]
    NotOne,
    /// An empty command.
    #[error("the command is empty; give the program's absolute path and its arguments as a list")]
    NoCommand,
    /// A value of another type.
    #[error("expected {form}")]
    Type {
        /// How it is written.
        form: &'static str,
    },
    /// A source that does not exist.
    #[error(
        "unknown PIN source `{key}`{}; there are credential, file, fd, command, prompt and \
         environment",
        hint(.nearest.as_deref())
    )]
    Unknown {
        /// What was written.
        key: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// An environment variable with an impossible name.
    #[error(
        "an environment variable is named by A-Z, a-z, 0-9 and underscore, and does not begin with \
         a digit"
    )]
    Variable,
}

fn command(argv: Vec<String>, deadline: Option<Value>) -> Result<PinSource, PinError> {
    let Some(program) = argv.first() else {
        return Err(PinError::NoCommand);
    };
    if !program.starts_with('/') {
        return Err(PinError::NotAbsolute);
    }
    let deadline = match deadline {
        None => DEFAULT_DEADLINE,
        Some(Value::Text(text)) => pool::duration(&text, DEADLINES).map_err(PinError::Deadline)?,
        Some(_) => return Err(PinError::Deadline(PoolError::Duration)),
    };
    Ok(PinSource::Command { argv, deadline })
}

fn credential(name: String) -> Result<PinSource, PinError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=255).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.') {
        Ok(PinSource::Credential { name })
    } else {
        Err(PinError::Credential)
    }
}

fn descriptor(fd: i64) -> Result<PinSource, PinError> {
    match i32::try_from(fd) {
        Ok(fd) if (3..=1023).contains(&fd) => Ok(PinSource::Descriptor { fd }),
        Ok(_) | Err(_) => Err(PinError::Descriptor),
    }
}

fn environment(variable: String, allow: Option<&Value>) -> Result<PinSource, PinError> {
    if allow != Some(&Value::Flag(true)) {
        Err(PinError::EnvironmentNotAllowed)
    } else if crate::module::is_variable_name(&variable) {
        Ok(PinSource::Environment { variable })
    } else {
        Err(PinError::Variable)
    }
}

pub(crate) fn file(path: impl Into<PathBuf>) -> Result<PinSource, PinError> {
    let path = path.into();
    if path.is_absolute() {
        Ok(PinSource::File { path })
    } else {
        Err(PinError::NotAbsolute)
    }
}

fn form(source: &str) -> &'static str {
    match source {
        "command" => "command = [\"/absolute/program\", \"argument\"]",
        "credential" => "credential = \"NAME\"",
        "environment" => "environment = \"VARIABLE\"",
        "fd" => "fd = NUMBER",
        "prompt" => "prompt = true",
        _ => "file = \"/absolute/path\"",
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}

const DEADLINES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(120));
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
const SOURCES: &[&str] = &[
    "command",
    "credential",
    "environment",
    "fd",
    "file",
    "prompt",
];

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Section {
        pin: RawPin,
    }

    fn read(pin: &str) -> Result<PinSource, PinError> {
        let section: Section = toml::from_str(&format!("pin = {pin}")).unwrap();
        assert!(!format!("{section:?}").contains("hunter2"), "{section:?}");
        section.pin.try_into()
    }

    #[test]
    fn every_source_is_read() {
        let command = PinSource::Command {
            argv: vec!["/bin/pin".to_owned(), "--token=a".to_owned()],
            deadline: Duration::from_secs(2),
        };
        let environment = PinSource::Environment {
            variable: "HSM_PIN".to_owned(),
        };
        let credential = PinSource::Credential {
            name: "hsm-pin".to_owned(),
        };
        for (text, source) in [
            (r#"{ credential = "hsm-pin" }"#, credential),
            (r#"{ file = "/run/pin" }"#, file("/run/pin").unwrap()),
            ("{ fd = 3 }", PinSource::Descriptor { fd: 3 }),
            (
                r#"{ command = ["/bin/pin", "--token=a"], deadline = "2s" }"#,
                command,
            ),
            ("{ prompt = true }", PinSource::Prompt),
            (r#"{ environment = "HSM_PIN", allow = true }"#, environment),
        ] {
            assert_eq!(read(text), Ok(source), "{text}");
        }
    }

    #[test]
    fn an_inline_pin_is_refused_without_being_repeated() {
        for text in [
            r#""hunter2""#,
            "1234",
            "12.5",
            "true",
            r#"["hunter2"]"#,
            r#"{ value = "hunter2" }"#,
            r#"{ hunter = { pin = "hunter2" } }"#,
            r#"{ file = ["hunter2"] }"#,
        ] {
            let error = read(text).unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{error:?}"
            );
        }
        assert_eq!(read(r#""hunter2""#), Err(PinError::Inline));
    }

    #[test]
    fn a_source_that_cannot_work_is_refused() {
        let misplaced = |key, of| PinError::Misplaced { key, of };
        for (text, error) in [
            ("{ }", PinError::NotOne),
            (r#"{ file = "/a", credential = "b" }"#, PinError::NotOne),
            (
                r#"{ environment = "HSM_PIN" }"#,
                PinError::EnvironmentNotAllowed,
            ),
            (
                r#"{ environment = "HSM_PIN", allow = false }"#,
                PinError::EnvironmentNotAllowed,
            ),
            (
                r#"{ environment = "HSM PIN", allow = true }"#,
                PinError::Variable,
            ),
            (r#"{ file = "pin" }"#, PinError::NotAbsolute),
            (
                r#"{ file = "/a", deadline = "1s" }"#,
                misplaced("deadline", "command"),
            ),
            (
                r#"{ file = "/a", allow = true }"#,
                misplaced("allow", "environment"),
            ),
            ("{ command = [] }", PinError::NoCommand),
            (r#"{ command = ["cat"] }"#, PinError::NotAbsolute),
            (r#"{ credential = "../pin" }"#, PinError::Credential),
            ("{ fd = 0 }", PinError::Descriptor),
            ("{ fd = 4294967299 }", PinError::Descriptor),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        assert!(matches!(
            read(r#"{ command = "cat /run/pin" }"#),
            Err(PinError::Type { .. })
        ));
        assert!(matches!(
            read(r#"{ command = ["/bin/pin"], deadline = "3m" }"#),
            Err(PinError::Deadline(PoolError::OutOfBounds { .. }))
        ));
        assert!(matches!(
            read(r#"{ credentail = "pin" }"#),
            Err(PinError::Unknown { nearest: Some(near), .. }) if near == "credential"
        ));
    }

    #[test]
    fn the_arguments_of_a_command_are_not_in_debug() {
        let source = read(r#"{ command = ["/bin/pin", "hunter2"] }"#).unwrap();
        assert!(!format!("{source:?}").contains("hunter2"));
    }
}
