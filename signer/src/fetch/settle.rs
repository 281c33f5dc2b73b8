//! What the service answered, verified and put in its place.

use minion::verify::{Algorithm, Signature};
use sha2::{Digest, Sha256};

use super::directory::DirectoryError;
use super::{Error, Fetch};
use crate::authorize::MasterId;
use crate::client::SignatureDocument;

/// How a fetch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What the service sent does not verify; nothing was written.
    Mismatch {
        /// What is wrong with it.
        why: String,
    },
    /// An operator has to accept the key first.
    Pending {
        /// The name under which the operator finds it.
        master: MasterId,
    },
    /// The file was this signature already.
    Unchanged {
        /// How it was made.
        algorithm: Algorithm,
    },
    /// There is no signature yet, so a real run would ask for one.
    WouldAsk,
    /// A real run would write the file.
    WouldWrite {
        /// How the signature was made.
        algorithm: Algorithm,
    },
    /// The file was written.
    Written {
        /// How the signature was made.
        algorithm: Algorithm,
    },
}

impl Fetch {
    /// Verifies an answer that came as a file, and puts its signature in its place.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn take(&self, answer: &SignatureDocument) -> Result<Outcome, Error> {
        self.settle(answer, true)
    }

    /// SHA-256 of the file that is there now, if it verifies, in the algorithm that is wanted if one
    /// is.
    #[must_use]
    pub fn verified(&self) -> Option<[u8; 32]> {
        let content = self.directory.read_no_link(&self.name).ok()??;
        let signature = Signature::from_file(&content).ok()?;
        let wanted = self.prepared.settings.algorithm;
        Algorithm::ALL
            .into_iter()
            .filter(|algorithm| wanted.is_none_or(|wanted| wanted == *algorithm))
            .any(|algorithm| {
                let pinned = &self.prepared.pinned;
                pinned
                    .verify(algorithm, &self.keys.public, &signature)
                    .is_ok()
            })
            .then(|| Sha256::digest(&content).into())
    }

    /// What the file holds now; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`PkiDir::read_no_link`](super::directory::PkiDir::read_no_link).
    pub fn content(&self) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.directory.read_no_link(&self.name)
    }

    /// Verifies what the service sent and, if `write`, puts it in its place.
    pub(super) fn settle(
        &self,
        document: &SignatureDocument,
        write: bool,
    ) -> Result<Outcome, Error> {
        let mismatch = |why: String| Ok(Outcome::Mismatch { why });
        let algorithm = document.algorithm;
        if let Some(wanted) = self.prepared.settings.algorithm
            && wanted != algorithm
        {
            return mismatch(format!(
                "{wanted} was asked for and {algorithm} was answered"
            ));
        }
        let Some(signature) = document.signature() else {
            return mismatch("the answer is not base64".to_owned());
        };
        let pinned = &self.prepared.pinned;
        if pinned
            .verify(algorithm, &self.keys.public, &signature)
            .is_err()
        {
            return mismatch(format!(
                "the signature is not by {} over this master's key",
                self.prepared.settings.master_sign_pub.display()
            ));
        }
        let content = signature.to_file();
        let current = self
            .directory
            .read_no_link(&self.name)
            .map_err(Error::Directory)?;
        let same = current.as_deref() == Some(content.as_bytes());
        if write && !same {
            self.directory
                .replace(&self.name, content.as_bytes())
                .map_err(Error::Directory)?;
        }
        Ok(match (same, write) {
            (true, _) => Outcome::Unchanged { algorithm },
            (false, true) => Outcome::Written { algorithm },
            (false, false) => Outcome::WouldWrite { algorithm },
        })
    }
}
