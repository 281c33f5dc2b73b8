//! One session with a token: login, keys, signatures.
//!
//! A session never closes itself. Handles start again after `C_Finalize`, so a session that is
//! dropped late would close somebody else's; cryptoki's own sessions do that. Here it is
//! [`Session::close`] or nothing.
//!
//! After any error while signing, the operation may still be active in the module, and everything
//! that the session is asked from then on fails with `CKR_OPERATION_ACTIVE`. So such an error
//! poisons the session for good.

use cryptoki::error::RvError;
use cryptoki::session::{Session as CryptokiSession, UserType};
use hsm_config::{KeyId, KeySelector, SignMechanism};
use minion::verify::{Algorithm, Signature};
use secrecy::SecretString;

use super::error::Error;
use super::generate::{self, Generated, KeyPlan};
use super::import::{self, ImportedKey};
use super::input::Input;
use super::key::SigningKey;
use super::raw::Raw;
use super::search;

/// A session; good for one thread at a time (a shared one makes `SoftHSM2` crash).
#[derive(Debug)]
pub struct Session {
    inner: CryptokiSession,
    raw: Option<Raw>,
    condition: Condition,
}

impl Session {
    pub(super) const fn new(inner: CryptokiSession, raw: Option<Raw>) -> Self {
        Self {
            inner,
            raw,
            condition: Condition::Sound,
        }
    }

    /// Presents the user's PIN, once. The login holds for all sessions of the process with this
    /// token.
    ///
    /// # Errors
    ///
    /// An error of class [`Pin`](super::Class::Pin) must not be followed by another attempt with
    /// the same PIN.
    pub fn login(&self, pin: &SecretString) -> Result<(), Error> {
        self.login_as(UserType::User, pin)
    }

    /// Finds the one private RSA key that is meant, and reads its public half and its attributes.
    ///
    /// # Errors
    ///
    /// Fails if no key or more than one answers (both with a listing), if the two halves differ, or
    /// if the token does.
    pub fn find_key(&self, selector: &KeySelector) -> Result<SigningKey, Error> {
        search::one(&self.inner, selector)
    }

    /// All private RSA keys that can be seen: after the login, all of them.
    ///
    /// # Errors
    ///
    /// Fails if the token does; a key that cannot be read is an error in the list.
    pub fn keys(&self) -> Result<Vec<Result<SigningKey, Error>>, Error> {
        search::all(&self.inner)
    }

    /// Generates a key pair; the session must be able to write.
    ///
    /// # Errors
    ///
    /// Fails if the id or the label is in use, or if the module refuses what a signing key must be.
    pub fn generate(&self, plan: &KeyPlan) -> Result<Generated, Error> {
        generate::key_pair(&self.inner, plan)
    }

    /// Creates a key pair from a private key that exists as a file; the session must be able to
    /// write.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate); many modules take no private keys at all.
    pub fn import(&self, key: &ImportedKey<'_>, plan: &KeyPlan) -> Result<Generated, Error> {
        import::key_pair(&self.inner, key, plan)
    }

    /// Deletes what has this id: only for a pair that was made under it a moment ago and turned out
    /// not to be what was meant. Says whether nothing has the id any more.
    #[must_use]
    pub fn danger_remove(&self, id: &KeyId) -> bool {
        generate::remove_halves(&self.inner, id)
    }

    /// Signs into `out`. The signature is not verified here.
    ///
    /// # Errors
    ///
    /// Any error makes the session useless: close or drop it and open another.
    pub fn sign(
        &mut self,
        key: &SigningKey,
        input: &Input,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.condition != Condition::Sound {
            return Err(Error::Poisoned);
        }
        let result = self.try_sign(key, input, out);
        if let Err(error) = &result {
            self.condition = match error.rv() {
                Some(RvError::SessionHandleInvalid | RvError::SessionClosed) => Condition::Gone,
                _ => Condition::Poisoned,
            };
        }
        result
    }

    /// Signs the key's own public half, and verifies that: the only trial that can harm nobody.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign); or the signature is wrong.
    pub fn sign_trial(
        &mut self,
        key: &SigningKey,
        mechanism: SignMechanism,
        algorithm: Algorithm,
    ) -> Result<Signature, Error> {
        let input = Input::new(mechanism, algorithm, &key.public);
        let mut out = Vec::new();
        self.sign(key, &input, &mut out)?;
        let signature = Signature::new(out);
        key.public
            .verify(algorithm, &key.public, &signature)
            .map_err(|_| Error::WrongSignature { algorithm })?;
        Ok(signature)
    }

    /// Whether a signature failed in it.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.condition != Condition::Sound
    }

    /// Gives the session back to the module. Closing a token's last session logs out.
    ///
    /// # Errors
    ///
    /// Fails if the token does; the session is lost either way.
    pub fn close(self) -> Result<(), Error> {
        // A handle that the module does not know any more may be another session's by now.
        if self.condition == Condition::Gone {
            return Ok(());
        }
        Ok(self.inner.close()?)
    }

    pub(super) fn login_as(&self, user: UserType, pin: &SecretString) -> Result<(), Error> {
        match self.inner.login(user, Some(pin)).map_err(Error::from) {
            Err(error) if error.rv() == Some(RvError::UserAlreadyLoggedIn) => Ok(()),
            result => result,
        }
    }

    pub(super) const fn inner(&self) -> &CryptokiSession {
        &self.inner
    }

    fn try_sign(&self, key: &SigningKey, input: &Input, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.raw {
            Some(raw) => {
                let bytes = key.public.bits().div_ceil(8);
                out.clear();
                out.resize(usize::try_from(bytes).unwrap_or(0), 0);
                raw.sign(
                    self.inner.handle(),
                    key.handle.handle(),
                    input.mechanism_type().into(),
                    input.data(),
                    out,
                )
            }
            None => {
                *out = self
                    .inner
                    .sign(&input.mechanism(), key.handle, input.data())?;
                Ok(())
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// Good for everything.
    Sound,
    /// A signature failed.
    Poisoned,
    /// The module says that there is no such session.
    Gone,
}
