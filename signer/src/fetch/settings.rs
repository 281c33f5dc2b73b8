//! Where the service is and who we are to it: `fetch.toml`, overridden by what the command line
//! says.
//!
//! This is a file of its own and not a part of `mastersign.toml`, because it lies on masters, which
//! have nothing else of the service's configuration and should not be handed any.

use std::io;
use std::path::{Path, PathBuf};

use minion::verify::Algorithm;
use serde::Deserialize;

/// Everything that `fetch` needs to know besides Salt's own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The service's address.
    pub url: String,
    /// The CA that vouches for the service.
    pub ca: PathBuf,
    /// This master's client certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The pinned public half of the signing key.
    pub master_sign_pub: PathBuf,
    /// The directory with Salt's `master` file.
    pub salt_config: PathBuf,
    /// The algorithm; none leaves it to the service.
    pub algorithm: Option<Algorithm>,
}

/// The same, each value possibly missing: from the file or from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Partial {
    /// The service's address.
    pub url: Option<String>,
    /// The CA that vouches for the service.
    pub ca: Option<PathBuf>,
    /// This master's client certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// The pinned public half of the signing key.
    pub master_sign_pub: Option<PathBuf>,
    /// The directory with Salt's `master` file.
    pub salt_config: Option<PathBuf>,
    /// The algorithm, under Salt's name.
    pub algorithm: Option<String>,
}

impl Partial {
    /// Reads the file; its relative paths start at its directory.
    ///
    /// # Errors
    ///
    /// Names the file, the line and the key.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut partial: Self = toml::from_str(&text).map_err(|error| SettingsError::Parse {
            path: path.to_owned(),
            message: hsm_config::explain(&text, &error),
        })?;
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        for file in [
            &mut partial.ca,
            &mut partial.certificate,
            &mut partial.key,
            &mut partial.master_sign_pub,
            &mut partial.salt_config,
        ]
        .into_iter()
        .flatten()
        {
            *file = base.join(&*file);
        }
        Ok(partial)
    }

    /// Takes each value from `self`, and what is missing from `below`.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            url: self.url.or(below.url),
            ca: self.ca.or(below.ca),
            certificate: self.certificate.or(below.certificate),
            key: self.key.or(below.key),
            master_sign_pub: self.master_sign_pub.or(below.master_sign_pub),
            salt_config: self.salt_config.or(below.salt_config),
            algorithm: self.algorithm.or(below.algorithm),
        }
    }

    /// The settings for what is done without the service, which need not be named then.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub fn complete_without_service(self) -> Result<Settings, SettingsError> {
        let url = self.url.clone().or_else(|| Some(String::new()));
        Self { url, ..self }.complete()
    }

    /// The settings, if nothing is missing.
    ///
    /// # Errors
    ///
    /// Names everything that is missing at once.
    pub fn complete(self) -> Result<Settings, SettingsError> {
        let algorithm = self
            .algorithm
            .map(|name| name.parse().map_err(SettingsError::Algorithm))
            .transpose()?;
        match (
            self.url,
            self.ca,
            self.certificate,
            self.key,
            self.master_sign_pub,
        ) {
            (Some(url), Some(ca), Some(certificate), Some(key), Some(master_sign_pub)) => {
                Ok(Settings {
                    url,
                    ca,
                    certificate,
                    key,
                    master_sign_pub,
                    salt_config: self
                        .salt_config
                        .unwrap_or_else(|| PathBuf::from(SALT_CONFIG)),
                    algorithm,
                })
            }
            (url, ca, certificate, key, pinned) => {
                let missing = [
                    ("url", url.is_none()),
                    ("ca", ca.is_none()),
                    ("certificate", certificate.is_none()),
                    ("key", key.is_none()),
                    ("master_sign_pub", pinned.is_none()),
                ];
                let missing = missing.iter().filter(|(_, is_missing)| *is_missing);
                let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
                Err(SettingsError::Missing(missing.join(", ")))
            }
        }
    }
}

/// Where Salt's packages put it.
pub const SALT_CONFIG: &str = "/etc/salt";

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An algorithm that Salt does not have.
    #[error("failed to read `algorithm`")]
    Algorithm(#[source] minion::verify::UnknownAlgorithm),
    /// Values that are neither in the file nor on the command line.
    #[error(
        "missing: {0}; give them as options of the same name (`--master-sign-pub` and so on; `key` \
         is `--private-key`) or in /etc/mastersign/fetch.toml"
    )]
    Missing(String),
    /// Not the TOML that is expected.
    #[error("{}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line and what is wrong there.
        message: String,
    },
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("fetch.toml");
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    const ALL: &str = "url = 'https://sign.example.org:8443'\nca = 'ca.pem'\ncertificate = 'm.pem'\n\
                       key = '/run/m.key'\nmaster_sign_pub = 'master_sign.pub'\nalgorithm = 'PKCS1v15-SHA224'\n";

    #[test]
    fn paths_in_the_file_start_at_its_directory() {
        let (directory, path) = file(ALL);
        let settings = Partial::read(&path).unwrap().complete().unwrap();
        assert_eq!(settings.ca, directory.path().join("ca.pem"));
        assert_eq!(settings.key, Path::new("/run/m.key"));
        assert_eq!(settings.salt_config, Path::new("/etc/salt"));
        assert_eq!(settings.algorithm, Some(Algorithm::Sha224));
    }

    #[test]
    fn the_example_names_every_key() {
        let example = include_str!("../../../deploy/fetch.example.toml");
        let (_directory, path) = file(&example.replace("\n# ", "\n"));
        let settings = Partial::read(&path).unwrap().complete().unwrap();
        assert_eq!(settings.algorithm, Some(Algorithm::Sha1));
        assert_eq!(settings.salt_config, Path::new("/etc/salt"));
    }

    #[test]
    fn the_command_line_wins() {
        let (_directory, path) = file(ALL);
        let line = Partial {
            url: Some("https://other:1".to_owned()),
            ..Partial::default()
        };
        let settings = line.over(Partial::read(&path).unwrap()).complete().unwrap();
        assert_eq!(settings.url, "https://other:1");
        assert_eq!(settings.key, Path::new("/run/m.key"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let (_directory, path) = file("url = 'https://a'\nmaster_sing_pub = 'x'\n");
        let error = Partial::read(&path).unwrap_err().to_string();
        assert!(error.contains("fetch.toml: line 2"), "{error}");
        assert!(
            error.ends_with("did you mean `master_sign_pub`?"),
            "{error}"
        );
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let (_directory, path) = file("ca = 'ca.pem'\n");
        let error = Partial::read(&path).unwrap().complete().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("missing: url, certificate, key, master_sign_pub;"),
            "{error}"
        );
    }

    #[test]
    fn an_algorithm_that_salt_lacks_is_refused() {
        let line = Partial {
            algorithm: Some("PKCS1v15-SHA256".to_owned()),
            ..Partial::default()
        };
        assert!(matches!(line.complete(), Err(SettingsError::Algorithm(_))));
    }
}
