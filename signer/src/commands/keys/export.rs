//! `mastersign keys export`: `master_sign.pub` on its way to minions.
//!
//! Whatever brings the key to a minion is what the minion's trust rests on, so every form carries
//! the fingerprints under the names of the tools that show them, to be compared on the other side.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use minion::verify::{Fingerprint, KeyHash, PublicKey};

use crate::commands::connection::{Connection, Options};
use crate::hsm::token;
use crate::terminal;

/// The arguments of `mastersign keys export`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The form: the bare file, cloud-init's user data, a Salt state, or a script that prepares
    /// bootstrap-salt.sh
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The key as a file, instead of asking the service
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Which of the service's keys, by its SHA-256; may be left out if there is one only
    #[arg(long, value_name = "SHA256", conflicts_with = "public_key")]
    key: Option<KeyHash>,
    /// The minions' `master_sign_key_name`
    #[arg(long, value_name = "NAME", default_value = "master_sign")]
    name: String,
    /// The minions' `pki_dir`
    #[arg(long, value_name = "DIR", default_value = "/etc/salt/pki/minion")]
    pki_dir: PathBuf,
    /// Also switch verification on (`verify_master_pubkey_sign`): only when every master of the
    /// minion serves a signature, or the minion ends
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    Bootstrap,
    CloudInit,
    #[default]
    File,
    State,
}

/// Prints the key.
pub(super) fn run(arguments: &Arguments, connection: Options) -> anyhow::Result<ExitCode> {
    check_name(&arguments.name)?;
    let key = match &arguments.public_key {
        Some(path) => token::read_pinned(path)?,
        None => ask(arguments.key, connection)?,
    };
    let text = render(arguments, &key);
    if arguments.format == Format::File {
        // The file itself has no room for them.
        for line in fingerprints(&key) {
            terminal::note(line)?;
        }
    }
    terminal::say(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The key from the service, which must be the one that it is called.
fn ask(wanted: Option<KeyHash>, options: Options) -> anyhow::Result<PublicKey> {
    let connection = Connection::open_as_anybody(options)
        .context("name the key with --public-key FILE, or the service")?;
    let wanted = match wanted {
        Some(wanted) => wanted,
        None => {
            let keys = connection.wait(connection.client().signing_keys())?;
            match keys.signing_keys.as_slice() {
                [only] => only.id,
                [] => bail!("the service has no signing key yet"),
                several => {
                    let ids: Vec<String> = several.iter().map(|key| key.id.to_string()).collect();
                    bail!("name one of the keys with --key: {}", ids.join(", "));
                }
            }
        }
    };
    let text = connection.wait(connection.client().public_key(wanted))?;
    let key = PublicKey::decode(&text).context("what the service sent is no public key")?;
    ensure!(
        key.hash() == wanted,
        "the service sent the key {} under the name of {wanted}",
        key.hash()
    );
    Ok(key)
}

fn check_name(name: &str) -> anyhow::Result<()> {
    ensure!(
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')),
        "--name is a plain file name, as in master_sign_key_name"
    );
    Ok(())
}

fn render(arguments: &Arguments, key: &PublicKey) -> String {
    let file = key.to_file();
    let path = arguments.pki_dir.join(format!("{}.pub", arguments.name));
    let path = path.display();
    let comments: String = fingerprints(key)
        .into_iter()
        .map(|line| format!("# {line}\n"))
        .collect();
    let settings = settings(arguments);
    match arguments.format {
        Format::File => file,
        Format::CloudInit => {
            let mut text = format!(
                "#cloud-config\n{comments}write_files:\n- path: {path}\n  owner: root:root\n  \
                 permissions: '0644'\n  content: |\n{}",
                indented(&file, 4)
            );
            if arguments.verify {
                text.push_str(&format!(
                    "- path: {SETTINGS}\n  owner: root:root\n  permissions: '0644'\n  content: |\n{}",
                    indented(&settings, 4)
                ));
            }
            text
        }
        Format::State => {
            let mut text = format!(
                "{comments}mastersign-verification-key:\n  file.managed:\n    - name: {path}\n    \
                 - mode: '0644'\n    - makedirs: True\n    - contents: |\n{}",
                indented(&file, 8)
            );
            if arguments.verify {
                text.push_str(&format!(
                    "\nmastersign-verification-settings:\n  file.managed:\n    - name: {SETTINGS}\n    \
                     - mode: '0644'\n    - contents: |\n{}    - require:\n      - file: \
                     mastersign-verification-key\n",
                    indented(&settings, 8)
                ));
            }
            text
        }
        Format::Bootstrap => bootstrap(arguments, &comments, &file, &settings),
    }
}

/// bootstrap-salt.sh takes `master_sign.pub` and `minion` from the directory of its `-c`.
fn bootstrap(arguments: &Arguments, comments: &str, file: &str, settings: &str) -> String {
    let mut text = format!(
        "#!/bin/sh\n{comments}# bootstrap-salt.sh brings {name}.pub from here into the minion's pki_dir:\n\
         #   sh bootstrap-salt.sh -c \"$DIR\" …\nset -eu\nDIR=${{1:-./salt-config}}\nmkdir -p \"$DIR\"\n\
         cat > \"$DIR/{name}.pub\" <<'END'\n{file}END\nchmod 0644 \"$DIR/{name}.pub\"\n",
        name = arguments.name
    );
    if arguments.verify {
        text.push_str(&format!("cat >> \"$DIR/minion\" <<'END'\n{settings}END\n"));
    }
    text.push_str("echo \"now: sh bootstrap-salt.sh -c $DIR\" >&2\n");
    text
}

fn settings(arguments: &Arguments) -> String {
    let mut text = "verify_master_pubkey_sign: True\n".to_owned();
    if arguments.name != "master_sign" {
        text.push_str(&format!("master_sign_key_name: {}\n", arguments.name));
    }
    text
}

fn fingerprints(key: &PublicKey) -> Vec<String> {
    let mut lines = vec![
        format!("master_sign.pub, RSA-{}", key.bits()),
        format!("sha256  {}", key.hash()),
        format!(
            "salt    {}  (key.finger, master_finger, salt-key of 3006 and 3007)",
            Fingerprint::salt(key)
        ),
        format!(
            "file    {}  (salt-key of 3008, sha256sum)",
            Fingerprint::file(key)
        ),
    ];
    if let Ok(spki) = Fingerprint::spki(key) {
        lines.push(format!("spki    {spki}  (OpenSSL, HSM tools)"));
    }
    lines
}

fn indented(text: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    text.lines()
        .map(|line| format!("{margin}{line}\n"))
        .collect()
}

const SETTINGS: &str = "/etc/salt/minion.d/50-mastersign.conf";

#[cfg(test)]
mod tests {
    use minion::yaml::{load, to_json};
    use openssl::rsa::Rsa;

    use super::*;

    fn key() -> PublicKey {
        let pem = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
        PublicKey::decode(&String::from_utf8(pem).unwrap()).unwrap()
    }

    fn arguments(format: Format, verify: bool) -> Arguments {
        Arguments {
            format,
            public_key: None,
            key: None,
            name: "master_sign".to_owned(),
            pki_dir: "/etc/salt/pki/minion".into(),
            verify,
        }
    }

    #[test]
    fn cloud_init_writes_the_very_file() {
        let key = key();
        let text = render(&arguments(Format::CloudInit, true), &key);
        assert!(text.starts_with("#cloud-config\n"), "{text}");
        let read = to_json(&load(&text).unwrap());
        assert_eq!(read["write_files"][0]["content"], key.to_file());
        assert_eq!(read["write_files"][0]["permissions"], "0644");
        assert_eq!(read["write_files"][1]["path"], SETTINGS);
    }

    #[test]
    fn a_state_is_yaml_with_the_very_file_in_it() {
        let key = key();
        let text = render(&arguments(Format::State, false), &key);
        let read = to_json(&load(&text).unwrap());
        let managed = &read["mastersign-verification-key"]["file.managed"];
        assert_eq!(managed[0]["name"], "/etc/salt/pki/minion/master_sign.pub");
        assert_eq!(managed[3]["contents"], key.to_file());
        assert!(!text.contains("verify_master_pubkey_sign"));
    }

    #[test]
    fn every_form_names_every_fingerprint() {
        let key = key();
        for format in [Format::CloudInit, Format::State, Format::Bootstrap] {
            let text = render(&arguments(format, true), &key);
            for print in [
                key.hash().to_string(),
                Fingerprint::salt(&key).to_string(),
                Fingerprint::file(&key).to_string(),
                Fingerprint::spki(&key).unwrap().to_string(),
            ] {
                assert!(text.contains(&print), "{format:?}: {text}");
            }
        }
    }

    #[test]
    fn the_name_leads_nowhere_else() {
        for name in ["", "../x", "a b", "a'b", "$(x)"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
