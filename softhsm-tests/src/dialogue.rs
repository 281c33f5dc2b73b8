//! A program with a terminal, and somebody at it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;

use crate::process::PATIENCE;

/// Runs a command on a pseudo-terminal, for all its three streams, and types each answer when the
/// text before it was seen. Gives everything that the terminal showed, what was typed included.
///
/// # Errors
///
/// Fails if the program cannot be started, does not end, or never shows what an answer waits for.
pub fn hold(mut command: Command, answers: &[(&str, &str)]) -> Result<(ExitStatus, String)> {
    let pty = openpty(None, None).context("failed to open a pseudo-terminal")?;
    let mut child = command
        .stdin(pty.slave.try_clone()?)
        .stdout(pty.slave.try_clone()?)
        .stderr(pty.slave)
        .spawn()
        .with_context(|| format!("failed to start {command:?}"))?;
    // It holds the terminal's other end, and while that is open there is no end of the output.
    drop(command);
    let talked = talk(File::from(pty.master), answers);
    if talked.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok((status, talked?))
}

fn talk(mut terminal: File, answers: &[(&str, &str)]) -> Result<String> {
    let begun = Instant::now();
    let mut shown = Vec::new();
    let mut seen = 0;
    let mut answers = answers.iter().peekable();
    loop {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let mut ready = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::try_from(left)?)? == 0 {
            bail!("it does not end: {:?}", String::from_utf8_lossy(&shown));
        }
        let mut piece = [0; 4096];
        match terminal.read(&mut piece) {
            // The kernel's word for a terminal that nobody holds any more.
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => break,
            Err(error) => return Err(error.into()),
            Ok(0) => break,
            Ok(count) => shown.extend(piece.get(..count).unwrap_or_default()),
        }
        let text = String::from_utf8_lossy(&shown);
        if let Some((question, answer)) = answers.peek()
            && let Some(at) = text.get(seen..).and_then(|rest| rest.find(question))
        {
            seen = seen.saturating_add(at).saturating_add(question.len());
            terminal.write_all(format!("{answer}\n").as_bytes())?;
            answers.next();
        }
    }
    let text = String::from_utf8_lossy(&shown).into_owned();
    match answers.next() {
        None => Ok(text),
        Some((question, _)) => bail!("it never asked {question:?}: {text:?}"),
    }
}
