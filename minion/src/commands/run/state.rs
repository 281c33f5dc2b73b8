//! The file that tells `mastersign-minion masters` what a running minion is doing.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::agent::Status;

/// Replaces the file in one step, so that no reader sees half of it.
pub(super) fn write(path: &Path, status: &Status) -> anyhow::Result<()> {
    let next = path.with_extension("next");
    let text = serde_json::to_vec(status).context("failed to encode the state")?;
    fs::File::create(&next)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&next, path))
        .with_context(|| format!("failed to write the state to {}", path.display()))
}
