//! One token: module, PIN source, tries, mechanisms, and with a login the key.
//!
//! The module is loaded by `hsm list` and `hsm test` in children of their own, as ever: what doctor
//! reads is what they print.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use hsm_config::{Hsm, Module, ModuleError, PinSource, SignMechanism, Strictness};
use serde_json::Value;

use super::finding::Finding;
use crate::config::Config;
use crate::hsm::pin;
use crate::terminal;

/// Everything about one `[[hsm]]` section.
pub(super) fn look(config: &Config, hsm: &Hsm, login: bool) -> Finding {
    let mut parts = vec![module(&hsm.module), pin_source(hsm, service_user(config))];
    if hsm.public_key.is_none() {
        parts.push(Finding::warning(
            "public key",
            "none is pinned, so another key under this id would go unnoticed",
            "set public_key to the master_sign.pub that the minions have",
        ));
    }
    if hsm.never_extractable != Strictness::Refuse {
        parts.push(Finding::warning(
            "key",
            "a key that may have copies outside is accepted (require_never_extractable)",
            "plan the change to a key that was born in the HSM: mastersign hsm init",
        ));
    }
    match listed(config, hsm) {
        Ok(answer) => parts.extend(token(hsm, &answer)),
        Err(error) => parts.push(Finding::failure(
            "token",
            format!("{error:#}"),
            format!("mastersign hsm list --hsm {}", hsm.name),
        )),
    }
    if login {
        parts.push(tested(config, hsm));
    }
    Finding::group(&format!("HSM {}", hsm.name), parts)
}

fn module(module: &Module) -> Finding {
    let what = "module";
    let path = module.path.as_path();
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            return Finding::failure(
                what,
                format!("{}: {error}", path.display()),
                "install the vendor's client, or correct `module`",
            );
        }
    };
    if metadata.is_file()
        && let Err(error) = module.check_content()
    {
        let fix = match error {
            ModuleError::Content { .. } => {
                "compare the file with what the vendor publishes, then correct `module_sha256`"
            }
            _ => "let the user that runs this read it",
        };
        return Finding::failure(what, format!("{:#}", anyhow::Error::from(error)), fix);
    }
    let others = path.ancestors().find(|part| {
        part.metadata().is_ok_and(|it| {
            let writable = it.mode() & 0o022 != 0 && it.mode() & 0o1000 == 0;
            writable || it.uid() != 0
        })
    });
    match others {
        Some(part) if metadata.is_file() => Finding::warning(
            what,
            format!(
                "{} is loaded beside the PIN, and others than root may change {}",
                path.display(),
                part.display()
            ),
            format!("chown root {0} && chmod go-w {0}", part.display()),
        ),
        _ => Finding::good(what, path.display().to_string()),
    }
}

/// Whether the PIN can be read; it is not presented, and not kept.
/// Whom the service runs as: its state directory is that user's. Before its first start there is
/// none, and whoever looks is as good a guess.
fn service_user(config: &Config) -> u32 {
    let us = nix::unistd::geteuid().as_raw();
    let state = config.state_dir.metadata();
    state.map_or(us, |directory| directory.uid())
}

fn pin_source(hsm: &Hsm, user: u32) -> Finding {
    let what = "PIN source";
    match &hsm.pin {
        PinSource::Locked => Finding::warning(
            what,
            "none: the service starts locked",
            "mastersign hsm unlock after each start, or give the section a `pin`",
        ),
        PinSource::File { path } => match pin::check_file(path, user) {
            Ok(()) => Finding::good(what, path.display().to_string()),
            Err(error) => {
                let detail = format!("{:#}", anyhow::Error::new(error));
                Finding::failure(what, detail, "the service needs to read it; see its unit")
            }
        },
        PinSource::Environment { .. } => Finding::warning(
            what,
            "an environment variable, which every process of the user can read",
            "use a systemd credential",
        ),
        PinSource::Credential { .. } => {
            Finding::not_judged(what, "a systemd credential, which only the service has")
        }
        PinSource::Command { .. } => Finding::not_judged(what, "a command; not run"),
        PinSource::Descriptor { .. } | PinSource::Prompt => {
            Finding::not_judged(what, "handed over at the start")
        }
    }
}

fn token(hsm: &Hsm, answer: &Value) -> Vec<Finding> {
    let found = answer.pointer("/tokens/0").unwrap_or(&Value::Null);
    let of = |name: &str| found.get("token").and_then(|token| token.get(name));
    let word = |name: &str| of(name).and_then(Value::as_str).unwrap_or_default();
    let is = |name: &str| of(name).and_then(Value::as_bool) == Some(true);
    let name = format!(
        "{:?}, serial {:?}, {} {}, firmware {}",
        word("label"),
        word("serial"),
        word("manufacturer"),
        word("model"),
        word("firmware")
    );
    let tries = if is("pin_locked") {
        Finding::failure(
            "PIN tries",
            "none left: the PIN is locked",
            "the token's security officer sets a new one (C_InitPIN)",
        )
    } else if is("pin_final_try") {
        Finding::failure(
            "PIN tries",
            "one left: one more wrong PIN locks the token",
            "find out who presented the wrong ones; then log in once with the vendor's tool",
        )
    } else if is("pin_count_low") {
        Finding::warning(
            "PIN tries",
            "fewer than all: a wrong PIN was presented since the last login",
            "find out who; then mastersign hsm unlock --force",
        )
    } else if !is("pin_initialized") {
        Finding::failure(
            "PIN tries",
            "no user PIN is set",
            "the security officer sets one (C_InitPIN)",
        )
    } else {
        Finding::good("PIN tries", "all, as far as the token tells")
    };
    vec![Finding::good("token", name), tries, mechanisms(hsm, found)]
}

/// Which of the ways to sign the token offers, and whether the configured one is among them.
fn mechanisms(hsm: &Hsm, found: &Value) -> Finding {
    let what = "mechanisms";
    let Some(offered) = found.get("mechanisms").and_then(Value::as_object) else {
        return Finding::not_judged(what, "the token does not list them");
    };
    let has = |name: &str| {
        let sign = offered.get(name).and_then(|it| it.get("sign"));
        sign.and_then(Value::as_bool) == Some(true)
    };
    let list: Vec<&str> = offered.keys().map(String::as_str).collect();
    let list = list.join(", ");
    let (sha1, sha224) = (has("CKM_SHA1_RSA_PKCS"), has("CKM_SHA224_RSA_PKCS"));
    let hashed = match (sha1, sha224) {
        (true, true) => Hashed::Both,
        (true, false) => Hashed::Without("SHA-224"),
        (false, true) => Hashed::Without("SHA-1"),
        (false, false) => Hashed::Neither,
    };
    match (hsm.sign_mechanism, has("CKM_RSA_PKCS"), hashed) {
        (SignMechanism::Raw, true, _) | (SignMechanism::Hashed, _, Hashed::Both) => {
            Finding::good(what, list)
        }
        (SignMechanism::Hashed, is_raw, Hashed::Without(missing)) => Finding::warning(
            what,
            format!("the token does not hash by itself with {missing}; it offers {list}"),
            if is_raw {
                "sign_mechanism = \"raw\", which serves both algorithms"
            } else {
                "a policy of the HSM may forbid it: ask its administrator; masters with that \
                 algorithm get no signature"
            },
        ),
        (SignMechanism::Raw, false, Hashed::Both | Hashed::Without(_)) => Finding::failure(
            what,
            format!("the token does not sign with CKM_RSA_PKCS; it offers {list}"),
            "sign_mechanism = \"hashed\"",
        ),
        (SignMechanism::Hashed, true, Hashed::Neither) => Finding::failure(
            what,
            format!("the token does not hash by itself; it offers {list}"),
            "sign_mechanism = \"raw\"",
        ),
        (_, false, Hashed::Neither) => Finding::failure(
            what,
            format!("the token signs with none of the ways that Salt needs; it offers {list}"),
            "a policy of the HSM forbids them, most likely one against SHA-1: ask its administrator",
        ),
    }
}

/// Which of Salt's two digests the token makes by itself.
#[derive(Clone, Copy)]
enum Hashed {
    Both,
    Neither,
    Without(&'static str),
}

fn listed(config: &Config, hsm: &Hsm) -> anyhow::Result<Value> {
    own(config, hsm, "list")
}

fn tested(config: &Config, hsm: &Hsm) -> Finding {
    let fix = format!("mastersign hsm test --hsm {}", hsm.name);
    match own(config, hsm, "test") {
        Ok(answer) if answer.get("ok").and_then(Value::as_bool) == Some(true) => {
            Finding::good("login and trial signatures", "made and verified")
        }
        Ok(answer) => {
            let why = answer.get("failed").and_then(Value::as_str);
            let why = why.unwrap_or_default();
            Finding::failure("login and trial signatures", why, fix)
        }
        Err(error) => Finding::failure("login and trial signatures", format!("{error:#}"), fix),
    }
}

/// Runs one of our own commands and reads its answer.
fn own(config: &Config, hsm: &Hsm, command: &str) -> anyhow::Result<Value> {
    let executable = std::env::current_exe().context("failed to find this program's own file")?;
    let output = Command::new(executable)
        .args(["hsm", command, "--output=json", "--config"])
        .arg(&config.path)
        .args(["--hsm", hsm.name.as_str()])
        .stdin(Stdio::null())
        .output()
        .context("failed to start a child")?;
    let line = String::from_utf8_lossy(&output.stdout);
    match serde_json::from_str(&line) {
        Ok(answer) => Ok(answer),
        Err(_) => {
            bail!("{}", terminal::refusal(&output.stderr))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Level;
    use super::*;

    fn hsm(more: &str) -> Hsm {
        let text = format!(
            "name = \"a\"\nmodule = \"/m.so\"\ntoken_label = \"t\"\nkey_id = \"01\"\n{more}\n"
        );
        let raw: hsm_config::RawHsm = toml::from_str(&text).unwrap();
        raw.try_into().unwrap()
    }

    #[test]
    fn a_way_to_sign_is_good_if_it_serves_both_algorithms() {
        let (raw, sha1, sha224) = ("CKM_RSA_PKCS", "CKM_SHA1_RSA_PKCS", "CKM_SHA224_RSA_PKCS");
        for (mechanism, offered, level, said) in [
            ("raw", vec![raw], Level::Good, raw),
            ("raw", vec![sha1], Level::Failure, "\"hashed\""),
            ("raw", vec![], Level::Failure, "policy"),
            ("hashed", vec![sha1, sha224], Level::Good, sha224),
            ("hashed", vec![raw, sha1], Level::Warning, "with SHA-224"),
            ("hashed", vec![raw, sha224], Level::Warning, "\"raw\""),
            ("hashed", vec![sha224], Level::Warning, "with SHA-1"),
            ("hashed", vec![raw], Level::Failure, "\"raw\""),
        ] {
            let hsm = hsm(&format!("sign_mechanism = {mechanism:?}"));
            let offered: serde_json::Map<_, _> = offered
                .into_iter()
                .map(|name| (name.to_owned(), json!({"sign": true})))
                .collect();
            let found = mechanisms(&hsm, &json!({"mechanisms": offered}));
            assert_eq!(found.level(), level, "{}", found.text());
            assert!(found.text().contains(said), "{}", found.text());
        }
        let silent = mechanisms(&hsm(""), &json!({}));
        assert_eq!(silent.level(), Level::NotJudged, "{}", silent.text());
    }

    #[test]
    fn a_pin_source_that_is_not_read_is_not_judged() {
        for (source, level) in [
            ("{ credential = \"pin\" }", Level::NotJudged),
            ("{ command = [\"/bin/pin\"] }", Level::NotJudged),
            ("{ fd = 3 }", Level::NotJudged),
            ("{ prompt = true }", Level::NotJudged),
            ("{ file = \"/nowhere/pin\" }", Level::Failure),
        ] {
            let found = pin_source(
                &hsm(&format!("pin = {source}")),
                nix::unistd::geteuid().as_raw(),
            );
            assert_eq!(found.level(), level, "{source}");
        }
    }

    mod as_root {
        use std::fs::{self, Permissions};
        use std::os::unix::fs::{PermissionsExt, chown};

        use hsm_config::RawHsm;

        use super::super::*;
        use crate::commands::doctor::finding::Level;

        #[test]
        fn a_pin_file_is_judged_with_the_eyes_of_the_services_user() {
            assert!(
                nix::unistd::geteuid().is_root(),
                "this needs other users: run it as root, or leave it out with `--skip as_root::`"
            );
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("pin");
            fs::write(&path, "1234").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
            let raw: RawHsm = toml::from_str(&format!(
                "name = \"a\"\nmodule = \"/m.so\"\ntoken_serial = \"c0ff\"\nkey_id = \"a0\"\n\
                 pin = {{ file = {path:?} }}\n"
            ))
            .unwrap();
            let hsm = Hsm::try_from(raw).unwrap();
            let level = |user| pin_source(&hsm, user).level();
            assert_eq!(level(SERVICE), Level::Good, "root's is everybody's");
            chown(&path, Some(SERVICE), None).unwrap();
            assert_eq!(level(SERVICE), Level::Good);
            assert_eq!(level(SERVICE + 1), Level::Failure);
            fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
            assert_eq!(level(SERVICE), Level::Failure);
        }

        const SERVICE: u32 = 4242;
    }
}
