//! What a hardware security module is to Mastersign, as data.
//!
//! One `[[hsm]]` section of `mastersign.toml` says which PKCS#11 module to load, which token and
//! key to use, where the PIN comes from and how hard the token may be driven. This crate reads and
//! checks that section. It opens no device and reads no PIN: a configuration can be checked on a
//! machine that has no HSM, and a program that only wants to know what is configured links no
//! PKCS#11.
//!
//! ```
//! let text = r#"
//! name = "rack-1"
//! profile = "softhsm2"
//! token_label = "salt"
//! key_id = "a008"
//! public_key = "/etc/mastersign/master_sign.pub"
//! pin = { credential = "rack-1-pin" }
//! sign_deadline = "2s"
//!
//! [environment]
//! SOFTHSM2_CONF = "/etc/mastersign/softhsm2.conf"
//! "#;
//! let raw: hsm_config::RawHsm = toml::from_str(text)?;
//! let hsm = hsm_config::Hsm::try_from(raw)?;
//! assert_eq!(hsm.token.label.as_deref(), Some("salt"));
//! assert_eq!(hsm.key.id.as_bytes(), [0xa0, 0x08]);
//! assert_eq!(hsm.pool.sign_deadline.as_secs(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same token and key as an RFC 7512 URI, which is what `pkcs11-tool`, `p11tool` and
//! `mastersign hsm list` print:
//!
//! ```
//! let text = r#"
//! name = "rack-1"
//! uri = "pkcs11:token=salt;id=%a0%08;type=private?module-path=/usr/lib/softhsm/libsofthsm2.so"
//! pin = { file = "/etc/mastersign/rack-1.pin" }
//! "#;
//! let raw: hsm_config::RawHsm = toml::from_str(text)?;
//! let hsm = hsm_config::Hsm::try_from(raw)?;
//! assert_eq!(hsm.module.path.as_os_str(), "/usr/lib/softhsm/libsofthsm2.so");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here shows a secret in `Debug` or in an error: a PIN can only be pointed at, and the
//! values that some vendors' modules take through init arguments and environment variables are
//! printed as `[redacted]`.
#![forbid(unsafe_code)]

mod error;
mod hsm;
mod key;
mod module;
mod pin;
mod pool;
mod profile;
mod scheme;
mod suggest;
mod token;
mod uri;

pub use error::{Error, Problem};
pub use hsm::{Hsm, HsmName, HsmNameError, RawHsm, Strictness};
pub use key::{KeyId, KeyIdError, KeySelector, KeySelectorError};
pub use module::{Module, ModuleError, ModuleHash};
pub use pin::{PinError, PinSource, RawPin};
pub use pool::{Pool, PoolError};
pub use profile::{PinForm, PinShapeError, Profile, ProfileError, Sessions};
pub use scheme::SignMechanism;
pub use suggest::{did_you_mean, explain, nearest};
pub use token::{TokenSelector, TokenSelectorError};
pub use uri::{Uri, UriError};
