//! PKCS#11 inside this process: one module, its tokens, sessions and keys.
//!
//! Only processes that may die call this: HSM workers and the `hsm` commands. It knows no
//! configuration beyond what names a token and a key, keeps no PIN and retries nothing. An
//! [`Error`] says by its [`Class`] what would help, and the worker's parent decides whether to try
//! that.
//!
//! cryptoki does the encoding. What it gets wrong for a service is avoided here: sessions that
//! close themselves late ([`Session`]), signatures that leave a session stuck (also there), tokens
//! and mechanisms that it fails to list ([`TokenInfo`], [`Input`]), attributes that go missing in
//! silence ([`KeyAttributes`]).

mod error;
mod generate;
mod import;
mod info;
mod input;
mod key;
mod raw;
mod search;
mod session;

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::slot::Slot;
use hsm_config::{SignMechanism, TokenSelector};
use minion::verify::{Algorithm, PublicKey};

pub use error::{Class, Error};
pub use generate::{Custody, Generated, KeyPlan};
pub use import::{ImportedKey, is_consistent};
pub use info::{TokenInfo, clean};
pub use input::{Input, mechanism_type};
pub use key::{KeyAttributes, SigningKey, Verdict};
pub use session::Session;

use raw::Raw;

use crate::anchor;

/// A PKCS#11 module, loaded and initialised for the rest of the process.
#[derive(Clone, Debug)]
pub struct Module {
    path: PathBuf,
    /// Leaked: unloading a vendor's library under its own threads and exit handlers crashes.
    pkcs11: &'static Pkcs11,
    raw: Option<Raw>,
    /// Whether this load initialised it; if something else did, it is not ours to finalise.
    ours: bool,
}

impl Module {
    /// Loads the module and initialises it with locking by the operating system.
    ///
    /// The environment in the configuration is not applied here: it belongs to the process, from
    /// its start.
    ///
    /// # Errors
    ///
    /// Fails if the file is missing or no PKCS#11 module, or if `C_Initialize` does.
    pub fn load(config: &hsm_config::Module) -> Result<Self, Error> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Load {
            path: config.path.clone(),
            source,
        };
        config
            .check_file(nix::unistd::geteuid().as_raw())
            .map_err(|error| failed(error.into()))?;
        let init_args = match &config.init_args {
            Some(text) => Some(CString::new(text.as_str()).map_err(|error| failed(error.into()))?),
            None => None,
        };
        let pkcs11 = Pkcs11::new(&config.path).map_err(|error| failed(error.into()))?;
        let pkcs11: &'static Pkcs11 = Box::leak(Box::new(pkcs11));
        let ours = match raw::initialize(pkcs11, init_args) {
            Ok(()) => true,
            Err(CryptokiError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            ours,
            raw: Raw::new(&config.path),
            path: config.path.clone(),
            pkcs11,
        })
    }

    /// Where it was loaded from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the module says of itself.
    ///
    /// # Errors
    ///
    /// Fails if `C_GetInfo` does.
    pub fn library(&self) -> Result<Library, Error> {
        let info = self.pkcs11.get_library_info()?;
        Ok(Library {
            manufacturer: clean(info.manufacturer_id().as_bytes()),
            description: clean(info.library_description().as_bytes()),
            version: info.library_version().to_string(),
            pkcs11_version: info.cryptoki_version().to_string(),
        })
    }

    /// Every token that the module shows, uninitialised ones included.
    ///
    /// A token that cannot tell about itself is left out, unless there is no other.
    ///
    /// # Errors
    ///
    /// Fails if the module does.
    pub fn tokens(&self) -> Result<Vec<TokenInfo>, Error> {
        let mut tokens = Vec::new();
        let mut failed = None;
        for slot in self.pkcs11.get_slots_with_token()? {
            match self.token_info(slot) {
                Ok(info) => tokens.push(info),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if tokens.is_empty() => Err(error),
            _ => Ok(tokens),
        }
    }

    /// The one initialised token that answers to the selector.
    ///
    /// # Errors
    ///
    /// Fails, with a listing, if none or more than one does.
    pub fn find(&self, selector: &TokenSelector) -> Result<TokenInfo, Error> {
        let tokens = self.tokens()?;
        let mut found = tokens
            .iter()
            .filter(|token| token.initialized && token.matches(selector));
        let lines = |tokens: &mut dyn Iterator<Item = &TokenInfo>| {
            tokens.map(ToString::to_string).collect::<Vec<_>>()
        };
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only.clone()),
            (Some(_), Some(_)) => Err(Error::AmbiguousToken {
                wanted: describe(selector),
                found: lines(&mut tokens.iter().filter(|token| token.matches(selector))),
            }),
            (None, _) => Err(Error::NoSuchToken {
                wanted: describe(selector),
                found: lines(&mut tokens.iter()),
            }),
        }
    }

    /// What the token says of itself at this moment.
    ///
    /// # Errors
    ///
    /// Fails if the token does.
    pub fn token_info(&self, slot: Slot) -> Result<TokenInfo, Error> {
        match self.raw {
            Some(raw) => Ok(TokenInfo::from_raw(slot, &raw.token_info(slot.into())?)),
            None => Ok(TokenInfo::from_cryptoki(
                slot,
                &self.pkcs11.get_token_info(slot)?,
            )),
        }
    }

    /// Which of the mechanisms that this program can sign with the token offers.
    ///
    /// # Errors
    ///
    /// Fails if the token does.
    pub fn mechanisms(&self, token: &TokenInfo) -> Result<Vec<Offered>, Error> {
        let offered = self.pkcs11.get_mechanism_list(token.slot)?;
        let mut wanted: Vec<_> = [SignMechanism::Raw, SignMechanism::Hashed]
            .into_iter()
            .flat_map(|way| Algorithm::ALL.map(|algorithm| mechanism_type(way, algorithm)))
            .filter(|mechanism| offered.contains(mechanism))
            .collect();
        wanted.dedup();
        wanted
            .into_iter()
            .map(|mechanism| {
                let info = self.pkcs11.get_mechanism_info(token.slot, mechanism)?;
                Ok(Offered {
                    name: mechanism.to_string(),
                    signs: info.sign(),
                    min_bits: info.min_key_size(),
                    max_bits: info.max_key_size(),
                })
            })
            .collect()
    }

    /// Opens a session that may read; one that may write if the token has no other kind.
    ///
    /// # Errors
    ///
    /// Fails if the token does; class [`Class::Capacity`] if it has no more sessions to give.
    pub fn open_session(&self, token: &TokenInfo) -> Result<Session, Error> {
        let session = match self.pkcs11.open_ro_session_no_drop(token.slot) {
            Ok(session) => session,
            Err(CryptokiError::Pkcs11(rv, _)) if wants_read_write(rv) => {
                self.pkcs11.open_rw_session_no_drop(token.slot)?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Session::new(session, self.raw))
    }

    /// Opens a session that may write.
    ///
    /// # Errors
    ///
    /// As [`open_session`](Self::open_session).
    pub fn open_write_session(&self, token: &TokenInfo) -> Result<Session, Error> {
        let session = self.pkcs11.open_rw_session_no_drop(token.slot)?;
        Ok(Session::new(session, self.raw))
    }

    /// `C_Finalize`. Every session must be closed or forgotten before, and no call may be under way
    /// in a thread.
    ///
    /// # Errors
    ///
    /// Fails if the module does.
    pub fn finalize(self) -> Result<(), Error> {
        if self.ours {
            self.pkcs11.clone().finalize()?;
        }
        Ok(())
    }
}

/// A mechanism that a token offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its name: `CKM_RSA_PKCS`.
    pub name: String,
    /// Whether the token signs with it.
    pub signs: bool,
    /// The smallest key.
    pub min_bits: usize,
    /// The largest key.
    pub max_bits: usize,
}

/// A module in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Who made it.
    pub manufacturer: String,
    /// What it is.
    pub description: String,
    /// Its version.
    pub version: String,
    /// The version of PKCS#11 that it implements.
    pub pkcs11_version: String,
}

/// Reads a pinned public key: any PEM spelling of it.
///
/// # Errors
///
/// Fails if the file cannot be read or holds no RSA public key.
pub fn read_pinned(path: &Path) -> Result<PublicKey, Error> {
    let failed = |source| pinned_key(path, source);
    let text = fs::read_to_string(path).map_err(|error| failed(error.into()))?;
    PublicKey::decode(&text).map_err(|error| failed(error.into()))
}

/// Reads the pinned public key of the configuration, which nobody else may have written.
///
/// # Errors
///
/// As [`read_pinned`], and if somebody else may have.
pub fn read_trusted(path: &Path) -> Result<PublicKey, Error> {
    let failed = |source| pinned_key(path, source);
    let content = anchor::read(path).map_err(|error| failed(error.into()))?;
    let text = String::from_utf8(content).map_err(|error| failed(error.into()))?;
    PublicKey::decode(&text).map_err(|error| failed(error.into()))
}

fn pinned_key(path: &Path, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::PinnedKey {
        path: path.to_owned(),
        source,
    }
}

/// Checks that the key on the token is the pinned one.
///
/// # Errors
///
/// Fails if it is another one.
pub fn check_pinned(key: &SigningKey, pinned: &PublicKey, path: &Path) -> Result<(), Error> {
    if key.public == *pinned {
        return Ok(());
    }
    Err(Error::KeyDiffers {
        path: path.to_owned(),
        pinned: pinned.hash(),
        found: key.public.hash(),
    })
}

/// Answers by which modules say that they have no read-only sessions.
const fn wants_read_write(rv: RvError) -> bool {
    matches!(
        rv,
        RvError::ArgumentsBad
            | RvError::FunctionFailed
            | RvError::FunctionNotSupported
            | RvError::GeneralError
            | RvError::SessionParallelNotSupported
            | RvError::SessionReadOnly
            | RvError::SessionReadWriteSoExists
    )
}

fn describe(selector: &TokenSelector) -> String {
    let parts = [("label", &selector.label), ("serial", &selector.serial)];
    let parts: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value:?}")))
        .collect();
    parts.join(" and ")
}
