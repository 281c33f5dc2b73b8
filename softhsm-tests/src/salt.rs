//! A real salt-master and a real salt-minion, in directories of their own, on addresses of their
//! own.
//!
//! Every master listens on Salt's own ports on a loopback address that nobody else has: a stock
//! minion tells a living master from a dead one by address and port, so two masters must differ in
//! the address, as they do in production.

mod console;
mod master;
mod minion;
mod ours;
mod signatory;
mod stage;
mod version;

pub use console::{Console, Job};
pub use master::{Installation, Master, MasterConfig, Signing};
pub use minion::{Minion, MinionConfig};
pub use ours::{Ours, OursConfig, RunningOurs};
pub use signatory::{Signatory, sign_as_stranger, write_signature};
pub use stage::{Borrowed, Restless, SignedBy, Stage, Trio};
pub use version::Version;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Uid, User};

/// The right to run Salt, of which there is one on the machine.
///
/// A scenario with several masters takes a gigabyte and all the processors while it starts; two at
/// once are slower than one after the other, and a stock minion gives up on a master that answers
/// too late.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held for its lock, never read")] Flock<File>);

impl Turn {
    /// Waits until no other test runs Salt.
    ///
    /// # Errors
    ///
    /// Fails if the lock file can't be made.
    pub fn take() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("mastersign-salt-{}.lock", Uid::current()));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("failed to open {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map(Self)
            .map_err(|(_, error)| error)
            .with_context(|| format!("failed to lock {}", path.display()))
    }
}

const PUBLISH_PORT: u16 = 4505;
const REQUEST_PORT: u16 = 4506;

/// A loopback address on which both of Salt's ports are free.
fn free_address() -> Result<Ipv4Addr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        // Spread by process, so that two suites on one machine rarely try the same address.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [_, b, c, _] = std::process::id().wrapping_mul(0x9e37_79b1).to_be_bytes();
        let [.., d] = number.to_be_bytes();
        let address = Ipv4Addr::new(127, b.max(1), c, d.clamp(2, 250));
        let free = |port| TcpListener::bind((address, port)).is_ok();
        if free(PUBLISH_PORT) && free(REQUEST_PORT) {
            return Ok(address);
        }
    }
    bail!("no loopback address has the ports {PUBLISH_PORT} and {REQUEST_PORT} free")
}

/// Removes what a killed daemon left: Salt takes the zombie of its process for a running one, and
/// does not start.
fn forget_process(directory: &Path) {
    for name in ["salt.pid", "process_responsibility_salt.pid"] {
        // It ended before it wrote one, or took it away itself.
        let _ = std::fs::remove_file(directory.join(name));
    }
}

/// The lines that every Salt daemon needs to leave the machine's own Salt alone.
fn common_config(directory: &Path) -> Result<String> {
    let user = User::from_uid(Uid::current())?
        .context("this user has no name")?
        .name;
    let directory = directory.display();
    Ok(format!(
        "user: {user}\n\
         root_dir: {directory}\n\
         pki_dir: {directory}/pki\n\
         cachedir: {directory}/cache\n\
         sock_dir: {directory}/sock\n\
         pidfile: {directory}/salt.pid\n\
         log_file: {directory}/log\n\
         log_level_logfile: debug\n\
         log_fmt_console: '[%(levelname)s] %(message)s'\n"
    ))
}
