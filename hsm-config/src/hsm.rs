//! One `[[hsm]]` section: what the file says, and what holds once it is checked.
//!
//! Two types, because a file may leave out and contradict, and the service may not: [`RawHsm`] is
//! what serde reads, [`Hsm`] is what the rest of the program sees. No field of `Hsm` means
//! "default", and each thing is said once: a URI and a key that say the same are refused rather
//! than ranked.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `name` | required | `[a-z0-9._-]`, 1 to 64; in logs, metrics and `/readyz` |
//! | `uri` | | RFC 7512: token, key, `module-path` or `module-name`, `pin-source=file:` |
//! | `profile` | | provider profile; brings the module's usual path and the checks that the vendor needs |
//! | `module` | the URI's or the profile's | absolute path of the PKCS#11 module |
//! | `module_sha256` | none: not pinned | SHA-256 of the module's file |
//! | `token_label`, `token_serial` | the URI's | one or both; never a slot number |
//! | `key_id` | the URI's `id` | `CKA_ID` in hexadecimal |
//! | `key_label` | the URI's `object` | `CKA_LABEL`, must match as well |
//! | `public_key` | | absolute path of `master_sign.pub`; the token's modulus must equal it |
//! | `pin` | none: starts locked | `credential`, `file`, `fd`, `command` (and `deadline`), `prompt`, `environment` (and `allow`) |
//! | `init_args` | | text for `pReserved` of `C_Initialize` |
//! | `environment` | | table; variables of the worker process |
//! | `sessions` | by cores and token | 1 to 256 |
//! | `queue` | 256 | 1 to 65536 |
//! | `sign_deadline` | `"5s"` | `"100ms"` to `"2m"` |
//! | `start_deadline` | `"30s"` | `"1s"` to `"10m"` |
//! | `sign_mechanism` | `"raw"` | `"raw"` or `"hashed"` |
//! | `require_never_extractable` | `"refuse"` | `"refuse"`, `"warn"` or `"off"` |

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::{
    Error, KeySelector, Module, PinSource, Pool, PoolError, Problem, Profile, RawPin,
    SignMechanism, TokenSelector, Uri, pin,
};

/// A checked `[[hsm]]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hsm {
    /// Its name in logs, metrics and commands.
    pub name: HsmName,
    /// What the worker loads.
    pub module: Module,
    /// Which token.
    pub token: TokenSelector,
    /// Which key on it.
    pub key: KeySelector,
    /// The public key that the token's must equal.
    pub public_key: Option<PathBuf>,
    /// Where the PIN comes from.
    pub pin: PinSource,
    /// How hard it may be driven.
    pub pool: Pool,
    /// Where the digest is computed.
    pub sign_mechanism: SignMechanism,
    /// What to do about a key that may have been outside.
    pub never_extractable: Strictness,
    /// What is known about the provider.
    pub profile: Option<Profile>,
}

impl TryFrom<RawHsm> for Hsm {
    type Error = Error;

    fn try_from(raw: RawHsm) -> Result<Self, Self::Error> {
        // What is no name may be anything, also a secret.
        let name = raw.name.parse::<HsmName>();
        let hsm = name.map_or_else(|_| "?".to_owned(), |name| name.0);
        raw.check()
            .map_err(|(key, problem)| Error { hsm, key, problem })
    }
}

/// An `[[hsm]]` section as it stands in the file.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHsm {
    name: String,
    uri: Option<String>,
    profile: Option<String>,
    module: Option<PathBuf>,
    module_sha256: Option<String>,
    token_label: Option<String>,
    token_serial: Option<String>,
    key_id: Option<String>,
    key_label: Option<String>,
    public_key: Option<PathBuf>,
    pin: Option<RawPin>,
    init_args: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    sessions: Option<usize>,
    queue: Option<usize>,
    sign_deadline: Option<String>,
    start_deadline: Option<String>,
    #[serde(default)]
    sign_mechanism: SignMechanism,
    #[serde(default)]
    require_never_extractable: Strictness,
}

impl RawHsm {
    fn check(self) -> Result<Hsm, (&'static str, Problem)> {
        let name = self.name.parse().map_err(at("name"))?;
        let uri: Uri = match &self.uri {
            Some(text) => text.parse().map_err(at("uri"))?,
            None => Uri::default(),
        };
        let profile = match &self.profile {
            Some(name) => Some(Profile::find(name).map_err(at("profile"))?),
            None => None,
        };
        let path = module_path(self.module, &uri, profile.as_ref())?;
        let pin = match self.module_sha256 {
            Some(text) => Some(text.parse().map_err(at("module_sha256"))?),
            None => None,
        };
        let module = Module::new(path, self.init_args, self.environment)
            .map_err(at("module"))?
            .pinned(pin);
        let label = one("token_label", self.token_label, uri.token)?;
        let serial = one("token_serial", self.token_serial, uri.serial)?;
        let token = TokenSelector::new(serial, label).map_err(at("token_label"))?;
        let id = match self.key_id {
            Some(text) => Some(text.parse().map_err(at("key_id"))?),
            None => None,
        };
        let id = one("key_id", id, uri.id)?.ok_or(("key_id", Problem::Missing(NO_KEY)))?;
        let label = one("key_label", self.key_label, uri.object)?;
        let key = KeySelector::new(id, label).map_err(at("key_label"))?;
        if self.public_key.as_deref().is_some_and(Path::is_relative) {
            return Err(("public_key", Problem::NotAbsolute));
        }
        let pin = match (self.pin, uri.pin_file) {
            (Some(_), Some(_)) => return Err(("pin", Problem::Twice { other: "uri" })),
            (Some(raw), None) => PinSource::try_from(raw).map_err(at("pin"))?,
            (None, Some(path)) => pin::file(path).map_err(at("uri"))?,
            (None, None) => PinSource::Locked,
        };
        let deadlines = (
            self.sign_deadline.as_deref(),
            self.start_deadline.as_deref(),
        );
        let pool = Pool::read(self.sessions, self.queue, deadlines.0, deadlines.1)
            .map_err(|(key, error)| (key, error.into()))?;
        check_sessions(&pool, profile.as_ref()).map_err(at("sessions"))?;
        Ok(Hsm {
            name,
            module,
            token,
            key,
            public_key: self.public_key,
            pin,
            pool,
            sign_mechanism: self.sign_mechanism,
            never_extractable: self.require_never_extractable,
            profile,
        })
    }
}

impl fmt::Debug for RawHsm {
    /// Shows the name alone: nothing else was checked, and a PIN may stand anywhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawHsm")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The name of a configured HSM: 1 to 64 characters of `[a-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HsmName(String);

impl HsmName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HsmName {
    type Err = HsmNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        };
        let first = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if first && text.len() <= 64 && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(HsmNameError)
        }
    }
}

impl fmt::Display for HsmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HsmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HsmName({self})")
    }
}

/// A text that is no [`HsmName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is 1 to 64 characters of a-z, 0-9, dot, underscore and hyphen, and begins with a \
     letter or a digit"
)]
pub struct HsmNameError;

/// What to do about a key that is not shown to have been generated inside and never to have left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strictness {
    /// Nothing.
    Off,
    /// Do not use it.
    #[default]
    Refuse,
    /// Use it, and say so at every start.
    Warn,
}

/// The value that is given by a key of its own or by the URI, but not by both.
fn one<T>(
    key: &'static str,
    field: Option<T>,
    uri: Option<T>,
) -> Result<Option<T>, (&'static str, Problem)> {
    match (field, uri) {
        (Some(_), Some(_)) => Err((key, Problem::Twice { other: "uri" })),
        (field, uri) => Ok(field.or(uri)),
    }
}

fn module_path(
    field: Option<PathBuf>,
    uri: &Uri,
    profile: Option<&Profile>,
) -> Result<PathBuf, (&'static str, Problem)> {
    let named = match (&uri.module_path, &uri.module_name) {
        (Some(_), Some(_)) => {
            return Err((
                "uri",
                Problem::Missing("give module-path or module-name, not both"),
            ));
        }
        (Some(path), None) => Some(path.clone()),
        (None, Some(name)) => Some(Module::path_by_name(name, Path::new("/")).map_err(at("uri"))?),
        (None, None) => None,
    };
    one("module", field, named)?
        .or_else(|| profile.and_then(Profile::module).cloned())
        .ok_or(("module", Problem::Missing(NO_MODULE)))
}

/// One session of the token's limit belongs to the login, which must outlive the signing sessions.
fn check_sessions(pool: &Pool, profile: Option<&Profile>) -> Result<(), PoolError> {
    let limit = profile.and_then(|profile| profile.sessions.limit);
    match (pool.sessions, limit) {
        (Some(sessions), Some(limit)) if sessions.get() >= limit => {
            Err(PoolError::SessionsOverProfile { limit })
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

fn at<E: Into<Problem>>(key: &'static str) -> impl FnOnce(E) -> (&'static str, Problem) {
    move |error| (key, error.into())
}

const NO_KEY: &str = "the key's CKA_ID is needed: `key_id` in hexadecimal, or `id` in the URI; \
                      `mastersign hsm list` prints it";
const NO_MODULE: &str = "the PKCS#11 module is needed: `module`, or module-path in the URI, or a \
                         `profile` that knows where the module is installed";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain;

    const FIELDS: &str = r#"
        name = "rack-1"
        module = "/usr/lib/softhsm/libsofthsm2.so"
        token_serial = "c0ff"
        key_id = "a0:08"
    "#;

    fn read(text: &str) -> Result<Hsm, String> {
        let raw: RawHsm = toml::from_str(text).map_err(|error| explain(text, &error))?;
        Hsm::try_from(raw).map_err(|error| format!("{error}: {}", error.problem))
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err()
    }

    #[test]
    fn fields_and_a_uri_say_the_same() {
        let by_uri = r#"
            name = "rack-1"
            uri = "pkcs11:serial=c0ff;id=%a0%08?module-path=/usr/lib/softhsm/libsofthsm2.so"
        "#;
        let hsm = read(FIELDS).unwrap();
        assert_eq!(read(by_uri), Ok(hsm.clone()));
        assert_eq!(hsm.pin, PinSource::Locked);
        assert_eq!(hsm.sign_mechanism, SignMechanism::Raw);
        assert_eq!(hsm.never_extractable, Strictness::Refuse);
    }

    #[test]
    fn a_thing_that_is_said_twice_is_refused() {
        let uri = "pkcs11:token=t;serial=s;object=o;id=%01?module-path=/m&pin-source=file:/p";
        for (key, value) in [
            ("token_serial", r#""a""#),
            ("token_label", r#""a""#),
            ("key_id", r#""01""#),
            ("key_label", r#""a""#),
            ("module", r#""/a""#),
            ("pin", r#"{ file = "/a" }"#),
        ] {
            let text = format!("name = \"a\"\nuri = \"{uri}\"\n");
            read(&text).unwrap();
            let error = refused(&format!("{text}{key} = {value}\n"));
            assert!(
                error.contains(&format!("key `{key}`: `uri` says the same")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let uri = |uri: &str| refused(&format!("name = \"a\"\nuri = \"{uri}\"\n"));
        assert!(uri("pkcs11:token=t?module-path=/m").contains("key `key_id`: the key's CKA_ID"));
        assert!(
            uri("pkcs11:id=%01?module-path=/m").contains("key `token_label`: a token is named")
        );
        assert!(
            uri("pkcs11:token=t;id=%01").contains("key `module`: the PKCS#11 module is needed")
        );
        let both = uri("pkcs11:token=t;id=%01?module-path=/m&module-name=n");
        assert!(both.contains("not both"), "{both}");
    }

    #[test]
    fn a_profile_brings_the_module_and_the_session_limit() {
        let text = "name = \"a\"\nprofile = \"tpm2\"\ntoken_label = \"t\"\nkey_id = \"01\"\n";
        let path = "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so";
        assert_eq!(read(text).unwrap().module.path, Path::new(path));

        let text = "name = \"a\"\nprofile = \"yubihsm2\"\nmodule = \"/m.so\"\n\
                    token_label = \"t\"\nkey_id = \"01\"\n";
        assert!(read(&format!("{text}sessions = 15\n")).is_ok());
        let error = refused(&format!("{text}sessions = 16\n"));
        assert!(error.contains("allows 16 sessions"), "{error}");
    }

    #[test]
    fn a_misspelt_key_is_named_with_the_nearest_one() {
        let error = refused(&format!("{FIELDS}\ntoken_lable = \"hunter2\"\n"));
        assert!(error.ends_with("did you mean `token_label`?"), "{error}");
        assert!(
            error.starts_with("line 7: ") && !error.contains("hunter2"),
            "{error}"
        );
        let error = refused(&format!("{FIELDS}\nsign_mechanism = \"hash\"\n"));
        assert!(error.ends_with("did you mean `hashed`?"), "{error}");
        assert!(!error.contains("`hash`"), "{error}");
        let error = refused(&format!("{FIELDS}\nprofile = \"softhsm\"\n"));
        assert!(error.contains("did you mean \"softhsm2\"?"), "{error}");
        assert!(!error.contains("softhsm\""), "{error}");
    }

    #[test]
    fn no_refusal_repeats_a_value() {
        for line in [
            "sign_mechanism = \"Hunter2\"",
            "require_never_extractable = \"Hunter2\"",
            "profile = \"Hunter2\"",
            "pin = \"Hunter2\"",
            "sessions = \"Hunter2\"",
            "sign_deadline = \"Hunter2\"",
            "module_sha256 = \"Hunter2\"",
        ] {
            let error = refused(&format!("{FIELDS}\n{line}\n"));
            assert!(!error.contains("Hunter2"), "{error}");
        }
        let error = refused(&FIELDS.replace("rack-1", "Hunter2"));
        assert!(
            error.contains("a name is 1 to 64") && !error.contains("Hunter2"),
            "{error}"
        );
        let uri = "uri = \"pkcs11:?module-name=Hunter2\"";
        let text: Vec<&str> = FIELDS
            .lines()
            .filter(|line| !line.trim_start().starts_with("module"))
            .collect();
        let error = refused(&format!("{}\n{uri}\n", text.join("\n")));
        assert!(
            error.contains("no module is registered") && !error.contains("Hunter2"),
            "{error}"
        );
    }

    #[test]
    fn a_slot_number_is_no_way_to_name_a_token() {
        let error = refused(&format!("{FIELDS}\nslot = 0\n"));
        assert!(error.contains("unknown field `slot`"), "{error}");
    }

    #[test]
    fn no_debug_shows_a_secret() {
        let text = format!(
            "{FIELDS}\ninit_args = \"password=hunter2\"\n\
             pin = {{ command = [\"/bin/pin\", \"hunter2\"] }}\n\
             environment = {{ VENDOR_PASSWORD = \"hunter2\" }}\n"
        );
        let raw: RawHsm = toml::from_str(&text).unwrap();
        let hsm = Hsm::try_from(raw.clone()).unwrap();
        let shown = format!("{raw:?} {raw:#?} {hsm:?} {hsm:#?}");
        assert!(!shown.contains("hunter2"), "{shown}");

        let text = "name = \"a\"\nuri = \"pkcs11:token=t?pin-value=hunter2\"\npin = \"hunter2\"\n";
        let raw: RawHsm = toml::from_str(text).unwrap();
        let shown = format!("{raw:?}");
        let error = Hsm::try_from(raw).unwrap_err();
        let shown = format!("{shown} {error} {error:?} {}", error.problem);
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_name_fits_a_file_and_a_metric() {
        for name in ["rack-1", "0", "a.b_c"] {
            assert!(name.parse::<HsmName>().is_ok(), "{name}");
        }
        for name in ["", "Rack", "-a", ".", "a b", "a/b", &"a".repeat(65)] {
            assert_eq!(name.parse::<HsmName>(), Err(HsmNameError), "{name}");
        }
    }
}
