//! What a supporter needs, in one file, without secrets.
//!
//! What goes in is listed by name, and everything else stays out: a list of what to take out would
//! be wrong as soon as a key is added to the configuration.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::finding::Finding;
use crate::clock::{Clock, SystemClock};
use crate::commands::fetch::SettingsArguments;
use crate::config::{Config, ConfigArgument};
use crate::fetch::salt_config::SaltMaster;
use crate::fetch::settings::SALT_CONFIG;

/// The service's configuration without PIN sources' arguments, variables and init arguments.
pub(super) fn of_service(argument: &ConfigArgument) -> Value {
    match argument.load() {
        Ok(config) => service(&config),
        Err(error) => json!({"refused": error.to_string()}),
    }
}

fn service(config: &Config) -> Value {
    let hsms: Vec<Value> = config
        .hsms
        .iter()
        .map(|hsm| {
            let names: Vec<&String> = hsm.module.environment.keys().collect();
            json!({
                "name": hsm.name.as_str(),
                "profile": hsm.profile.as_ref().map(|profile| &profile.name),
                "module": hsm.module.path,
                "token_label": hsm.token.label,
                "key_id": hsm.key.id.to_string(),
                "public_key": hsm.public_key,
                "pin": source(&hsm.pin),
                "environment": names,
                "init_args": hsm.module.init_args.is_some(),
                "sign_mechanism": format!("{:?}", hsm.sign_mechanism),
                "require_never_extractable": format!("{:?}", hsm.never_extractable),
            })
        })
        .collect();
    json!({
        "path": config.path,
        "state_dir": config.state_dir,
        "listen": {"api": config.listen.api, "ops": config.listen.ops},
        "tls": {
            "certificate": config.tls.certificate,
            "key": config.tls.key,
            "masters_ca": config.tls.masters_ca,
            "operators_ca": config.tls.operators_ca,
        },
        "store": {"id": config.store.id, "path": config.store.path},
        "default_algorithm": config.signing.default_algorithm.name(),
        "log": config.log.filter,
        "hsms": hsms,
    })
}

/// Which kind of source it is, and nothing of what it is called with.
const fn source(pin: &hsm_config::PinSource) -> &'static str {
    use hsm_config::PinSource;
    match pin {
        PinSource::Command { .. } => "command",
        PinSource::Credential { .. } => "credential",
        PinSource::Descriptor { .. } => "fd",
        PinSource::Environment { .. } => "environment",
        PinSource::File { .. } => "file",
        PinSource::Locked => "none",
        PinSource::Prompt => "prompt",
    }
}

/// The settings of `fetch`, and the options of Salt that matter here.
pub(super) fn of_master(settings: &SettingsArguments) -> Value {
    let partial = match settings.clone().partial() {
        Ok(partial) => partial,
        Err(error) => return json!({"refused": error.to_string()}),
    };
    let directory = partial.salt_config.clone();
    let directory = directory.unwrap_or_else(|| SALT_CONFIG.into());
    let salt = match SaltMaster::load(&directory) {
        Ok(salt) => json!({
            "pki_dir": salt.pki_dir,
            "key_dir": salt.key_dir,
            "key_name": salt.key_name,
            "id": salt.id,
            "user": salt.user,
            "master_pubkey_signature": salt.signature_name,
            "master_sign_key_name": salt.sign_key_name,
            "master_sign_pubkey": salt.signs,
            "master_use_pubkey_signature": salt.uses_file,
            "key_pass": salt.key_pass.is_some(),
            "files": salt.sources.iter().map(|it| &it.path).collect::<Vec<_>>(),
        }),
        Err(error) => json!({"refused": error.to_string()}),
    };
    json!({
        "url": partial.url,
        "ca": partial.ca,
        "certificate": partial.certificate,
        "key": partial.key,
        "master_sign_pub": partial.master_sign_pub,
        "algorithm": partial.algorithm,
        "salt": salt,
    })
}

/// Writes the bundle into a new file that only its owner can read.
pub(super) fn write(path: &Path, finding: &Finding, configuration: Value) -> anyhow::Result<()> {
    let mut bundle = Map::new();
    bundle.insert("bundle".to_owned(), json!("mastersign-bundle-v1"));
    bundle.insert("time".to_owned(), json!(SystemClock.now()));
    bundle.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    bundle.insert("system".to_owned(), json!(system()));
    bundle.insert("configuration".to_owned(), configuration);
    bundle.insert("findings".to_owned(), finding.json());
    let text = serde_json::to_string_pretty(&Value::Object(bundle))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("failed to create {}", path.display()))?;
    writeln!(file, "{text}").with_context(|| format!("failed to write {}", path.display()))
}

fn system() -> Vec<String> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find(|line| line.starts_with("PRETTY_NAME="));
    let kernel = std::fs::read_to_string("/proc/version").unwrap_or_default();
    [name.unwrap_or_default(), kernel.trim()]
        .map(str::to_owned)
        .to_vec()
}
