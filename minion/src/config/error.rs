//! Why a configuration is not used.

use std::path::PathBuf;

/// Names the file and the option, what was found there and what to write instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no main file.
    #[error("there is no file {}; -c says in which directory the file `minion` is", .0.display())]
    Missing(PathBuf),
}
