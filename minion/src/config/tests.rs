//! A configuration in, the values that count out, or an error that says what to do.

mod accepts;
mod example;
mod files;
mod refuses;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// A configuration directory with these files in it.
struct Salt(TempDir);

impl Salt {
    fn with(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self(directory)
    }

    /// A main file alone; `id` is given so that no test asks the host for its name.
    fn main(text: &str) -> Self {
        Self::with(&[("minion", &format!("id: m1\n{text}"))])
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn load(&self) -> Result<Config, ConfigError> {
        load(&self.path().join("minion"), &Overrides::default())
    }

    fn config(&self) -> Config {
        self.load().unwrap()
    }

    /// The error and all its causes.
    fn error(&self) -> String {
        let error = self.load().unwrap_err();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
