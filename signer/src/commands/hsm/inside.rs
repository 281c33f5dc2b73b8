//! The child process that loads the module, and what all commands do in it first.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use hsm_config::{Module as ModuleConfig, SignMechanism};
use minion::verify::Algorithm;

use super::secrets::{self, Secrets};
use super::target::{Flags, Target};
use crate::hsm::INHERITED;
use crate::hsm::token::{self, Error, Module, Session, SigningKey, TokenInfo};
use crate::terminal;

/// Runs this very command line again, in the environment that a worker gets, with some arguments
/// more.
pub(super) fn run(
    module: &ModuleConfig,
    secrets: &Secrets,
    more: &[String],
) -> anyhow::Result<ExitCode> {
    let executable = std::env::current_exe().context("failed to find this program's own file")?;
    let inherited = std::env::vars_os().filter(|(name, _)| {
        name.to_str()
            .is_some_and(|name| INHERITED.contains(&name) || OURS.contains(&name))
    });
    let mut child = Command::new(executable)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .args(more)
        .env_clear()
        .envs(inherited)
        .envs(&module.environment)
        .stdin(Stdio::piped())
        .spawn()
        .context("failed to start the process that loads the PKCS#11 module")?;
    if let Some(stdin) = child.stdin.take() {
        // A child that ends before it reads them says why by itself.
        let _ = secrets.send(stdin);
    }
    let status = child
        .wait()
        .context("failed to wait for the process that loads the PKCS#11 module")?;
    if let Some(signal) = status.signal() {
        bail!(
            "the process was ended by signal {signal} inside the PKCS#11 module {}; such a module \
             cannot be used",
            module.path.display()
        );
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The same for a command that uses a key: it has to be named, and the PIN is read.
pub(super) fn run_with_pin(target: &Target, given: &Flags) -> anyhow::Result<ExitCode> {
    target.token()?;
    target.key()?;
    let secrets = Secrets {
        pin: Some(secrets::read_pin(target)?),
        ..Secrets::default()
    };
    run(&target.module, &secrets, &target.more(given))
}

/// A key in its token, with the session that is logged in.
pub(super) struct Opened {
    pub(super) module: Module,
    pub(super) token: TokenInfo,
    pub(super) key: SigningKey,
    keeper: Session,
}

impl Opened {
    /// Loads the module, presents the PIN and finds the key.
    pub(super) fn of(target: &Target, secrets: &Secrets) -> anyhow::Result<Self> {
        let module = load(target)?;
        let token = find(&module, target)?;
        let keeper = module.open_session(&token)?;
        login(&keeper, &token, secrets, target)?;
        let key = keeper
            .find_key(&target.key()?)
            .map_err(|error| explain(error, target))?;
        Ok(Self {
            module,
            token,
            key,
            keeper,
        })
    }

    /// Logs out and lets the module go.
    pub(super) fn close(self) -> anyhow::Result<()> {
        self.keeper.close()?;
        self.module.finalize()?;
        Ok(())
    }
}

/// Loads the module.
pub(super) fn load(target: &Target) -> anyhow::Result<Module> {
    Module::load(&target.module).map_err(|error| explain(error, target))
}

/// Finds the token that the target names.
pub(super) fn find(module: &Module, target: &Target) -> anyhow::Result<TokenInfo> {
    module
        .find(target.token()?)
        .map_err(|error| explain(error, target))
}

/// Presents the PIN, once, and not at all if that could lock the token.
pub(super) fn login(
    session: &Session,
    token: &TokenInfo,
    secrets: &Secrets,
    target: &Target,
) -> anyhow::Result<()> {
    if token.pin_locked {
        bail!(
            "the PIN of the token {token} is locked; its security officer can set a new one \
             (C_InitPIN)"
        );
    }
    if token.pin_final_try {
        bail!(
            "one more wrong PIN locks the token {token}, so none was presented; log in once with \
             the vendor's tool"
        );
    }
    if token.pin_count_low {
        terminal::note(format_args!(
            "note: a wrong PIN was presented to the token {token} since the last right one"
        ))?;
    }
    session
        .login(secrets.pin()?)
        .map_err(|error| explain(error, target))
}

/// Has the key sign its own public half, in a session of its own: a failure makes a session
/// useless.
pub(super) fn trial(
    module: &Module,
    token: &TokenInfo,
    key: &SigningKey,
    mechanism: SignMechanism,
    algorithm: Algorithm,
) -> Result<(), Error> {
    let mut session = module.open_session(token)?;
    let result = session.sign_trial(key, mechanism, algorithm);
    // The answer counts, not the goodbye.
    let _ = session.close();
    result.map(drop)
}

/// Adds what an operator needs beside the token's own words.
pub(super) fn explain(error: Error, target: &Target) -> anyhow::Error {
    let hint = match &error {
        Error::NoSuchToken { .. } => missing_environment(target),
        Error::WrongSignature { .. } => Some(wrong_signature(target.mechanism).to_owned()),
        _ => pin_hint(&error.code()).map(str::to_owned),
    };
    let error = anyhow::Error::new(error);
    match hint {
        Some(hint) => error.context(hint),
        None => error,
    }
}

const fn wrong_signature(mechanism: SignMechanism) -> &'static str {
    match mechanism {
        SignMechanism::Raw => {
            "the token signs wrongly with sign_mechanism = \"raw\"; try \"hashed\". If that is no \
             better, do not use this key here and ask the vendor"
        }
        SignMechanism::Hashed => {
            "the token signs wrongly with sign_mechanism = \"hashed\"; try \"raw\". If that is no \
             better, do not use this key here and ask the vendor"
        }
    }
}

fn pin_hint(code: &str) -> Option<&'static str> {
    match code {
        "CKR_PIN_INCORRECT" => Some(
            "the token refused the PIN. It was presented once and is not tried again: a token \
             locks after a few wrong \
             ones",
        ),
        "CKR_PIN_LOCKED" => {
            Some("the PIN is locked; the token's security officer can set a new one (C_InitPIN)")
        }
        "CKR_PIN_EXPIRED" => Some("the PIN has expired; change it with the vendor's tool"),
        "CKR_PIN_INVALID" | "CKR_PIN_LEN_RANGE" | "CKR_PIN_TOO_WEAK" => {
            Some("the token takes no PIN of this form or length")
        }
        "CKR_USER_PIN_NOT_INITIALIZED" => {
            Some("the token has no user PIN yet; its security officer sets one (C_InitPIN)")
        }
        _ => None,
    }
}

/// Which variables the provider's module reads and does not get.
fn missing_environment(target: &Target) -> Option<String> {
    let given = &target.module.environment;
    let profile = target.profile.as_ref()?;
    let missing: Vec<&str> = profile
        .environment
        .keys()
        .filter(|name| !given.contains_key(*name))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "the module of {} reads {}, and gets only what [hsm.environment] or --env gives it",
        profile.title,
        missing.join(", ")
    ))
}

/// Text from a token, fit for a terminal.
pub(super) fn shown(text: &str) -> String {
    token::clean(text.as_bytes())
}

/// The child reads the same configuration, so it has to find it by the same variable, and it writes
/// to the same terminal.
const OURS: [&str; 5] = [
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "MASTERSIGN_CONFIG",
    "NO_COLOR",
    "TERM",
];
