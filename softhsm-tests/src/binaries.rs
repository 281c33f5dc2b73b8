//! The programs under test, built once and found through cargo's own messages.
//!
//! `target/debug/mastersign` would be a guess: the target directory can be anywhere, and what lies
//! there can be yesterday's.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The service and its command line.
    pub mastersign: PathBuf,
    /// Our minion.
    pub mastersign_minion: PathBuf,
    /// The PKCS#11 module that forwards and counts.
    pub fault_module: PathBuf,
}

impl Binaries {
    /// Builds them, the first time, and says where they are.
    ///
    /// # Errors
    ///
    /// Fails with the compiler's words if they can't be built.
    pub fn get() -> Result<&'static Self> {
        static BUILT: OnceLock<Result<Binaries, String>> = OnceLock::new();
        BUILT
            .get_or_init(|| Self::build().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|reason| anyhow!("{reason}"))
    }

    fn build() -> Result<Self> {
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--message-format=json", "--bins"])
            .args(["--package=signer", "--package=minion"])
            .args(["--package=fault-module", "--lib"])
            .arg(format!("--profile={PROFILE}"))
            .output()
            .context("failed to run cargo build")?;
        let messages = String::from_utf8(output.stdout)?;
        ensure!(
            output.status.success(),
            "cargo build failed: {}{messages}",
            String::from_utf8_lossy(&output.stderr)
        );
        let artifacts: Vec<Artifact> = messages
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let find = |kind: &str, name: &str| {
            artifacts
                .iter()
                .find(|artifact| artifact.target.name == name && artifact.target.kind == [kind])
                .and_then(|artifact| artifact.filenames.first())
                .cloned()
                .with_context(|| format!("cargo build made no {kind} {name}"))
        };
        Ok(Self {
            mastersign: find("bin", "mastersign")?,
            mastersign_minion: find("bin", "mastersign-minion")?,
            fault_module: find("cdylib", "fault_module")?,
        })
    }
}

/// `mastersign`, with the arguments to come.
///
/// # Errors
///
/// Fails if it can't be built.
pub fn mastersign() -> Result<Command> {
    Ok(mastersign_at(&Binaries::get()?.mastersign))
}

/// The same from another place.
#[must_use]
pub fn mastersign_at(program: &Path) -> Command {
    let mut command = Command::new(program);
    // The last is cargo's, for programs that it starts.
    for variable in ["MASTERSIGN_CONFIG", "MASTERSIGN_LOG", "LD_LIBRARY_PATH"] {
        command.env_remove(variable);
    }
    command.env("NO_COLOR", "1");
    command
}

/// `mastersign-minion`, with the arguments to come.
///
/// # Errors
///
/// Fails if it can't be built.
pub fn mastersign_minion() -> Result<Command> {
    let mut command = Command::new(&Binaries::get()?.mastersign_minion);
    command.env("NO_COLOR", "1");
    Ok(command)
}

/// The part of cargo's `compiler-artifact` message that is used here.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

/// As this program was built, so that a benchmark measures optimised code.
const PROFILE: &str = if cfg!(debug_assertions) {
    "dev"
} else {
    "bench"
};
