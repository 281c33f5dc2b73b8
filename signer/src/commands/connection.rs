//! Who the operator is and where the service is.

use std::future::Future;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use uuid::Uuid;

use crate::authorize::{Identity, OperatorRole};
use crate::client::{self, Blocking, Client, Credentials};

/// How to reach the service.
#[derive(Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The service: https://HOST:PORT
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// The CA that vouches for the service, PEM
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// The admin's certificate, PEM
    #[arg(long, value_name = "FILE", global = true)]
    certificate: Option<PathBuf>,
    /// The admin's private key, PEM
    #[arg(long = "private-key", value_name = "FILE", global = true)]
    #[serde(rename = "key")]
    private_key: Option<PathBuf>,
    /// The store that statements are meant for; a service with another one is refused
    #[arg(long, value_name = "UUID", global = true)]
    store: Option<Uuid>,
    /// TOML with url, ca, certificate, key and store, for those that are not given [default:
    /// /etc/mastersign/admin.toml if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    #[serde(skip)]
    config: Option<PathBuf>,
}

#[cfg(test)]
impl Options {
    pub(super) fn of(url: String, ca: PathBuf, certificate: PathBuf, key: PathBuf) -> Self {
        Self {
            url: Some(url),
            ca: Some(ca),
            certificate: Some(certificate),
            private_key: Some(key),
            ..Self::default()
        }
    }

    pub(super) fn for_store(self, store: Uuid) -> Self {
        Self {
            store: Some(store),
            ..self
        }
    }
}

/// An operator's connection.
#[derive(Debug)]
pub(in crate::commands) struct Connection {
    client: Client,
    credentials: Credentials,
    runtime: Blocking,
    store: Option<Uuid>,
}

impl Connection {
    /// Reads an admin's files and prepares the client; nothing is sent yet.
    pub(super) fn open(arguments: Options) -> anyhow::Result<Self> {
        Self::open_as(OperatorRole::Admin, arguments)
    }

    /// The same for an operator with another role.
    pub(super) fn open_as(wanted: OperatorRole, arguments: Options) -> anyhow::Result<Self> {
        let connection = Self::open_as_anybody(arguments)?;
        match connection.credentials.identity() {
            Identity::Operator { role, .. } if *role == wanted => Ok(connection),
            other => {
                let wanted = wanted.name();
                anyhow::bail!(
                    "the client certificate is {other}, and this needs an {wanted}'s; \
                     `mastersign pki issue {wanted} NAME` makes one"
                )
            }
        }
    }

    /// The same for what every client may ask.
    pub(super) fn open_as_anybody(arguments: Options) -> anyhow::Result<Self> {
        let arguments = arguments.complete()?;
        let (Some(url), Some(ca), Some(certificate), Some(key)) = (
            &arguments.url,
            &arguments.ca,
            &arguments.certificate,
            &arguments.private_key,
        ) else {
            anyhow::bail!(
                "--url, --ca, --certificate and --private-key are needed, or url, ca, certificate \
                 and key in {DEFAULT}"
            );
        };
        let credentials = Credentials::read(ca, certificate, key)?;
        Ok(Self {
            client: Client::new(url, &credentials)?,
            credentials,
            runtime: Blocking::new().context("failed to start the network client")?,
            store: arguments.store,
        })
    }

    pub(in crate::commands) const fn client(&self) -> &Client {
        &self.client
    }

    pub(super) const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(in crate::commands) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.wait(call)
    }

    /// The store's name, which must be the expected one if there is one.
    pub(super) fn store(&self) -> anyhow::Result<Uuid> {
        let theirs = self.wait(self.client.signing_keys())?.store;
        match self.store {
            Some(ours) if ours != theirs => anyhow::bail!(
                "the service's store is {theirs}, not {ours}: this is another installation, or its \
                 state was replaced"
            ),
            _ => Ok(theirs),
        }
    }

    /// The call's answer, or `None` if the service says that there is nothing.
    pub(super) fn find<T>(
        &self,
        call: impl Future<Output = Result<T, client::Error>>,
    ) -> Result<Option<T>, client::Error> {
        match self.wait(call) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Options {
    fn complete(self) -> anyhow::Result<Self> {
        let default = PathBuf::from(DEFAULT);
        let file = self
            .config
            .clone()
            .or_else(|| default.exists().then_some(default));
        let Some(path) = file else {
            return Ok(self);
        };
        let below = Self::read(&path)?;
        Ok(Self {
            url: self.url.or(below.url),
            ca: self.ca.or(below.ca),
            certificate: self.certificate.or(below.certificate),
            private_key: self.private_key.or(below.private_key),
            store: self.store.or(below.store),
            config: self.config,
        })
    }

    /// Reads the file; its relative paths start at its directory.
    ///
    /// # Errors
    ///
    /// Names the file, the line and the key.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let mut read: Self = toml::from_str(&text).map_err(|error| {
            anyhow::anyhow!("{}: {}", path.display(), hsm_config::explain(&text, &error))
        })?;
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        let files = [&mut read.ca, &mut read.certificate, &mut read.private_key];
        for file in files.into_iter().flatten() {
            *file = base.join(&*file);
        }
        Ok(read)
    }
}

const DEFAULT: &str = "/etc/mastersign/admin.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_fills_what_the_line_leaves_open() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("admin.toml");
        std::fs::write(&path, "url = 'https://a:1'\nkey = 'admin.key'\n").unwrap();
        let arguments = Options {
            url: Some("https://b:2".to_owned()),
            config: Some(path),
            ..Options::default()
        };
        let complete = arguments.complete().unwrap();
        assert_eq!(complete.url.unwrap(), "https://b:2");
        assert_eq!(
            complete.private_key.unwrap(),
            directory.path().join("admin.key")
        );
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("admin.toml");
        std::fs::write(&path, "certificat = 'x'\n").unwrap();
        let error = Options::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("did you mean `certificate`?"), "{error}");
    }
}
