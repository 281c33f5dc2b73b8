//! Writes the seeds of every target into a folder: `seed fuzz/found`. `make fuzz` begins with it.

use std::io::{Error, Result};
use std::path::PathBuf;

fn main() -> Result<()> {
    let corpus = std::env::args_os().nth(1).map(PathBuf::from);
    let corpus = corpus.ok_or_else(|| Error::other("usage: seed CORPUS_DIRECTORY"))?;
    for target in fuzz_targets::TARGETS {
        let folder = corpus.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (index, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{index:03}")), seed)?;
        }
    }
    Ok(())
}
