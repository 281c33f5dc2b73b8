//! The Salt versions that the suite runs, and where they are installed.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A pinned Salt: the newest of each line that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3006.30, long-term support.
    V3006,
    /// 3007.17.
    V3007,
    /// 3008.5.
    V3008,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V3006, Self::V3007, Self::V3008];

    /// The exact version; the same list is in `setup/salt.sh`, which installs them.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V3006 => "3006.30",
            Self::V3007 => "3007.17",
            Self::V3008 => "3008.5",
        }
    }

    /// A command of this Salt, for example `salt-master`.
    ///
    /// # Errors
    ///
    /// Fails with the command that installs it if this version is not completely installed.
    pub fn command(self, program: &str) -> Result<Command> {
        let home = cache()?.join(format!("salt-{self}"));
        ensure!(
            home.join(".complete").exists(),
            "Salt {self} is not installed in {}; run softhsm-tests/setup/salt.sh {self}",
            home.display()
        );
        let mut command = Command::new(home.join("bin").join(program));
        // Salt reads these when no -c is given and for its own proxy settings; a test takes neither
        // from the outside.
        for variable in [
            "SALT_CONFIG_DIR",
            "SALT_MASTER_CONFIG",
            "SALT_MINION_CONFIG",
            "PYTHONPATH",
        ] {
            command.env_remove(variable);
        }
        Ok(command)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn cache() -> Result<PathBuf> {
    let cache = match env::var("XDG_CACHE_HOME") {
        Ok(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => PathBuf::from(env::var("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(cache.join("mastersign"))
}
