//! What is known about a provider's module, as data.
//!
//! One TOML file for each provider in `profiles/`, compiled in. They hold what was seen or what the
//! vendor documents, and leave out the rest: an invented default for a device that nobody tried is
//! worse than none. A profile suggests and checks; it never overrides what the `[[hsm]]` section
//! says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::suggest::nearest;

/// What is known about one provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The word in `profile = "…"`.
    pub name: String,
    /// The product.
    pub title: String,
    /// Where the facts come from: the version that was run, or documents only.
    pub basis: String,
    /// Where the module is usually installed.
    #[serde(default)]
    pub modules: Vec<PathBuf>,
    /// What `init_args` must hold, with an example.
    pub init_args: Option<String>,
    /// Which environment variables the module reads, and what for.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Session limits.
    #[serde(default)]
    pub sessions: Sessions,
    /// Attributes to leave out of the key template, because the module refuses them.
    #[serde(default)]
    pub omit: Vec<String>,
    /// The largest RSA key that it makes, in bits.
    pub rsa_max_bits: Option<u32>,
    /// How its PIN looks.
    #[serde(default)]
    pub pin: PinForm,
    /// What surprises.
    #[serde(default)]
    pub traps: Vec<String>,
}

impl Profile {
    /// The profile of that name.
    ///
    /// # Errors
    ///
    /// Fails if there is none.
    pub fn find(name: &str) -> Result<Self, ProfileError> {
        match FILES.iter().find(|(known, _)| *known == name) {
            Some((known, text)) => parse(known, text),
            None => {
                let names: Vec<&'static str> = FILES.iter().map(|(known, _)| *known).collect();
                Err(ProfileError::Unknown {
                    name: name.to_owned(),
                    nearest: nearest(name, &names),
                })
            }
        }
    }

    /// All profiles, soft tokens first.
    ///
    /// # Errors
    ///
    /// Fails only if one of the compiled-in files is broken, which the tests rule out.
    pub fn all() -> Result<Vec<Self>, ProfileError> {
        FILES.iter().map(|(name, text)| parse(name, text)).collect()
    }

    /// The first installed one of [`modules`](Self::modules), or else the first one, so that an
    /// error can name it.
    #[must_use]
    pub fn module(&self) -> Option<&PathBuf> {
        self.modules
            .iter()
            .find(|path| path.is_file())
            .or_else(|| self.modules.first())
    }
}

/// How many sessions a provider has, and how many are worth having.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// More are refused by the module or the device.
    pub limit: Option<usize>,
    /// More signing sessions than this bring nothing.
    pub useful: Option<usize>,
    /// It has no read-only sessions.
    #[serde(default)]
    pub read_write_only: bool,
}

/// How a provider's PIN looks; the shape is checked, never the content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinForm {
    /// The form in words.
    pub form: Option<String>,
    /// The shortest.
    pub min_length: Option<usize>,
    /// The longest.
    pub max_length: Option<usize>,
    /// How many hexadecimal digits it begins with.
    pub hex_prefix: Option<usize>,
    /// What stands between its two parts.
    pub separator: Option<char>,
    /// How many wrong PINs in a row lock it.
    pub locks_after: Option<u32>,
}

impl PinForm {
    /// Checks the shape of a PIN, so that a PIN of the wrong kind costs none of the tries that the
    /// token allows.
    ///
    /// # Errors
    ///
    /// Says which rule was broken, and nothing about the PIN.
    pub fn check(&self, pin: &str) -> Result<(), PinShapeError> {
        let length = pin.chars().count();
        let bounds = (self.min_length, self.max_length);
        if bounds.0.is_some_and(|min| length < min) || bounds.1.is_some_and(|max| length > max) {
            return Err(PinShapeError::Length);
        }
        if let Some(digits) = self.hex_prefix {
            let prefix = pin.bytes().take(digits);
            if length <= digits || !prefix.clone().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(PinShapeError::HexPrefix { digits });
            }
        }
        if let Some(separator) = self.separator {
            let parts = pin.split_once(separator);
            if !parts.is_some_and(|(first, second)| !first.is_empty() && !second.is_empty()) {
                return Err(PinShapeError::Separator { separator });
            }
        }
        Ok(())
    }
}

/// How a PIN differs from the provider's form; no variant tells anything of the PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinShapeError {
    /// The first part is not what it should be.
    #[error(
        "this provider's PIN begins with {digits} hexadecimal digits, followed by the password"
    )]
    HexPrefix {
        /// How many digits.
        digits: usize,
    },
    /// Too short or too long.
    #[error("the PIN is shorter or longer than this provider allows")]
    Length,
    /// One part instead of two.
    #[error("this provider's PIN has two parts with {separator:?} between them")]
    Separator {
        /// What stands between them.
        separator: char,
    },
}

/// Why there is no such profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A compiled-in file that does not parse.
    #[error("the compiled-in profile {name} is broken: {reason}")]
    Broken {
        /// Its name.
        name: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// No profile of that name.
    #[error(
        "there is no such profile{}; leave the key out for a provider that has none",
        .nearest.map_or_else(String::new, |near| format!(", did you mean {near:?}?"))
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
}

fn parse(name: &'static str, text: &str) -> Result<Profile, ProfileError> {
    toml::from_str(text).map_err(|error| ProfileError::Broken {
        name,
        reason: error.message().to_owned(),
    })
}

const FILES: &[(&str, &str)] = &[
    ("softhsm2", include_str!("../profiles/softhsm2.toml")),
    ("kryoptic", include_str!("../profiles/kryoptic.toml")),
    ("nss", include_str!("../profiles/nss.toml")),
    (
        "opencryptoki",
        include_str!("../profiles/opencryptoki.toml"),
    ),
    ("tpm2", include_str!("../profiles/tpm2.toml")),
    ("p11-kit", include_str!("../profiles/p11-kit.toml")),
    ("luna", include_str!("../profiles/luna.toml")),
    ("nshield", include_str!("../profiles/nshield.toml")),
    ("yubihsm2", include_str!("../profiles/yubihsm2.toml")),
    ("cloudhsm", include_str!("../profiles/cloudhsm.toml")),
    ("nethsm", include_str!("../profiles/nethsm.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_parses_under_its_own_name() {
        let profiles = Profile::all().unwrap();
        let names: Vec<&str> = profiles
            .iter()
            .map(|profile| profile.name.as_str())
            .collect();
        let files: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, files);
        for profile in &profiles {
            assert_eq!(Profile::find(&profile.name).as_ref(), Ok(profile));
            assert!(profile.modules.iter().all(|path| path.is_absolute()));
            assert!(profile.omit.iter().all(|name| name.starts_with("CKA_")));
            assert!(
                !profile.title.is_empty() && !profile.traps.is_empty(),
                "{}",
                profile.name
            );
        }
    }

    #[test]
    fn every_file_in_the_folder_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, FILES.len());
    }

    #[test]
    fn an_unknown_profile_names_the_nearest() {
        assert_eq!(
            Profile::find("softhsm"),
            Err(ProfileError::Unknown {
                name: "softhsm".to_owned(),
                nearest: Some("softhsm2")
            })
        );
    }

    #[test]
    fn a_pin_of_another_shape_is_refused_and_not_repeated() {
        let pin = |name| Profile::find(name).unwrap().pin;
        assert_eq!(pin("yubihsm2").check("0001password"), Ok(()));
        for wrong in ["password", "0001", "00g1password"] {
            let error = pin("yubihsm2").check(wrong).unwrap_err();
            assert_eq!(error, PinShapeError::HexPrefix { digits: 4 });
            assert!(!format!("{error:?}").contains(wrong));
        }
        assert_eq!(pin("cloudhsm").check("user:password"), Ok(()));
        for wrong in ["password", ":password", "user:"] {
            assert_eq!(
                pin("cloudhsm").check(wrong),
                Err(PinShapeError::Separator { separator: ':' })
            );
        }
        assert_eq!(pin("opencryptoki").check("12345678"), Ok(()));
        assert_eq!(
            pin("opencryptoki").check("123456789"),
            Err(PinShapeError::Length)
        );
        assert_eq!(pin("softhsm2").check("1234"), Ok(()));
    }
}
