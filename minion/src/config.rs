//! A stock salt-minion's configuration, read as salt-minion reads it and checked once.
//!
//! A host that runs this minion has `/etc/salt/minion` already, so that file is the configuration:
//! the same files in the same order, the same names, units and defaults. What Salt has and we do
//! not is passed over and listed ([`Config::unknown`]); what would make this minion believe a
//! master that it need not believe is refused, with the reason.

mod cluster;
mod error;
mod grains;
mod id;
mod logging;
mod master;
mod network;
mod option;
mod read;
mod rules;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::ConfigError;
pub use master::{Master, MasterError, MasterName};

use option::Options;

use crate::failover;
use crate::log;
use crate::net::Keepalive;
use crate::salt_config::{self, Daemon};
use crate::verify::{Algorithm, Fingerprint};
use crate::wire::envelope::Algorithms;
use crate::wire::id::MinionId;
use crate::wire::msgpack::Value;

/// What a minion is told about itself, its masters and its host.
#[derive(Clone, Debug)]
pub struct Config {
    /// The main file.
    pub conf_file: PathBuf,
    /// Every file that was read, in order.
    pub sources: Vec<PathBuf>,
    /// `id`, the content of `minion_id` beside the main file, or what Salt would make of the
    /// host's names.
    pub id: MinionId,
    /// The id was made from the host's names, and `minion_id_caching` says that it is to be kept.
    pub keep_id: Option<KeepId>,
    /// `user`: whom the minion should run as.
    pub user: Option<String>,
    /// `pki_dir` below `root_dir`.
    pub pki_dir: PathBuf,
    /// `cachedir` below `root_dir`.
    pub cachedir: PathBuf,
    /// Where `run` keeps what `masters` shows.
    pub state_file: PathBuf,
    /// `master`, in the configured order.
    pub masters: Vec<Master>,
    /// What decides between the masters; its `masters` are the names of [`Config::masters`].
    pub failover: failover::Settings,
    /// `publish_port`, if it is to be used in place of the one that the master tells.
    pub publish_port: Option<NonZeroU16>,
    /// `signing_algorithm` and `encryption_algorithm`.
    pub algorithms: Algorithms,
    /// Ours: the masters' `publish_signing_algorithm`.
    pub publish_signing_algorithm: Algorithm,
    /// `master_sign_key_name`.
    pub master_sign_key_name: String,
    /// `master_finger`.
    pub master_finger: Option<Fingerprint>,
    /// `hash_type`: the hash of `key.finger` where a job names none.
    pub hash_type: String,
    /// `keysize`, for a key that does not exist yet.
    pub keysize: u32,
    /// How connections are made.
    pub network: Network,
    /// How results are sent.
    pub returns: Returns,
    /// `minion_jid_queue_hwm`: how many jobs are known again when they are published twice.
    pub jobs_remembered: u32,
    /// `enable_legacy_startup_events`.
    pub start_events: bool,
    /// `ping_interval`, given in minutes.
    pub ping_interval: Option<Duration>,
    /// What is logged, and how.
    pub log: log::Settings,
    /// Static grains: `grains` of the configuration over the file `grains` beside it.
    pub grains: Value,
    /// `autosign_grains`: names of grains to send when signing in.
    pub autosign_grains: Vec<String>,
    /// Options that this minion does not have.
    pub unknown: Vec<String>,
    /// What was accepted and has no effect, each with the reason.
    pub warnings: Vec<String>,
}

/// A file for `run` to write, so that the id stays what it is when the host's name changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepId {
    /// `minion_id` in Salt's directory.
    pub file: PathBuf,
    /// The id without `append_domain`, which is added at every start.
    pub content: String,
}

impl KeepId {
    /// Writes the file.
    ///
    /// Salt 3008.5, `salt/config/__init__.py`, `_cache_id`; here no reader sees half of it.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be written; the minion runs all the same and asks the host again.
    pub fn write(&self) -> std::io::Result<()> {
        if let Some(directory) = self.file.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let next = self.file.with_extension("next");
        std::fs::write(&next, &self.content)?;
        std::fs::rename(&next, &self.file)
    }
}

/// How connections are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// `tcp_keepalive` and its three companions.
    pub keepalive: Keepalive,
    /// `ipv6`: which family a name is looked up in; none takes what there is.
    pub ipv6: Option<bool>,
    /// `source_address`.
    pub source_address: Option<IpAddr>,
    /// `source_ret_port`.
    pub source_ret_port: Option<NonZeroU16>,
    /// `source_publish_port`.
    pub source_publish_port: Option<NonZeroU16>,
    /// `zmq_filtering`: publications come with a topic.
    pub zmq_filtering: bool,
}

/// How results are sent, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returns {
    /// `return_retry_timer`: the shortest wait before another attempt.
    pub retry_timer: Duration,
    /// `return_retry_timer_max`: the longest.
    pub retry_timer_max: Duration,
    /// `return_retry_tries`.
    pub retry_tries: u32,
    /// `request_channel_timeout`: how long one try to tell an event or the grains may take.
    pub request_timeout: Duration,
    /// `request_channel_tries`: how many tries there are to tell the grains.
    pub request_tries: u32,
}

impl Default for Returns {
    fn default() -> Self {
        Self {
            retry_timer: Duration::from_secs(5),
            retry_timer_max: Duration::from_secs(10),
            retry_tries: 3,
            request_timeout: Duration::from_secs(60),
            request_tries: 3,
        }
    }
}

/// What the command line says over the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--log-level`.
    pub log_level: Option<log::Level>,
    /// `--log-file`.
    pub log_file: Option<PathBuf>,
    /// `--log-file-level`.
    pub log_file_level: Option<log::Level>,
    /// `--log-format`.
    pub log_format: Option<log::Style>,
}

/// Reads the main file, usually `/etc/salt/minion`, and everything that it includes.
///
/// Nothing is written and no program is run. A host without an `id` has its own name looked up,
/// which may ask its name servers.
///
/// # Errors
///
/// Names the file and the option, what was found there and what to write instead.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    if !directory.is_dir() {
        return Err(ConfigError::NoDirectory(directory.to_owned()));
    }
    let loaded = salt_config::load(Daemon::Minion, path)?;
    let sources = loaded.sources.into_iter().map(|source| source.path);
    read::read(
        Options::new(loaded.options),
        sources.collect(),
        path,
        overrides,
    )
}

#[cfg(test)]
mod tests;
