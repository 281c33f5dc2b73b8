//! The check of an answer, in one fixed order.
//!
//! Shape, then the master's key and its signature by a trusted signing key, then the signature over
//! the answer and the nonce, and only then our private key. Nobody but a master whose key was
//! signed for the fleet ever gets a ciphertext decrypted, so nobody else can ask questions about
//! one. A stock minion decrypts first and has stored the key before it looks at signature and nonce
//! (Salt 3008.5, `salt/crypt.py`, `handle_signin_response` and `verify_master`).

use std::num::NonZeroU16;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::super::crypticle::Crypticle;
use super::super::envelope::AuthReply;
use super::super::nonce::same;
use super::reply::{Accepted, Keys, Load, Verdict};
use super::{Handshake, Proof, Refusal};
use crate::verify::{Fingerprint, KeyError, PublicKey, Signature};

/// What a complete handshake gives: nothing may be stored or believed before there is one.
#[derive(Debug)]
pub struct Session {
    /// The key of the master's publications, shared by all its minions.
    pub aes: Crypticle,
    /// The key of this minion's requests.
    pub session: Crypticle,
    /// Where the master publishes.
    pub publish_port: NonZeroU16,
    /// The master's key, signed by a trusted signing key and proved to be the sender's.
    pub master: PublicKey,
    /// Which of [`Trust::signing_keys`](super::Trust::signing_keys) vouched for it.
    pub signer: usize,
}

impl Handshake<'_> {
    /// Checks the answer to the request of [`begin`](Self::begin).
    ///
    /// # Errors
    ///
    /// Every [`Refusal`] ends the attempt. [`Refusal::Pending`], [`Refusal::Full`] and
    /// [`Refusal::Hint`] are worth another one later; the others are when an operator has done
    /// something.
    pub fn finish(self, reply: &[u8]) -> Result<Session, Refusal> {
        let algorithms = self.identity.algorithms;
        let (load, signature) = match AuthReply::parse(reply, algorithms)? {
            AuthReply::Signed { load, signature } => (load, signature),
            AuthReply::Hint(hint) => return Err(Refusal::Hint(hint)),
        };
        match Load::parse(&load, algorithms)? {
            Load::Accepted(accepted) => self.accept(&accepted, &load, &signature),
            Load::Answer { verdict, nonce } => Err(self.answer(verdict, &nonce, &load, &signature)),
        }
    }

    fn accept(
        self,
        accepted: &Accepted,
        load: &[u8],
        signature: &Signature,
    ) -> Result<Session, Refusal> {
        let (master, signer) = self.master_key(accepted)?;
        self.check_signature(&master, load, signature)?;
        self.check_nonce(&accepted.nonce)?;
        let (aes, session) = self
            .exchange(&master, &accepted.keys)
            .ok_or(Refusal::KeyExchange)?;
        Ok(Session {
            aes,
            session,
            publish_port: accepted.publish_port,
            master,
            signer,
        })
    }

    /// The master's key, if it is fit for use, and which signing key vouches for it.
    fn master_key(&self, accepted: &Accepted) -> Result<(PublicKey, usize), Refusal> {
        let signature = accepted.pub_sig.as_ref().ok_or(Refusal::SignatureMissing)?;
        let signature = Signature::from_file(signature).map_err(|_| Refusal::SignatureDamaged)?;
        let master = PublicKey::parse(&accepted.pub_key)?;
        if master.canonical().as_bytes() != accepted.pub_key {
            // The final LF that a file may have is not part of what is signed.
            return Err(KeyError::NotCanonical {
                offset: master.canonical().len(),
            }
            .into());
        }
        let algorithm = self.identity.algorithms.signing;
        let mut trusted = self.trust.signing_keys.iter();
        let signer = trusted
            .position(|signer| signer.verify(algorithm, &master, &signature).is_ok())
            .ok_or(Refusal::SignatureRejected)?;
        if !master.is_acceptable() {
            return Err(Refusal::Weak {
                bits: master.bits(),
            });
        }
        if self.trust.revoked.contains(&master.hash()) {
            return Err(Refusal::Revoked);
        }
        if let Some(configured) = self.trust.finger {
            let found = Fingerprint::salt(&master);
            if found != configured {
                return Err(Refusal::Finger { configured, found });
            }
        }
        Ok((master, signer))
    }

    /// A master that does not let us in shows no key, so only one that we know can be believed.
    fn answer(
        &self,
        verdict: Verdict,
        nonce: &[u8],
        load: &[u8],
        signature: &Signature,
    ) -> Refusal {
        let proof = match self.trust.known {
            None => Proof::Unverified,
            Some(master) => match self.check_signature(master, load, signature) {
                Ok(()) => Proof::Signed,
                Err(refusal) => return refusal,
            },
        };
        if let Err(refusal) = self.check_nonce(nonce) {
            return refusal;
        }
        match verdict {
            Verdict::Full => Refusal::Full(proof),
            Verdict::Pending => Refusal::Pending(proof),
            Verdict::Rejected => Refusal::Rejected(proof),
        }
    }

    fn check_signature(
        &self,
        master: &PublicKey,
        load: &[u8],
        signature: &Signature,
    ) -> Result<(), Refusal> {
        let algorithm = self.identity.algorithms.signing;
        let verdict = master.verify_message(algorithm, load, signature);
        verdict.map_err(|_| Refusal::PayloadSignature)
    }

    fn check_nonce(&self, echoed: &[u8]) -> Result<(), Refusal> {
        if self.nonce.is(echoed) {
            Ok(())
        } else {
            Err(Refusal::Nonce)
        }
    }

    /// Opens the keys. All operations are done before any result is looked at.
    fn exchange(&self, master: &PublicKey, keys: &Keys) -> Option<(Crypticle, Crypticle)> {
        let open = |sealed: &[u8]| {
            let opened = self
                .identity
                .key
                .decrypt(self.identity.algorithms.encryption, sealed);
            opened.unwrap_or_else(|_| Zeroizing::new(Vec::new()))
        };
        let aes_text = open(&keys.aes);
        let session_text = open(&keys.session);
        let token = keys.token.as_deref().map(open);
        let aes = Crypticle::parse(&aes_text).ok();
        let session = Crypticle::parse(&session_text).ok();
        // Salt 3008.5, salt/master.py, AuthFuncs._auth: what is signed is the hexadecimal text of
        // the digest.
        let digest = hex(&Sha256::digest(&*aes_text));
        let signed = master.verify_x931(digest.as_bytes(), &keys.sig);
        let echoed = self.token_is_right(master, token.as_ref().map(|text| text.as_slice()));
        if signed & echoed {
            aes.zip(session)
        } else {
            None
        }
    }

    /// The token comes back whenever the master could read it, which is when its key is the one
    /// that we knew.
    fn token_is_right(&self, master: &PublicKey, token: Option<&[u8]>) -> bool {
        match (self.trust.known, token) {
            (None, _) => true,
            (Some(_), Some(token)) => same(&self.identity.token.0, token),
            (Some(known), None) => known != master,
        }
    }
}

fn hex(digest: &[u8]) -> String {
    hex::encode(digest)
}
