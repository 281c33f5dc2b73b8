//! Jobs as a master publishes them.

use minion::verify::Algorithm;
use minion::wire::msgpack::Value;

use super::keys::Keypair;
use super::reply::Load;
use super::seal::SharedKey;

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// What to run.
    pub fun: Value,
    /// Its arguments.
    pub arg: Vec<Value>,
    /// Who is meant.
    pub tgt: Value,
    /// How `tgt` is to be read.
    pub tgt_type: String,
    /// The job's name.
    pub jid: String,
}

impl Job {
    /// `test.ping` for everybody.
    #[must_use]
    pub fn ping(jid: &str) -> Self {
        Self {
            fun: "test.ping".into(),
            arg: Vec::new(),
            tgt: "*".into(),
            tgt_type: "glob".to_owned(),
            jid: jid.to_owned(),
        }
    }

    /// The load in Salt's order (Salt 3008.5, `salt/master.py`, `ClearFuncs._prep_pub`).
    #[must_use]
    pub fn into_load(self, serial: u64) -> Load {
        vec![
            ("fun".into(), self.fun),
            ("arg".into(), Value::Array(self.arg)),
            ("tgt".into(), self.tgt),
            ("jid".into(), self.jid.as_str().into()),
            ("ret".into(), "".into()),
            ("tgt_type".into(), self.tgt_type.as_str().into()),
            ("user".into(), "root".into()),
            ("serial".into(), serial.into()),
        ]
    }
}

/// Seals and signs a load (Salt 3008.5, `salt/channel/server.py`, `PubServerChannel.wrap_payload`).
#[must_use]
pub fn publication(load: Load, aes: &SharedKey, key: &Keypair, algorithm: Algorithm) -> Load {
    around(aes.seal("", &Value::Map(load)), key, algorithm)
}

/// Signs a sealed load, whatever is in it.
#[must_use]
pub fn around(sealed: Vec<u8>, key: &Keypair, algorithm: Algorithm) -> Load {
    let signature = key.sign(algorithm, &sealed);
    vec![
        ("enc".into(), "aes".into()),
        ("load".into(), sealed.into()),
        ("sig_algo".into(), algorithm.name().into()),
        ("sig".into(), signature.into()),
    ]
}
