//! The salt-master's own configuration, read as salt-master reads it.
//!
//! The signature has to lie where the master looks for it, so there is no second place to say where
//! that is. In a cluster the masters show the cluster's key, so that is the one that is signed.
//! What Salt would resolve by running something (`sdb://`), and key drivers that keep no files, are
//! refused by name: a guess here ends as minions that no longer sign in.

use std::path::{Path, PathBuf};

use minion::salt_config::{self, Daemon, FileError, Loaded, Planned, Source, Table, below, normal};
use secrecy::SecretString;
use serde_json::Value;

/// The options of a salt-master that decide where its keys and its signature are.
#[derive(Debug)]
pub struct SaltMaster {
    /// `pki_dir`: where the signature lies.
    pub pki_dir: PathBuf,
    /// Where the key lies that the master shows: `pki_dir`, or `cluster_pki_dir` in a cluster.
    pub key_dir: PathBuf,
    /// That key's name: `master`, or `cluster` in a cluster.
    pub key_name: &'static str,
    /// `id`, if it is configured; otherwise Salt derives one from the host's name.
    pub id: Option<String>,
    /// `user`, whom salt-master runs as.
    pub user: Option<String>,
    /// `master_pubkey_signature`, if it is configured.
    pub signature_name: Option<String>,
    /// `master_sign_key_name`.
    pub sign_key_name: String,
    /// `key_pass`, which decrypts `master.pem`; `cluster_key_pass` in a cluster.
    pub key_pass: Option<SecretString>,
    /// `master_sign_pubkey`: whether the master shows a signature at all.
    pub signs: bool,
    /// `master_use_pubkey_signature`: whether it shows the one in the file.
    pub uses_file: bool,
    /// The files that were read.
    pub sources: Vec<Source>,
}

impl SaltMaster {
    /// Reads `master` in `directory` with everything that it includes.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read, or the option that cannot be followed and what to do
    /// about it.
    pub fn load(directory: &Path) -> Result<Self, SaltConfigError> {
        if !directory.is_dir() {
            return Err(SaltConfigError::NoDirectory(directory.to_owned()));
        }
        let loaded = salt_config::load(Daemon::Master, &directory.join("master"))?;
        Self::read(loaded)
    }

    /// Reads the same as it would be with a file of this content in `master.d`.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_planned(directory: &Path, planned: Planned) -> Result<Self, SaltConfigError> {
        let main = directory.join("master");
        let loaded = salt_config::load_planned(Daemon::Master, &main, Some(planned))?;
        Self::read(loaded)
    }

    /// Makes something of options that were read.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), files apart.
    pub fn read(loaded: Loaded) -> Result<Self, SaltConfigError> {
        let Loaded { options, sources } = loaded;
        let options = &options;
        if let Some(driver) = text(options, "keys.cache_driver")?
            && driver != "localfs_key"
        {
            return Err(SaltConfigError::KeysElsewhere(driver));
        }
        let root_dir = text(options, "root_dir")?.unwrap_or_else(|| "/".to_owned());
        let pki_dir =
            text(options, "pki_dir")?.unwrap_or_else(|| "/etc/salt/pki/master".to_owned());
        let root_dir = PathBuf::from(root_dir);
        if !root_dir.is_absolute() {
            return Err(SaltConfigError::RelativeRoot);
        }
        let pki_dir = below(&root_dir, Path::new(&pki_dir));
        // Salt 3007.17 and 3008.5, `salt/config/__init__.py`: cluster_pki_dir defaults to pki_dir
        // and is not put below root_dir. The signature stays in pki_dir (`salt/crypt.py`,
        // `MasterKeys`).
        let in_cluster = truthy(options.get("cluster_id"));
        let shared = text(options, "cluster_pki_dir")?.filter(|path| !path.is_empty());
        let (key_dir, key_name, key_pass) = match (in_cluster, shared) {
            (false, _) => (pki_dir.clone(), "master", "key_pass"),
            (true, None) => (pki_dir.clone(), "cluster", "cluster_key_pass"),
            (true, Some(shared)) => {
                let shared = PathBuf::from(shared);
                if !shared.is_absolute() {
                    return Err(SaltConfigError::RelativeCluster);
                }
                (normal(&shared), "cluster", "cluster_key_pass")
            }
        };
        Ok(Self {
            pki_dir,
            key_dir,
            key_name,
            id: id(options)?,
            user: text(options, "user")?,
            signature_name: text(options, "master_pubkey_signature")?
                .filter(|name| !name.is_empty()),
            sign_key_name: text(options, "master_sign_key_name")?
                .unwrap_or_else(|| "master_sign".to_owned()),
            key_pass: text(options, key_pass)?
                .filter(|pass| !pass.is_empty())
                .map(SecretString::from),
            signs: truthy(options.get("master_sign_pubkey")),
            uses_file: truthy(options.get("master_use_pubkey_signature")),
            sources,
        })
    }

    /// The lines that the master's configuration lacks for the file to be served, empty if it has
    /// them all.
    #[must_use]
    pub fn missing_lines(&self, signature_name: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.signs {
            lines.push("master_sign_pubkey: True".to_owned());
        }
        if !self.uses_file {
            lines.push("master_use_pubkey_signature: True".to_owned());
        }
        if self.signature_name.is_none() {
            lines.push(format!("master_pubkey_signature: {signature_name}"));
        }
        lines
    }
}

/// Why the salt-master's configuration does not say where its signature belongs.
#[derive(Debug, thiserror::Error)]
pub enum SaltConfigError {
    /// Keys in a database.
    #[error(
        "keys.cache_driver is {0:?}: Salt 3008 keeps its keys and the signature in that cache, not \
         in files, and only localfs_key, the default, is supported. Nothing was changed"
    )]
    KeysElsewhere(String),
    /// The files cannot be read.
    #[error("failed to read the configuration of the salt-master")]
    Load(#[from] FileError),
    /// The directory does not exist.
    #[error(
        "there is no directory {}; --salt-config says where Salt's `master` file is",
        .0.display()
    )]
    NoDirectory(PathBuf),
    /// `cluster_pki_dir` depends on where salt-master is started.
    #[error(
        "cluster_pki_dir is relative, so it depends on where salt-master is started; write an \
         absolute path"
    )]
    RelativeCluster,
    /// `root_dir` depends on where salt-master is started.
    #[error(
        "root_dir is relative, so it depends on where salt-master is started; write an absolute \
         path"
    )]
    RelativeRoot,
    /// A value that Salt would fetch by running a module.
    #[error(
        "{option} is an sdb:// address, which only Salt itself can resolve; write the value into a \
         file in master.d that only the user of salt-master can read, or decrypt the key"
    )]
    Sdb {
        /// The option.
        option: &'static str,
    },
    /// Not a text.
    #[error("{option} is not a text")]
    Type {
        /// The option.
        option: &'static str,
    },
}

fn text(options: &Table, option: &'static str) -> Result<Option<String>, SaltConfigError> {
    match options.get(option) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) if value.starts_with("sdb://") => {
            Err(SaltConfigError::Sdb { option })
        }
        Some(Value::String(value)) => Ok(Some(value.clone())),
        // `key_pass: 1234` is a number to YAML; Salt hands it on as it is and fails later.
        Some(Value::Number(value)) => Ok(Some(value.to_string())),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            Err(SaltConfigError::Type { option })
        }
    }
}

/// `id`, to which Salt adds `append_domain`.
fn id(options: &Table) -> Result<Option<String>, SaltConfigError> {
    let Some(id) = text(options, "id")?.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    Ok(Some(match text(options, "append_domain")? {
        Some(domain) => salt_config::with_domain(id, &domain),
        None => id,
    }))
}

/// What Python takes for true.
fn truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(value)) => value.as_f64() != Some(0.0),
        Some(Value::String(value)) => !value.is_empty(),
        Some(Value::Array(value)) => !value.is_empty(),
        Some(Value::Object(value)) => !value.is_empty(),
    }
}

#[cfg(test)]
mod tests;
