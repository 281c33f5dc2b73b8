//! Salt's formats as a minion sees them, and the verification of a master's signed key.
//!
//! A minion that fails over between masters trusts each of them because one shared key,
//! `master_sign`, signed the master's public key. This crate owns that format: which bytes are
//! signed, by which algorithm, and how the signature is written into the file that a stock
//! salt-master serves. The signing service links the same code and sends every signature through it
//! before anybody else sees it, so what the service emits is what a minion accepts.
//!
//! Without features everything is pure: bytes in, values out; no async, no clock, no randomness, no
//! files. `salt-config` adds the reader of Salt's configuration files and `verify-command` a
//! command, both of which the signing service shares; `agent`, which is on by default, adds what
//! acts. Checked against Salt 3006.30, 3007.17 and 3008.5.
//!
//! # Layout
//!
//! [`verify`] is in the order of the data: a PEM text becomes a [`verify::PublicKey`], a file
//! becomes a [`verify::Signature`], and the two meet in [`verify::PublicKey::verify`]. [`wire`] is
//! around it: what a master sends is decoded, a handshake is checked by [`verify`], and its result
//! opens what comes after. [`zmtp`] turns the bytes of a connection into replies and publications.
//! [`failover`] decides which master to ask, when, and whether the one in use is still there.
//!
//! With `salt-config`: `yaml` is Salt's YAML, `salt_config` its files, includes and merging.
//!
//! With `agent`: `cli`, `commands`, `log`, `config` and `pki` are the program `mastersign-minion`
//! and the files of a stock minion that it reads; `grains` and `jobs` are what a minion knows and
//! can do; `net` moves the bytes of [`zmtp`]; `agent` performs what [`failover`] decides.
//!
//! # A minion in a program
//!
//! The agent is a library for any program that wants to answer a Salt master. This one keeps its
//! trust in memory and its own handler beside the stock functions:
//!
#![cfg_attr(
    feature = "agent",
    doc = r#"
```no_run
use std::num::NonZeroU16;
use std::sync::Arc;

use minion::agent::{Agent, Handler, Identity, Memory, Setup, SigningKey, Stock};
use minion::config::Master;
use minion::failover::{MasterType, Settings};
use minion::jobs::{Answer, Context, Reply};
use minion::verify::{Algorithm, PublicKey};
use minion::wire::envelope::Algorithms;
use minion::wire::private_key::{Encryption, PrivateKey};
use minion::wire::publish::{Function, Publication};
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct Doorbell;

impl Handler for Doorbell {
    fn run(&self, job: &Publication, context: &Context<'_>) -> Answer {
        match &job.function {
            Function::One(call) if call.name == "door.ring" => {
                Answer::Reply(Reply::ok("ding dong".into()))
            }
            _ => Stock.run(job, context),
        }
    }
}

# async fn run() -> Result<(), Box<dyn std::error::Error>> {
let key = PrivateKey::from_pem(&std::fs::read("minion.pem")?)?;
let algorithms = Algorithms { signing: Algorithm::Sha1, encryption: Encryption::Sha1 };
let identity = Identity::new("door-7".parse()?, key, "minion.pem".into(), algorithms, None)?;

let signer = PublicKey::parse(&std::fs::read("master_sign.pub")?)?;
let trust = Memory::new(vec![SigningKey { name: "master_sign.pub".to_owned(), key: signer }]);

let masters = ["salt-1.example.org", "salt-2.example.org"].map(|host| Master {
    name: host.to_owned(),
    host: host.to_owned(),
    port: NonZeroU16::new(4506).unwrap_or(NonZeroU16::MIN),
});
let failover = Settings { master_type: MasterType::Failover, ..Settings::default() };

let mut setup = Setup::new(Arc::new(identity), Arc::new(trust), failover, masters.to_vec());
setup.handler = Arc::new(Doorbell);
let agent = Agent::new(setup)?;
let status = agent.status();
let stop = CancellationToken::new();
let ended = agent.run(stop).await;
println!("{ended:?} after {:?}", status.borrow().masters);
# Ok(())
# }
```
"#
)]
#![forbid(unsafe_code)]

#[cfg(feature = "agent")]
pub mod cli;

#[cfg(feature = "verify-command")]
pub mod commands;

#[cfg(feature = "verify-command")]
pub mod terminal;

#[cfg(feature = "agent")]
pub mod log;

#[cfg(feature = "salt-config")]
mod fnmatch;

#[cfg(feature = "salt-config")]
pub mod yaml;

#[cfg(feature = "salt-config")]
pub mod salt_config;

#[cfg(feature = "agent")]
pub mod config;

#[cfg(feature = "agent")]
pub mod pki;

pub mod zmtp;

pub mod wire;

pub mod verify;

pub mod failover;

#[cfg(feature = "agent")]
pub mod grains;

#[cfg(feature = "agent")]
pub mod jobs;

#[cfg(feature = "agent")]
pub mod net;

#[cfg(feature = "agent")]
pub mod agent;
