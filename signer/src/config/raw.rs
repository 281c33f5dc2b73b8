//! A file as it stands, before defaults: every key may be missing, no unknown one is passed over.
//!
//! Values are checked while they are read and not afterwards, since only then the error knows the
//! line.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hsm_config::{Hsm, RawHsm, explain};
use minion::verify::Algorithm;
use serde::de::{Deserialize, Deserializer, Error as _};
use uuid::Uuid;

use super::file::Layer;
use super::{
    Config, ConfigError, Hardening, Limits, Listen, Log, LogFormat, Signing, StoreConfig, Tls,
};
use crate::audit::sink::Sink;
use crate::authorize::MasterId;

/// One file, or several merged.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    state_dir: Option<PathBuf>,
    listen: RawListen,
    tls: RawTls,
    store: RawStore,
    signing: RawSigning,
    limits: RawLimits,
    log: RawLog,
    audit: RawAudit,
    hardening: RawHardening,
    hsm: Vec<toml::Spanned<RawHsm>>,
}

impl File {
    /// Reads one file; its HSMs are checked and come with the line on which each begins.
    pub(super) fn parse(layer: &Layer) -> Result<(Self, Vec<(usize, Hsm)>), ConfigError> {
        let mut file: Self = toml::from_str(&layer.text).map_err(|error| ConfigError::Refused {
            path: layer.path.clone(),
            message: explain(&layer.text, &error),
        })?;
        let hsms = std::mem::take(&mut file.hsm)
            .into_iter()
            .map(|raw| {
                let line = line(&layer.text, raw.span().start);
                match Hsm::try_from(raw.into_inner()) {
                    Ok(hsm) => Ok((line, hsm)),
                    Err(error) => Err(ConfigError::Hsm {
                        path: layer.path.clone(),
                        line,
                        source: Box::new(error),
                    }),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok((file, hsms))
    }

    /// This file's keys where it has them, the earlier one's elsewhere.
    pub(super) fn over(self, earlier: Self) -> Self {
        let mut masters = earlier.signing.masters;
        masters.extend(self.signing.masters);
        Self {
            state_dir: self.state_dir.or(earlier.state_dir),
            listen: RawListen {
                api: self.listen.api.or(earlier.listen.api),
                ops: self.listen.ops.or(earlier.listen.ops),
            },
            tls: RawTls {
                certificate: self.tls.certificate.or(earlier.tls.certificate),
                key: self.tls.key.or(earlier.tls.key),
                masters_ca: self.tls.masters_ca.or(earlier.tls.masters_ca),
                operators_ca: self.tls.operators_ca.or(earlier.tls.operators_ca),
                masters_crl: self.tls.masters_crl.or(earlier.tls.masters_crl),
                operators_crl: self.tls.operators_crl.or(earlier.tls.operators_crl),
            },
            store: RawStore {
                id: self.store.id.or(earlier.store.id),
                path: self.store.path.or(earlier.store.path),
            },
            signing: RawSigning {
                default_algorithm: self
                    .signing
                    .default_algorithm
                    .or(earlier.signing.default_algorithm),
                masters,
            },
            limits: self.limits.over(&earlier.limits),
            log: RawLog {
                format: self.log.format.or(earlier.log.format),
                filter: self.log.filter.or(earlier.log.filter),
            },
            hardening: RawHardening {
                allow_root: self.hardening.allow_root.or(earlier.hardening.allow_root),
                required: self.hardening.required.or(earlier.hardening.required),
            },
            audit: RawAudit {
                head_sink: self.audit.head_sink.or(earlier.audit.head_sink),
            },
            hsm: Vec::new(),
        }
    }

    /// Fills in the defaults and makes every path absolute.
    pub(super) fn finish(self, path: PathBuf, hsms: Vec<Hsm>) -> Result<Config, ConfigError> {
        let base = path.parent().unwrap_or_else(|| Path::new("/"));
        let required = |value: Option<PathBuf>, key| match value {
            Some(value) => Ok(base.join(value)),
            None => Err(ConfigError::Missing {
                path: path.clone(),
                key,
            }),
        };
        let state_dir = base.join(self.state_dir.unwrap_or_else(|| STATE_DIR.into()));
        Ok(Config {
            listen: Listen {
                api: self.listen.api.unwrap_or(API),
                ops: self.listen.ops.unwrap_or(OPS),
            },
            tls: Tls {
                certificate: required(self.tls.certificate, "tls.certificate")?,
                key: required(self.tls.key, "tls.key")?,
                masters_ca: required(self.tls.masters_ca, "tls.masters_ca")?,
                operators_ca: required(self.tls.operators_ca, "tls.operators_ca")?,
                masters_crl: self.tls.masters_crl.map(|path| base.join(path)),
                operators_crl: self.tls.operators_crl.map(|path| base.join(path)),
            },
            store: StoreConfig {
                id: self.store.id.map(|id| id.0),
                path: match self.store.path {
                    Some(file) => base.join(file),
                    None => state_dir.join("mastersign.db"),
                },
            },
            signing: Signing {
                default_algorithm: self
                    .signing
                    .default_algorithm
                    .map_or(Algorithm::Sha1, |named| named.0),
                masters: self
                    .signing
                    .masters
                    .into_iter()
                    .map(|(id, named)| (id, named.0))
                    .collect(),
            },
            hsms,
            limits: self.limits.finish(),
            log: Log {
                format: self.log.format.unwrap_or_default(),
                filter: self
                    .log
                    .filter
                    .map_or_else(|| "info".to_owned(), |filter| filter.0),
            },
            hardening: self.hardening.finish(),
            audit_head_sink: self
                .audit
                .head_sink
                .map(|named| named.0)
                .unwrap_or_default(),
            state_dir,
            path,
        })
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawListen {
    api: Option<SocketAddr>,
    ops: Option<SocketAddr>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    masters_ca: Option<PathBuf>,
    operators_ca: Option<PathBuf>,
    masters_crl: Option<PathBuf>,
    operators_crl: Option<PathBuf>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStore {
    id: Option<StoreId>,
    path: Option<PathBuf>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSigning {
    default_algorithm: Option<Named>,
    masters: BTreeMap<MasterId, Named>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    format: Option<LogFormat>,
    filter: Option<Filter>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAudit {
    head_sink: Option<NamedSink>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHardening {
    allow_root: Option<bool>,
    required: Option<bool>,
}

impl RawHardening {
    fn finish(self) -> Hardening {
        Hardening {
            allow_root: self.allow_root.unwrap_or_default(),
            required: self.required.unwrap_or_default(),
        }
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    connections: Option<Count>,
    connections_per_address: Option<Count>,
    requests: Option<Count>,
    requests_per_second: Option<Count>,
    handshake_timeout: Option<Short>,
    header_timeout: Option<Short>,
    request_timeout: Option<Short>,
    drain_timeout: Option<Short>,
}

impl RawLimits {
    fn over(self, earlier: &Self) -> Self {
        Self {
            connections: self.connections.or(earlier.connections),
            connections_per_address: self
                .connections_per_address
                .or(earlier.connections_per_address),
            requests: self.requests.or(earlier.requests),
            requests_per_second: self.requests_per_second.or(earlier.requests_per_second),
            handshake_timeout: self.handshake_timeout.or(earlier.handshake_timeout),
            header_timeout: self.header_timeout.or(earlier.header_timeout),
            request_timeout: self.request_timeout.or(earlier.request_timeout),
            drain_timeout: self.drain_timeout.or(earlier.drain_timeout),
        }
    }

    fn finish(self) -> Limits {
        let seconds = |value: Option<Short>, default| {
            value.map_or_else(|| Duration::from_secs(default), |short| short.0)
        };
        Limits {
            connections: self.connections.map_or(1024, |count| count.0),
            connections_per_address: self.connections_per_address.map_or(128, |count| count.0),
            requests: self.requests.map_or(512, |count| count.0),
            requests_per_second: self.requests_per_second.map_or(100, |count| count.0),
            handshake_timeout: seconds(self.handshake_timeout, 5),
            header_timeout: seconds(self.header_timeout, 10),
            request_timeout: seconds(self.request_timeout, 15),
            drain_timeout: seconds(self.drain_timeout, 20),
        }
    }
}

/// A number of things that are held at once.
#[derive(Clone, Copy)]
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match usize::deserialize(deserializer)? {
            count @ 1..=65_536 => Ok(Self(count)),
            _ => Err(D::Error::custom("the number must lie between 1 and 65536")),
        }
    }
}

/// Filter directives that tracing understands.
struct Filter(String);

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match tracing_subscriber::EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(D::Error::custom(
                "a filter is a level or module=level, separated by commas, \
                 like \"info,signer=debug\"",
            )),
        }
    }
}

/// A signature algorithm by Salt's name.
#[derive(Clone, Copy)]
struct Named(Algorithm);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            let names = Algorithm::ALL
                .map(|known| format!("`{known}`"))
                .join(" or ");
            // In serde's words, from which `explain` takes the suggestion and cuts the value.
            D::Error::custom(format!("unknown variant `{text}`, expected {names}"))
        })
    }
}

/// Where audit heads are told.
struct NamedSink(Sink);

impl<'de> Deserialize<'de> for NamedSink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Sink::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

/// A time that somebody waits for.
#[derive(Clone, Copy)]
struct Short(Duration);

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value = humantime::parse_duration(&text).map_err(|_| {
            D::Error::custom("a duration has a number and a unit, like \"250ms\", \"5s\" or \"1m\"")
        })?;
        if (SHORTEST..=LONGEST).contains(&value) {
            Ok(Self(value))
        } else {
            Err(D::Error::custom(
                "the duration must lie between 100ms and 2m",
            ))
        }
    }
}

/// The identity of a store.
#[derive(Clone, Copy)]
struct StoreId(Uuid);

impl<'de> Deserialize<'de> for StoreId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<Uuid>() {
            Ok(id) if !id.is_nil() => Ok(Self(id)),
            Ok(_) | Err(_) => Err(D::Error::custom(
                "the id of a store is a UUID that no other store has; uuidgen makes one",
            )),
        }
    }
}

fn line(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count().saturating_add(1)
}

const API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);
/// Longer than any client waits.
const LONGEST: Duration = Duration::from_secs(120);
const OPS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8444);
/// Shorter than a handshake over a slow link.
const SHORTEST: Duration = Duration::from_millis(100);
const STATE_DIR: &str = "/var/lib/mastersign";
