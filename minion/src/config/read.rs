//! From the table of options to a [`Config`].

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::id::{self, Names};
use super::option::Options;
use super::{Config, ConfigError, KeepId, Overrides, cluster, grains, logging, network, rules};
use crate::salt_config::{below, normal, with_domain};
use crate::verify::{Algorithm, Fingerprint};
use crate::wire::envelope::Algorithms;
use crate::wire::id::MinionId;
use crate::wire::private_key::Encryption;

/// Checks every option; those that are left are unknown.
pub(super) fn read(
    mut table: Options,
    sources: Vec<PathBuf>,
    main: &Path,
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let options = &mut table;
    let mut warnings = rules::check(options)?;
    let root_dir = root_dir(options)?;
    let (id, keep_id) = name(options, &root_dir)?;
    let directories = directories(options, &root_dir, &id)?;
    let masters = cluster::masters(options)?;
    let (hash_type, master_finger) = hashes(options)?;
    let config = Config {
        conf_file: main.to_owned(),
        sources,
        id,
        keep_id,
        user: options.word("user")?,
        state_file: state_file(options, &directories.cachedir)?,
        pki_dir: directories.pki_dir,
        cachedir: directories.cachedir,
        failover: cluster::failover(options, &masters)?,
        masters,
        publish_port: network::publish_port(options)?,
        algorithms: algorithms(options)?,
        publish_signing_algorithm: signing(options, "publish_signing_algorithm")?,
        master_sign_key_name: sign_key_name(options)?,
        hash_type,
        master_finger,
        keysize: keysize(options)?,
        network: network::network(options)?,
        returns: network::returns(options)?,
        jobs_remembered: options.count("minion_jid_queue_hwm")?.unwrap_or(100),
        start_events: options
            .boolean("enable_legacy_startup_events")?
            .unwrap_or(true),
        ping_interval: options
            .minutes("ping_interval")?
            .filter(|every| !every.is_zero()),
        log: logging::read(options, &root_dir, overrides, &mut warnings)?,
        grains: grains::read(options, main)?,
        autosign_grains: options.texts("autosign_grains")?.unwrap_or_default(),
        unknown: Vec::new(),
        warnings,
    };
    options.drop(&["include", "default_include", "conf_file"]);
    Ok(Config {
        unknown: table.left()?,
        ..config
    })
}

fn root_dir(options: &mut Options) -> Result<PathBuf, ConfigError> {
    let Some(found) = options.take("root_dir")? else {
        return Ok(PathBuf::from("/"));
    };
    match found.value.as_str().map(Path::new) {
        Some(path) if path.is_absolute() => Ok(normal(path)),
        Some(_) => Err(found.refused(
            "is relative, so it depends on where the minion is started; write an absolute path",
        )),
        None => Err(found.unexpected("a path")),
    }
}

struct Directories {
    pki_dir: PathBuf,
    cachedir: PathBuf,
}

/// Salt 3008.5, `salt/config/__init__.py`, `apply_minion_config`: the id comes behind the directory
/// before `root_dir` comes before it.
fn directories(
    options: &mut Options,
    root_dir: &Path,
    id: &MinionId,
) -> Result<Directories, ConfigError> {
    let with_id = options
        .texts("append_minionid_config_dirs")?
        .unwrap_or_default();
    let mut directory = |option: &'static str, stock: &str| {
        let configured = options.word(option)?;
        let mut path = PathBuf::from(configured.as_deref().unwrap_or(stock));
        if with_id.iter().any(|name| name == option) {
            path.push(id.as_str());
        }
        Ok::<_, ConfigError>(below(root_dir, &path))
    };
    Ok(Directories {
        pki_dir: directory("pki_dir", "/etc/salt/pki/minion")?,
        cachedir: directory("cachedir", "/var/cache/salt/minion")?,
    })
}

/// Salt 3008.5, `salt/config/__init__.py`, `apply_minion_config` and `get_id`. The file lies in
/// Salt's own directory below `root_dir`, wherever the configuration is.
fn name(options: &mut Options, root_dir: &Path) -> Result<(MinionId, Option<KeepId>), ConfigError> {
    let file = below(root_dir, Path::new("/etc/salt/minion_id"));
    let caching = options.boolean("minion_id_caching")?.unwrap_or(true);
    let lowercase = options.boolean("minion_id_lowercase")?.unwrap_or(false);
    let removed = removed_domain(options)?;
    let append = options.word("append_domain")?;
    let configured = options.word("id")?;
    let kept = if configured.is_none() && caching {
        id::kept(&file)?
    } else {
        None
    };
    let (name, origin, keep) = match (configured, kept) {
        (Some(name), _) => (name, "the option `id`".to_owned(), None),
        (None, Some(name)) => (name, format!("the file {}", file.display()), None),
        (None, None) => {
            let found = Names::look_up()?.first();
            let mut name = found.ok_or_else(|| ConfigError::NoName(file.clone()))?;
            if lowercase {
                name = name.to_lowercase();
            }
            if let Some(domain) = removed {
                name = id::without_domain(&name, domain.as_deref());
            }
            let content = name.clone();
            let keep = caching.then_some(KeepId { file, content });
            (name, "the name of this host".to_owned(), keep)
        }
    };
    let name = match append {
        Some(domain) => with_domain(name, &domain),
        None => name,
    };
    let id = name
        .parse()
        .map_err(|source| ConfigError::Id { origin, source })?;
    Ok((id, keep))
}

/// `minion_id_remove_domain`: none is no, then which one, or all.
fn removed_domain(options: &mut Options) -> Result<Option<Option<String>>, ConfigError> {
    let domain = options.parse(
        "minion_id_remove_domain",
        "True, False or a domain",
        |value| match value {
            Value::Bool(false) => Some(None),
            Value::Bool(true) => Some(Some(None)),
            Value::String(domain) if domain.is_empty() => Some(None),
            Value::String(domain) => Some(Some(Some(domain.clone()))),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        },
    )?;
    Ok(domain.flatten())
}

fn state_file(options: &mut Options, cachedir: &Path) -> Result<PathBuf, ConfigError> {
    let configured = options.parsed("mastersign_state_file", "an absolute path", |text| {
        Some(PathBuf::from(text)).filter(|path| path.is_absolute())
    })?;
    Ok(configured.unwrap_or_else(|| cachedir.join("mastersign-masters.json")))
}

fn algorithms(options: &mut Options) -> Result<Algorithms, ConfigError> {
    let encryption =
        options.parsed("encryption_algorithm", "OAEP-SHA1 or OAEP-SHA224", |text| {
            text.parse().ok()
        })?;
    Ok(Algorithms {
        signing: signing(options, "signing_algorithm")?,
        encryption: encryption.unwrap_or(Encryption::Sha1),
    })
}

fn signing(options: &mut Options, option: &'static str) -> Result<Algorithm, ConfigError> {
    let algorithm = options.parsed(option, "PKCS1v15-SHA1 or PKCS1v15-SHA224", |text| {
        text.parse().ok()
    })?;
    Ok(algorithm.unwrap_or(Algorithm::Sha1))
}

fn sign_key_name(options: &mut Options) -> Result<String, ConfigError> {
    let name = options.parsed(
        "master_sign_key_name",
        "the name of a file in pki_dir, without .pub",
        |text| {
            let plain = !text.contains(['/', '\0']) && !text.starts_with('.');
            plain.then(|| text.to_owned())
        },
    )?;
    Ok(name.unwrap_or_else(|| "master_sign".to_owned()))
}

/// `hash_type`, in small letters as Salt has it, and `master_finger`. What anybody should still
/// compare is SHA-256, Salt's default.
fn hashes(options: &mut Options) -> Result<(String, Option<Fingerprint>), ConfigError> {
    let finger = options.parsed(
        "master_finger",
        "32 pairs of hexadecimal digits joined by colons, as `salt-key -F` shows",
        |text| text.to_ascii_lowercase().parse().ok(),
    )?;
    let Some(found) = options.take("hash_type")? else {
        return Ok(("sha256".to_owned(), finger));
    };
    let Some(name) = found.value.as_str().map(str::to_lowercase) else {
        return Err(found.unexpected("a text"));
    };
    if finger.is_some() && name != "sha256" {
        return Err(found.refused(
            "is not sha256, and master_finger is compared as SHA-256; write `hash_type: sha256` \
             and the fingerprint that `salt-key -F master` then shows",
        ));
    }
    Ok((name, finger))
}

fn keysize(options: &mut Options) -> Result<u32, ConfigError> {
    let bits = options.parse("keysize", "2048, 3072 or 4096", |value| {
        let bits = value.as_u64().and_then(|bits| u32::try_from(bits).ok())?;
        [2048, 3072, 4096].contains(&bits).then_some(bits)
    })?;
    Ok(bits.unwrap_or(2048))
}
