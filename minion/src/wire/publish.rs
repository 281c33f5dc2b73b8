//! Publications: what a master tells all its minions at once.
//!
//! Every minion of a master has the AES key, so the key says nothing about who sent a job
//! (CVE-2025-22236). The master's signature does: it is required of every publication, is checked
//! first, and only with the key of this connection's handshake. A stock minion checks it only with
//! `sign_pub_messages`, which is off by default.

mod job;

pub use job::{BadJid, Call, Function, Jid, Publication, Target};

use super::crypticle::{Crypticle, KeyId, OpenError};
use super::msgpack::{FieldError, Fields};
use crate::verify::{Algorithm, PublicKey, Signature};

/// The publications of one master under one AES key.
#[derive(Debug)]
pub struct Publications {
    aes: Crypticle,
    master: PublicKey,
    algorithm: Algorithm,
    last_serial: Option<u64>,
}

impl Publications {
    /// Binds the AES key of a handshake to the master that signed it.
    ///
    /// `algorithm` is what this fleet's masters have for `publish_signing_algorithm`, a setting
    /// apart from the minion's `signing_algorithm`. `last_serial` is the one that was reached
    /// before under the same [`key`](Self::key), if any: a minion that forgets it lets old
    /// publications in again after every new sign-in.
    #[must_use]
    pub const fn new(
        aes: Crypticle,
        master: PublicKey,
        algorithm: Algorithm,
        last_serial: Option<u64>,
    ) -> Self {
        Self {
            aes,
            master,
            algorithm,
            last_serial,
        }
    }

    /// The name of the AES key.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.aes.id()
    }

    /// The serial of the last publication that was accepted.
    #[must_use]
    pub const fn last_serial(&self) -> Option<u64> {
        self.last_serial
    }

    /// Opens the body of a publication; with `zmq_filtering` the frame of the topic comes before it
    /// and is not it.
    ///
    /// # Errors
    ///
    /// [`PublicationError::Open`] with [`OpenError::Sealed`] is authentic and under another AES
    /// key: sign in again. After any other error the publication is dropped.
    pub fn open(&mut self, body: &[u8]) -> Result<Publication, PublicationError> {
        // Salt 3008.5, salt/channel/server.py, PubServerChannel.wrap_payload.
        let mut outer = Fields::decode(body)?;
        if outer.text("enc")? != "aes" {
            return Err(FieldError::Wrong("enc").into());
        }
        let sealed = outer.bytes("load")?;
        if outer.text("sig_algo")? != self.algorithm.name() {
            return Err(PublicationError::Algorithm);
        }
        let signature = outer
            .optional_bytes("sig")?
            .ok_or(PublicationError::Unsigned)?;
        self.master
            .verify_message(self.algorithm, &sealed, &Signature::new(signature))
            .map_err(|_| PublicationError::Signature)?;
        let load = self.aes.open(&sealed).map_err(PublicationError::Open)?;
        let publication = Publication::try_from(load)?;
        let serial = publication.serial;
        if self.last_serial.is_some_and(|last| serial <= last) {
            return Err(PublicationError::Serial { serial });
        }
        self.last_serial = Some(serial);
        Ok(publication)
    }
}

/// Why a publication is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicationError {
    /// It names an algorithm that is not the configured one.
    #[error("the publication names another sig_algo than this minion is configured with")]
    Algorithm,
    /// The master signed it, but it cannot be opened.
    #[error("the publication cannot be opened")]
    Open(#[source] OpenError),
    /// A serial that was reached before: a replay, or the master's clockwork went back.
    #[error("A message with an invalid serial was received: {serial}")]
    Serial {
        /// The serial in the publication.
        serial: u64,
    },
    /// A field is missing or of the wrong type.
    #[error("the publication has the wrong shape")]
    Shape(#[from] FieldError),
    /// The signature is not one of this connection's master.
    #[error("Message signature failed to validate.")]
    Signature,
    /// There is no signature.
    #[error("the publication is not signed")]
    Unsigned,
}
