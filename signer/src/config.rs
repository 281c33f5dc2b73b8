//! What the operator decided, read once and checked as a whole.
//!
//! Loading and acting are apart: [`Config::load`] opens nothing but configuration files, so `serve
//! --check` can run beside a running service, and what it accepts holds no value that is found
//! wrong later. `mastersign.toml` comes first, then `conf.d/*.toml` beside it in the order of their
//! names. A later file replaces single keys; tables are merged and `[[hsm]]` sections are added.
//! Every file is checked by itself before they are put together, because an error that names no
//! line of a file is not repaired in seconds.
//!
//! ```
//! let text = r#"
//! state_dir = "/var/lib/mastersign"
//!
//! [listen]
//! api = "0.0.0.0:8443"
//! ops = "127.0.0.1:8444"
//!
//! [tls]
//! certificate = "tls/server.pem"
//! key = "tls/server.key"
//! masters_ca = "tls/masters-ca.pem"
//! operators_ca = "tls/operators-ca.pem"
//!
//! [signing]
//! default_algorithm = "PKCS1v15-SHA1"
//! masters = { "salt-fips" = "PKCS1v15-SHA224" }
//!
//! [limits]
//! request_timeout = "15s"
//!
//! [[hsm]]
//! name = "rack-1"
//! profile = "softhsm2"
//! module = "/usr/lib/softhsm/libsofthsm2.so"
//! token_label = "salt"
//! key_id = "a008"
//! pin = { credential = "rack-1-pin" }
//! "#;
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("mastersign.toml");
//! std::fs::write(&path, text)?;
//! # use std::os::unix::fs::PermissionsExt;
//! # std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
//! let config = signer::config::Config::load(&path)?;
//! assert_eq!(config.listen.api.port(), 8443);
//! assert_eq!(config.tls.key, directory.path().join("tls/server.key"));
//! assert_eq!(config.store.path.as_os_str(), "/var/lib/mastersign/mastersign.db");
//! assert_eq!(config.limits.request_timeout.as_secs(), 15);
//! assert_eq!(config.hsms[0].name.as_str(), "rack-1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod file;
mod raw;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hsm_config::Hsm;
use minion::verify::Algorithm;
use uuid::Uuid;

use crate::audit::sink::Sink;
use crate::authorize::MasterId;

pub use file::Layer;

/// The `--config` of every command that reads the configuration.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigArgument {
    /// The configuration file; `conf.d/*.toml` beside it is read after it
    #[arg(
        long = "config",
        env = "MASTERSIGN_CONFIG",
        value_name = "FILE",
        default_value = "/etc/mastersign/mastersign.toml"
    )]
    pub path: PathBuf,
}

impl ConfigArgument {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// See [`Config::load`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.path)
    }
}

/// The whole configuration; every path in it is absolute.
#[derive(Clone, Debug)]
pub struct Config {
    /// The main file, for the worker processes, which read it by themselves.
    pub path: PathBuf,
    /// Where the service keeps what only it may read.
    pub state_dir: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// Its certificate, and whom it believes.
    pub tls: Tls,
    /// Where the state is kept.
    pub store: StoreConfig,
    /// How it signs for whom.
    pub signing: Signing,
    /// The HSMs, in the order of preference.
    pub hsms: Vec<Hsm>,
    /// What it refuses to wait for.
    pub limits: Limits,
    /// What it writes to standard error.
    pub log: Log,
    /// What it insists on before it serves.
    pub hardening: Hardening,
    /// Where it tells the heads of the audit chain besides.
    pub audit_head_sink: Sink,
}

impl Config {
    /// Reads the main file and `conf.d/*.toml` beside it.
    ///
    /// # Errors
    ///
    /// Fails on the first file that cannot be read, that somebody else may write to, or that says
    /// something that cannot be meant; the error names file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let path = std::path::absolute(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let layers = file::layers(&path)?;
        Self::parse(path, layers)
    }

    /// Puts together what the files say; nothing is opened.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), for what the files say.
    pub fn parse(
        main: PathBuf,
        layers: impl IntoIterator<Item = Layer>,
    ) -> Result<Self, ConfigError> {
        let mut all = raw::File::default();
        let mut hsms: Vec<Hsm> = Vec::new();
        for layer in layers {
            let (file, found) = raw::File::parse(&layer)?;
            for (line, hsm) in found {
                if hsms.iter().any(|known| known.name == hsm.name) {
                    return Err(ConfigError::HsmTwice {
                        path: layer.path,
                        line,
                        name: hsm.name.to_string(),
                    });
                }
                hsms.push(hsm);
            }
            all = file.over(all);
        }
        all.finish(main, hsms)
    }
}

/// Where the service listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Masters and operators, with client certificates.
    pub api: SocketAddr,
    /// Health and metrics, plain HTTP; on the loopback interface unless the operator says
    /// otherwise.
    pub ops: SocketAddr,
}

/// The service's certificate, and the two authorities whose clients it believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The service's certificate and its intermediates, PEM.
    pub certificate: PathBuf,
    /// The private key of that certificate, PEM, readable by its owner only.
    pub key: PathBuf,
    /// The authority that vouches for masters, and for nobody else.
    pub masters_ca: PathBuf,
    /// The authority that vouches for operators, and whose statements accept keys.
    pub operators_ca: PathBuf,
    /// Which of the masters' certificates count no more.
    pub masters_crl: Option<PathBuf>,
    /// Which of the operators' certificates count no more.
    pub operators_crl: Option<PathBuf>,
}

/// Where the state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The identity of the store, which every operator's statement names. Without it the database
    /// says which store it is, and the HSM workers believe the service.
    pub id: Option<Uuid>,
    /// The SQLite database.
    pub path: PathBuf,
}

/// How the service signs for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// For a master that asks for no algorithm and is not named below.
    pub default_algorithm: Algorithm,
    /// For single masters.
    pub masters: BTreeMap<MasterId, Algorithm>,
}

/// What the service refuses to wait for, and how much it takes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections on the API; the next one waits in the kernel.
    pub connections: usize,
    /// Of those, how many one network address may hold; the next one is closed.
    pub connections_per_address: usize,
    /// Requests that are answered at once; the next one is turned away.
    pub requests: usize,
    /// What one client key may ask each second, and as much again at once.
    pub requests_per_second: usize,
    /// From accepting a connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first moment in which a request may come to the end of its header; also closes
    /// idle connections.
    pub header_timeout: Duration,
    /// From the end of the header to the answer.
    pub request_timeout: Duration,
    /// How long requests in flight may go on after the service was told to stop.
    pub drain_timeout: Duration,
}

/// What the service insists on before it serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hardening {
    /// Serve as root too.
    pub allow_root: bool,
    /// Do not serve unless the kernel holds all of the confinement.
    pub required: bool,
}

/// What is written to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// Which events, as tracing's filter directives.
    pub filter: String,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line of text.
    #[default]
    Text,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Somebody else could change what the service does.
    #[error(
        "{} may be written by others (mode {mode:04o}); run `chmod go-w` on it", .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// An `[[hsm]]` section that cannot be used.
    #[error("{}, line {line}", .path.display())]
    Hsm {
        /// The file.
        path: PathBuf,
        /// Where the section begins.
        line: usize,
        /// Its name, the key in it and what is wrong.
        #[source]
        source: Box<hsm_config::Error>,
    },
    /// Two sections with one name; there is no order in which that is meant.
    #[error("{}, line {line}: there is another [[hsm]] with the name {name:?}", .path.display())]
    HsmTwice {
        /// The file with the second one.
        path: PathBuf,
        /// Where the second one begins.
        line: usize,
        /// The name.
        name: String,
    },
    /// A key that has no default.
    #[error("the key `{key}` is missing in {} and in conf.d beside it", .path.display())]
    Missing {
        /// The main file.
        path: PathBuf,
        /// The key with its table.
        key: &'static str,
    },
    /// A file that belongs to neither root nor the service.
    #[error(
        "{} belongs to user {owner}, who is neither root nor the user that runs this",
        .path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// A file or directory that cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No TOML, an unknown key, or an impossible value.
    #[error("{}, {message}", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The line, what is wrong with it, and the nearest known key; no value is repeated.
        message: String,
    },
}

#[cfg(test)]
mod tests;
