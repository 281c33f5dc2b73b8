//! What this host is, under the names by which operators target it.
//!
//! Names and types are Salt's (Salt 3008.5, `salt/grains/core.py`, `extra.py` and
//! `minion_process.py`), values are read from the kernel and from `/etc`; no program is run for
//! them. A fact that cannot be had is left out. `docs/salt-compatibility.md` lists what there is.

mod hardware;
mod network;
mod process;
mod system;

use sha2::{Digest, Sha256};

use crate::wire::id::MinionId;
use crate::wire::msgpack::Value;

/// What the grains need to know of the configuration.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The minion's id.
    pub id: &'a MinionId,
    /// The master in use, as it is configured.
    pub master: &'a str,
    /// The static grains: a map that stands above everything that is found out.
    pub configured: &'a Value,
}

/// Finds out what this host is. It reads files and asks the resolver for the host's own name, so it
/// may take as long as a name server does not answer.
#[must_use]
pub fn collect(inputs: &Inputs<'_>) -> Value {
    let mut grains = Grains::default();
    grains.set("id", inputs.id.as_str());
    grains.set("master", inputs.master);
    grains.set("server_id", server_id(inputs.id));
    grains.set("mastersign_version", env!("CARGO_PKG_VERSION"));
    system::collect(&mut grains);
    hardware::collect(&mut grains);
    network::collect(&mut grains);
    process::collect(&mut grains);
    if let Value::Map(configured) = inputs.configured {
        for (name, value) in configured {
            grains.0.retain(|(known, _)| known != name);
            grains.0.push((name.clone(), value.clone()));
        }
    }
    Value::Map(grains.0)
}

/// What the text of an `os-release` file says of a host with that processor.
#[must_use]
pub fn distribution(os_release: &str, machine: &str) -> Value {
    let mut grains = Grains::default();
    system::distribution(&mut grains, os_release, machine);
    Value::Map(grains.0)
}

/// Grains in the order in which they were found.
#[derive(Debug, Default)]
struct Grains(Vec<(Value, Value)>);

impl Grains {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.push((name.into(), value.into()));
    }

    fn set_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn set_list<T: AsRef<str>>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        let items = items.into_iter().map(|item| Value::from(item.as_ref()));
        self.set(name, Value::Array(items.collect()));
    }
}

/// Salt 3008.5, `salt/grains/core.py`, `get_server_id`: SHA-256 of the id, modulo 2^31.
fn server_id(id: &MinionId) -> u64 {
    let digest = Sha256::digest(id.as_str());
    let last = digest.last_chunk().copied().unwrap_or_default();
    u64::from(u32::from_be_bytes(last) & 0x7fff_ffff)
}

/// A file's text without space around it; none if it is not there or empty.
fn line_of(path: &str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}
