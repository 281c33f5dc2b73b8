//! The master's own pair of keys, and which file its signature belongs into.
//!
//! What gets signed is the text of `master.pub` as the master will show it, so a text in another
//! form is refused with the command that rewrites it: a signature over a tidied copy would verify
//! here and nowhere else.

use std::path::PathBuf;

use minion::verify::{KeyError, PublicKey, clean_key};
use openssl::pkey::{PKey, Private};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::directory::{DirectoryError, FileName, PkiDir};
use super::salt_config::SaltMaster;

/// A master's key pair, both halves belonging together.
pub struct MasterKeys {
    /// The public key, in canonical form.
    pub public: PublicKey,
    /// The private key, which makes the proof.
    pub private: PKey<Private>,
}

impl MasterKeys {
    /// Reads the key that the master shows: `master.pub` and `master.pem`, or the cluster's.
    ///
    /// # Errors
    ///
    /// Says which file is missing, in which form it is and how to rewrite it, or that the two do
    /// not belong together.
    pub fn read(directory: &PkiDir, salt: &SaltMaster) -> Result<Self, KeysError> {
        let public = public(directory, &format!("{}.pub", salt.key_name))?;
        if salt.key_name == "master" {
            refuse_a_second_key(directory, salt, &public)?;
        }
        let pem = format!("{}.pem", salt.key_name);
        let private = private(directory, &pem, salt.key_pass.as_ref())?;
        let half = private
            .rsa()
            .and_then(|rsa| rsa.public_key_to_pem())
            .map_err(|_| KeysError::NotRsa {
                path: directory.path().join(&pem),
            })?;
        let half = String::from_utf8_lossy(&half);
        match PublicKey::decode(&half) {
            Ok(half) if half.hash() == public.hash() => Ok(Self { public, private }),
            _ => Err(KeysError::Strangers {
                name: salt.key_name,
                path: directory.path().to_owned(),
            }),
        }
    }
}

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterKeys")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// The name of the file that salt-master reads its signature from.
///
/// Configured, it is that. Otherwise it depends on the version: 3006 and 3007 use
/// `master_pubkey_signature`, 3008 uses `<id>_pubkey_signature`. A 3008 master gives itself away by
/// having moved `master.pem` to `<id>.pem`, without a final `_master` of the id, and left a link;
/// an id that is not configured ends in `_master` (Salt 3008.5, `salt/crypt.py`, `MasterKeys`). So
/// the link says what no guess about host names could.
///
/// # Errors
///
/// Fails if the configured name is no plain file name.
pub fn signature_name(directory: &PkiDir, salt: &SaltMaster) -> Result<FileName, DirectoryError> {
    if let Some(name) = &salt.signature_name {
        return FileName::new(name);
    }
    let moved_to = directory.link("master.pem").and_then(|target| {
        Some(
            target
                .file_name()?
                .to_str()?
                .strip_suffix(".pem")?
                .to_owned(),
        )
    });
    match (moved_to, &salt.id) {
        (None, _) => FileName::new("master_pubkey_signature"),
        (Some(_), Some(id)) => FileName::new(&format!("{id}_pubkey_signature")),
        (Some(host), None) => FileName::new(&format!("{host}_master_pubkey_signature")),
    }
}

/// Why the master's keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// `master.pem` is encrypted.
    #[error(
        "{} is encrypted and key_pass (cluster_key_pass in a cluster) in the master's \
         configuration {problem}",
        path.display()
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
        /// What is wrong with the pass phrase.
        problem: &'static str,
    },
    /// `master.pub` holds no key that could be signed.
    #[error("{} is not the public key of a master", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What it is.
        #[source]
        source: KeyError,
    },
    /// There is no such file.
    #[error(
        "{} does not exist; start salt-master once so that it makes its keys, or check pki_dir",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The text is not in canonical form.
    #[error(
        "{} is not spelled as Salt and this service spell a key (first difference at byte {offset}), and the master \
         shows its own spelling to the minions. Rewrite the file, then restart salt-master:\n\n    {command}\n",
        path.display()
    )]
    NotCanonical {
        /// The file.
        path: PathBuf,
        /// Where the text departs from the canonical one.
        offset: usize,
        /// What rewrites it.
        command: String,
    },
    /// `master.pem` holds another kind of key.
    #[error("{} is not an RSA private key in PEM", path.display())]
    NotRsa {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("failed to read the master's keys")]
    Read(#[source] DirectoryError),
    /// The public key is not the public half of the private one.
    #[error(
        "{name}.pub and {name}.pem in {} do not belong together: the master would show one key and \
         sign with the other. If {name}.pem is the right one: `openssl rsa -in {name}.pem -pubout \
         -out {name}.pub`",
        path.display()
    )]
    Strangers {
        /// `master`, or `cluster`.
        name: &'static str,
        /// The directory.
        path: PathBuf,
    },
    /// Two different keys, of which different versions of Salt show different ones.
    #[error(
        "{} and {} are different keys; Salt 3006 and 3007 show the first, 3008 the second. Remove \
         the one that is not meant",
        first.display(),
        second.display()
    )]
    TwoKeys {
        /// `master.pub`.
        first: PathBuf,
        /// `<id>.pub`.
        second: PathBuf,
    },
}

fn public(directory: &PkiDir, name: &str) -> Result<PublicKey, KeysError> {
    let path = directory.path().join(name);
    let bytes = directory.read(name).map_err(KeysError::Read)?;
    let bytes = bytes.ok_or_else(|| KeysError::Missing { path: path.clone() })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| KeysError::Key {
        path: path.clone(),
        source: KeyError::NotText,
    })?;
    let cleaned = clean_key(text);
    PublicKey::parse(cleaned.as_bytes()).map_err(|source| match source {
        KeyError::NotCanonical { offset } => KeysError::NotCanonical {
            command: rewrite(&directory.path().join(name), &cleaned),
            offset,
            path,
        },
        source => KeysError::Key { path, source },
    })
}

/// The command that rewrites a public key in canonical form, for the user who owns it.
fn rewrite(path: &std::path::Path, text: &str) -> String {
    let form = if text.contains("BEGIN RSA PUBLIC KEY") {
        "-RSAPublicKey_in"
    } else {
        "-pubin"
    };
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let quoted = format!("'{}'", real.display().to_string().replace('\'', r"'\''"));
    format!("openssl rsa {form} -in {quoted} -pubout -out {quoted}.new && mv {quoted}.new {quoted}")
}

/// Salt 3008 prefers `<id>.pem` where it exists; earlier ones know only `master.pem`.
fn refuse_a_second_key(
    directory: &PkiDir,
    salt: &SaltMaster,
    shown: &PublicKey,
) -> Result<(), KeysError> {
    let Some(id) = &salt.id else {
        return Ok(());
    };
    let name = format!("{}.pub", id.strip_suffix("_master").unwrap_or(id));
    if name.contains('/') || !directory.has(&name) {
        return Ok(());
    }
    if public(directory, &name)?.hash() == shown.hash() {
        return Ok(());
    }
    Err(KeysError::TwoKeys {
        first: directory.path().join("master.pub"),
        second: directory.path().join(name),
    })
}

fn private(
    directory: &PkiDir,
    name: &str,
    pass: Option<&SecretString>,
) -> Result<PKey<Private>, KeysError> {
    let path = directory.path().join(name);
    let pem = directory.read(name).map_err(KeysError::Read)?;
    let pem = Zeroizing::new(pem.ok_or_else(|| KeysError::Missing { path: path.clone() })?);
    let mut asked = false;
    // Without a callback OpenSSL would ask whoever sits at the terminal.
    let key = PKey::private_key_from_pem_callback(&pem, |buffer| {
        asked = true;
        let pass = pass.map_or("", |pass| pass.expose_secret()).as_bytes();
        let Some(target) = buffer.get_mut(..pass.len()) else {
            return Ok(0);
        };
        target.copy_from_slice(pass);
        Ok(pass.len())
    });
    key.map_err(|_| match (asked, pass) {
        (true, None) => KeysError::Encrypted {
            path,
            problem: "is not set",
        },
        (true, Some(_)) => KeysError::Encrypted {
            path,
            problem: "does not decrypt it",
        },
        (false, _) => KeysError::NotRsa { path },
    })
}

#[cfg(test)]
mod tests;
