//! Which module, token and key a command is about: a `[[hsm]]` section, or flags that say the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use hsm_config::{
    KeyId, KeySelector, Module, PinSource, Profile, SignMechanism, Strictness, TokenSelector,
};

use crate::config::ConfigArgument;
use crate::hsm::token::{Custody, KeyPlan};

/// The flags that name an HSM.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Flags {
    #[command(flatten)]
    config: ConfigArgument,
    /// The name of a [[hsm]] section; may be left out if there is one only
    #[arg(long, value_name = "NAME", conflicts_with_all = ["module", "profile"])]
    pub(super) hsm: Option<String>,
    /// Instead of a configuration: the PKCS#11 module, by absolute path
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// Instead of a configuration: the provider; brings the usual path of its module
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// An environment variable for the module; it gets no other but PATH, HOME and the like
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    environment: Vec<(String, String)>,
    /// The text that the module wants with `C_Initialize` (NSS, `YubiHSM`)
    #[arg(long, value_name = "TEXT")]
    init_args: Option<String>,
    /// The token's label
    #[arg(long, value_name = "LABEL")]
    token_label: Option<String>,
    /// The token's serial number
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
    /// The key's `CKA_ID` in hexadecimal
    #[arg(long, value_name = "HEX")]
    key_id: Option<KeyId>,
    /// The key's `CKA_LABEL`
    #[arg(long, value_name = "LABEL")]
    key_label: Option<String>,
    /// Where the digest is computed: raw (here, `CKM_RSA_PKCS`) or hashed (in the token)
    #[arg(long, value_name = "raw|hashed", value_parser = mechanism)]
    sign_mechanism: Option<SignMechanism>,
    /// The file with the PIN, mode 0400; without it the configured source, or the terminal, is
    /// asked
    #[arg(long, value_name = "FILE")]
    pub(super) pin_file: Option<PathBuf>,
}

/// An HSM, as far as it was named.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its name in the configuration, if it is from there.
    pub(super) name: Option<String>,
    pub(super) module: Module,
    pub(super) token: Option<TokenSelector>,
    pub(super) key_id: Option<KeyId>,
    pub(super) key_label: Option<String>,
    pub(super) pin: PinSource,
    pub(super) public_key: Option<PathBuf>,
    pub(super) mechanism: SignMechanism,
    pub(super) never_extractable: Strictness,
    pub(super) profile: Option<Profile>,
}

impl Flags {
    /// Everything that the arguments name: more than one only if `--hsm` was left out.
    pub(super) fn targets(&self) -> anyhow::Result<Vec<Target>> {
        if self.module.is_some() || self.profile.is_some() {
            return Ok(vec![self.by_flags()?]);
        }
        ensure!(
            !self.has_flags(),
            "give --module or --profile with --env, --init-args, --token-label, --serial, \
             --key-id, --key-label and \
             --sign-mechanism; with a configuration, these are settings of its [[hsm]] section"
        );
        let config = self.config.load()?;
        let path = config.path.display();
        let mut hsms = config.hsms;
        let names: Vec<String> = hsms.iter().map(|hsm| hsm.name.to_string()).collect();
        if let Some(wanted) = &self.hsm {
            hsms.retain(|hsm| hsm.name.as_str() == wanted);
            ensure!(
                !hsms.is_empty(),
                "{path} has no [[hsm]] section named {wanted:?}; it has: {}",
                names.join(", ")
            );
        }
        ensure!(!hsms.is_empty(), "{path} has no [[hsm]] section");
        let pin = self.pin_file()?;
        Ok(hsms
            .into_iter()
            .map(|hsm| Target {
                name: Some(hsm.name.to_string()),
                module: hsm.module,
                token: Some(hsm.token),
                key_id: Some(hsm.key.id),
                key_label: hsm.key.label,
                pin: pin.clone().unwrap_or(hsm.pin),
                public_key: hsm.public_key,
                mechanism: hsm.sign_mechanism,
                never_extractable: hsm.never_extractable,
                profile: hsm.profile,
            })
            .collect())
    }

    /// The only target; several are an error that names them.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let mut targets = self.targets()?;
        match (targets.pop(), targets.is_empty()) {
            (Some(only), true) => Ok(only),
            (last, _) => {
                targets.extend(last);
                let names: Vec<&str> = targets.iter().filter_map(|t| t.name.as_deref()).collect();
                bail!("name one of the HSMs with --hsm: {}", names.join(", "))
            }
        }
    }

    fn by_flags(&self) -> anyhow::Result<Target> {
        let profile = self.profile.as_deref().map(Profile::find).transpose()?;
        let path = match (&self.module, &profile) {
            (Some(path), _) => path.clone(),
            (None, Some(profile)) => profile.module().cloned().with_context(|| {
                format!(
                    "{} has no usual place; give the path with --module",
                    profile.title
                )
            })?,
            (None, None) => bail!("give --module or --profile"),
        };
        let environment: BTreeMap<String, String> = self.environment.iter().cloned().collect();
        let module = Module::new(path, self.init_args.clone(), environment)?;
        let token = if self.serial.is_none() && self.token_label.is_none() {
            None
        } else {
            Some(TokenSelector::new(
                self.serial.clone(),
                self.token_label.clone(),
            )?)
        };
        Ok(Target {
            name: None,
            module,
            token,
            key_id: self.key_id.clone(),
            key_label: self.key_label.clone(),
            pin: self.pin_file()?.unwrap_or(PinSource::Prompt),
            public_key: None,
            mechanism: self.sign_mechanism.unwrap_or_default(),
            never_extractable: Strictness::default(),
            profile,
        })
    }

    fn pin_file(&self) -> anyhow::Result<Option<PinSource>> {
        let Some(path) = &self.pin_file else {
            return Ok(None);
        };
        let path = std::path::absolute(path).context("failed to make --pin-file absolute")?;
        Ok(Some(PinSource::File { path }))
    }

    const fn has_flags(&self) -> bool {
        !self.environment.is_empty()
            || self.init_args.is_some()
            || self.token_label.is_some()
            || self.serial.is_some()
            || self.key_id.is_some()
            || self.key_label.is_some()
            || self.sign_mechanism.is_some()
    }
}

impl Target {
    /// What the child has to be told beside the parent's own arguments.
    pub(super) fn more(&self, given: &Flags) -> Vec<String> {
        match (&self.name, &given.hsm) {
            (Some(name), None) => vec!["--hsm".to_owned(), name.clone()],
            _ => Vec::new(),
        }
    }

    /// The token, if it was named.
    pub(super) fn token(&self) -> anyhow::Result<&TokenSelector> {
        self.token.as_ref().context(
            "name the token with --token-label or --serial; `mastersign hsm list` prints them",
        )
    }

    /// The key, if it was named.
    pub(super) fn key(&self) -> anyhow::Result<KeySelector> {
        let id = self
            .key_id
            .clone()
            .context("name the key with --key-id; `mastersign hsm list --login` prints the ids")?;
        Ok(KeySelector::new(id, self.key_label.clone())?)
    }
}

impl Target {
    /// The key that is to be made: under the id and label that were named, or a random id.
    pub(super) fn plan(&self, bits: u32, custody: Custody) -> anyhow::Result<KeyPlan> {
        let id = match &self.key_id {
            Some(id) => id.clone(),
            None => {
                let mut bytes = [0; 16];
                openssl::rand::rand_bytes(&mut bytes).context("failed to draw a random CKA_ID")?;
                KeyId::new(bytes)?
            }
        };
        Ok(KeyPlan {
            id,
            label: self
                .key_label
                .clone()
                .unwrap_or_else(|| DEFAULT_LABEL.to_owned()),
            bits,
            mechanism: self.mechanism,
            custody,
            omit: self
                .profile
                .as_ref()
                .map(|profile| profile.omit.clone())
                .unwrap_or_default(),
        })
    }
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text
        .split_once('=')
        .ok_or("an environment variable is given as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn mechanism(text: &str) -> Result<SignMechanism, &'static str> {
    match text {
        "raw" => Ok(SignMechanism::Raw),
        "hashed" => Ok(SignMechanism::Hashed),
        _ => Err("there are raw and hashed"),
    }
}

/// What Salt calls the key.
const DEFAULT_LABEL: &str = "master_sign";
