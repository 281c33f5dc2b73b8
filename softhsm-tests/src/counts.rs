//! How often a PKCS#11 function was called, from the journal of the fault module.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use minion::verify::{Algorithm, PublicKey};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::oneshot;

use crate::process::PATIENCE;

/// The journal of one token.
#[derive(Clone, Debug)]
pub struct Counts {
    journal: PathBuf,
}

impl Counts {
    /// The journal at this path; it need not exist yet.
    #[must_use]
    pub const fn new(journal: PathBuf) -> Self {
        Self { journal }
    }

    /// Where the fault module writes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.journal
    }

    /// How often the function was called, by all processes together. `C_Sign` counts what makes a
    /// signature; the question for its length is `C_Sign(size)`.
    ///
    /// # Errors
    ///
    /// Fails if the journal can't be read; before the first call there is none, and the answer is
    /// 0.
    pub fn calls(&self, function: &str) -> Result<usize> {
        Ok(self
            .text()?
            .lines()
            .filter(|line| line.split(' ').skip(2).take(2).eq(["call", function]))
            .count())
    }

    /// How often the module answered this call with a result that it had made wrong.
    ///
    /// # Errors
    ///
    /// As [`Counts::calls`].
    pub fn spoiled(&self, function: &str) -> Result<usize> {
        let text = self.text()?;
        let spoiled = text
            .lines()
            .filter(|line| line.split(' ').skip(2).eq(["spoiled", function]));
        Ok(spoiled.count())
    }

    /// Waits until the function was called so often; the kernel tells when the journal grows.
    ///
    /// # Errors
    ///
    /// Fails, with the journal, when the patience is over.
    pub async fn reach(&self, function: &'static str, calls: usize) -> Result<()> {
        let (told, hears) = oneshot::channel();
        let counts = self.clone();
        // The wait blocks, and it must not hold up what makes the calls.
        std::thread::spawn(move || told.send(counts.block_until(function, calls)));
        hears.await?
    }

    fn block_until(&self, function: &str, calls: usize) -> Result<()> {
        let directory = self.journal.parent();
        let directory = directory.context("the journal is in no directory")?;
        // The directory is watched, as there may be no journal yet; it is before the first count,
        // so no line can come between.
        let watch = Inotify::init(InitFlags::IN_CLOEXEC)?;
        watch.add_watch(
            directory,
            AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MODIFY,
        )?;
        let begin = Instant::now();
        while self.calls(function)? < calls {
            let mut grown = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
            let left = PATIENCE.saturating_sub(begin.elapsed());
            if poll(&mut grown, PollTimeout::try_from(left)?)? == 0 {
                bail!("{function} was not called {calls} times:\n{}", self.text()?);
            }
            watch.read_events()?;
        }
        Ok(())
    }

    /// How often the token was asked to sign this message with this algorithm. The trial signatures
    /// and probes of the service are about another message, its own public key.
    ///
    /// # Errors
    ///
    /// As [`Counts::calls`].
    pub fn signatures(&self, algorithm: Algorithm, message: &PublicKey) -> Result<usize> {
        let data = hex(&algorithm.digest_info(message.canonical().as_bytes()));
        let text = self.text()?;
        Ok(signed(&text).filter(|found| *found == data).count())
    }

    /// How often the token was asked to sign anything but this key with either algorithm: with the
    /// signing key's own public half, everything that is not a trial signature or a probe.
    ///
    /// # Errors
    ///
    /// As [`Counts::calls`].
    pub fn signatures_but_over(&self, own: &PublicKey) -> Result<usize> {
        let own = Algorithm::ALL.map(|it| hex(&it.digest_info(own.canonical().as_bytes())));
        let text = self.text()?;
        Ok(signed(&text)
            .filter(|found| !own.iter().any(|own| own == found))
            .count())
    }

    /// The whole journal, for a test that failed.
    ///
    /// # Errors
    ///
    /// Fails if the journal can't be read.
    pub fn text(&self) -> Result<String> {
        if !self.journal.exists() {
            return Ok(String::new());
        }
        fs::read_to_string(&self.journal)
            .with_context(|| format!("failed to read {}", self.journal.display()))
    }
}

/// What was handed to each `C_Sign`, in hexadecimal.
fn signed(journal: &str) -> impl Iterator<Item = &str> {
    journal.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(2);
        (words.next() == Some("call") && words.next() == Some("C_Sign"))
            .then(|| words.next().unwrap_or_default())
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
