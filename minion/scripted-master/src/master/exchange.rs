//! One request and what an honest master makes of it.

use std::sync::Arc;
use std::time::Instant;

use minion::verify::{Algorithm, PublicKey};
use minion::wire::msgpack::{Value, encode};
use minion::wire::private_key::Encryption;

use super::super::keys::{Keypair, encrypt, recover_x931};
use super::super::reply::{Accepted, Load, hand_over, in_clear, pack, signed, turned_away};
use super::super::request::{Auth, Request, Sealed, entries, field, text};
use super::super::seal::SharedKey;
use super::log::SignIn;
use super::{Inner, Verdict};

/// A request as a script sees it.
#[derive(Debug)]
pub struct Exchange<'a> {
    inner: &'a Inner,
    /// The number of the connection that it came on.
    pub connection: u64,
    /// What was asked.
    pub request: &'a Request,
}

impl<'a> Exchange<'a> {
    pub(super) const fn new(inner: &'a Inner, connection: u64, request: &'a Request) -> Self {
        Self {
            inner,
            connection,
            request,
        }
    }

    /// The sign-in, if it is one.
    #[must_use]
    pub fn auth(&self) -> Option<&Auth> {
        match self.request {
            Request::Auth(auth) => Some(auth),
            Request::Ping | Request::Sealed(_) | Request::Unreadable => None,
        }
    }

    /// The opened load of a sealed request, if it is in order.
    #[must_use]
    pub fn command(&self) -> Option<Load> {
        match self.request {
            Request::Sealed(sealed) => self.open(sealed).map(|(load, _)| load),
            Request::Auth(_) | Request::Ping | Request::Unreadable => None,
        }
    }

    /// The master's own key.
    #[must_use]
    pub fn key(&self) -> &Arc<Keypair> {
        &self.inner.setup.key
    }

    /// What an honest master puts into the answer that lets this minion in.
    ///
    /// # Panics
    ///
    /// If the request is no sign-in, or names algorithms that Salt does not have.
    #[must_use]
    pub fn accepted(&self) -> Accepted {
        let auth = self.auth().unwrap();
        let (encryption, signing) = (auth.encryption().unwrap(), auth.signing().unwrap());
        let (aes, session) = self.shared_keys(&auth.id);
        let key = self.key();
        let token = auth.token.as_ref();
        let token = token.and_then(|sealed| key.decrypt(encryption, sealed));
        Accepted {
            pub_key: key.public().canonical().to_owned(),
            publish_port: self.inner.publish_port.into(),
            pub_sig: self.pub_sig(signing).to_owned(),
            token: token.map(|token| encrypt(&auth.key, encryption, &token)),
            aes: hand_over(&aes, &auth.key, encryption),
            session: hand_over(&session, &auth.key, encryption),
            sig: key.sign_key_text(aes.text().as_bytes()),
            nonce: auth.nonce.clone(),
        }
    }

    /// The entries of that answer.
    #[must_use]
    pub fn load(&self) -> Load {
        self.accepted().into_load()
    }

    /// Signs a load by the master's key and the algorithm that the minion asked for.
    #[must_use]
    pub fn sign(&self, load: Load) -> Load {
        signed(&pack(load), self.key(), self.signing())
    }

    /// Encrypts for the minion that asked.
    #[must_use]
    pub fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let auth = self.auth().unwrap();
        encrypt(&auth.key, auth.encryption().unwrap(), plain)
    }

    /// The AES key, and the session key of the minion of that id.
    #[must_use]
    pub fn shared_keys(&self, id: &str) -> (SharedKey, SharedKey) {
        let mut state = self.inner.state();
        let session = state.sessions.entry(id.to_owned());
        let session = session.or_insert_with(SharedKey::random).clone();
        (state.aes.clone(), session)
    }

    /// The honest answer; 3008.5 has one to everything.
    #[must_use]
    pub fn honest(&self) -> Vec<u8> {
        match self.request {
            Request::Auth(auth) => self.sign_in(auth),
            Request::Ping => pack(vec![("cmd".into(), "ping".into())]),
            Request::Sealed(sealed) => {
                self.open(sealed).map_or_else(bad_load, |(load, session)| {
                    let nonce = text(&load, "nonce").unwrap_or_default();
                    encode(&session.seal(nonce, &Value::Nil).into()).unwrap()
                })
            }
            Request::Unreadable => bad_load(),
        }
    }

    fn sign_in(&self, auth: &Auth) -> Vec<u8> {
        if auth.version < 3 {
            return bad_load();
        }
        if auth.signing().is_none() {
            return pack(in_clear("bad sig algo".into()));
        }
        if auth.encryption().is_none() {
            return pack(in_clear("bad enc algo".into()));
        }
        let load = match self.verdict(auth) {
            Verdict::Accepted => self.load(),
            Verdict::TurnedAway(ret) => turned_away(ret, &auth.nonce),
        };
        pack(self.sign(load))
    }

    /// The first key of an id is kept; another one is denied.
    fn verdict(&self, auth: &Auth) -> Verdict {
        let mut state = self.inner.state();
        let known = state.minions.entry(auth.id.clone());
        if *known.or_insert_with(|| auth.key.clone()) == auth.key {
            state.verdict.clone()
        } else {
            Verdict::TurnedAway(false.into())
        }
    }

    /// Whether the honest answer lets the minion in.
    pub(super) fn lets_in(&self) -> bool {
        self.auth().is_some_and(|auth| {
            let usable = auth.version >= 3 && auth.signing().is_some();
            usable && auth.encryption().is_some() && self.verdict(auth) == Verdict::Accepted
        })
    }

    /// Checks a sealed request as Salt does (Salt 3008.5, `salt/channel/server.py`,
    /// `ReqServerChannel.handle_message`).
    fn open(&self, sealed: &Sealed) -> Option<(Load, SharedKey)> {
        let (session, minion) = {
            let state = self.inner.state();
            let session = state.sessions.get(&sealed.id)?.clone();
            (session, state.minions.get(&sealed.id)?.clone())
        };
        let load = entries(&session.open(&sealed.load)?)?;
        let token = field(&load, "tok")?.as_bytes()?.to_vec();
        let proven = recover_x931(&minion, &token).as_deref() == Some(b"salt");
        let own = text(&load, "id") == Some(&sealed.id);
        (sealed.version == 3 && proven && own).then_some((load, session))
    }

    fn signing(&self) -> Algorithm {
        let asked = self.auth().and_then(Auth::signing);
        asked.unwrap_or(Algorithm::Sha1)
    }

    fn pub_sig(&self, algorithm: Algorithm) -> &str {
        let [sha1, sha224] = &self.inner.setup.pub_sigs;
        match algorithm {
            Algorithm::Sha1 => sha1,
            Algorithm::Sha224 => sha224,
        }
    }

    /// Writes down what was asked.
    pub(super) fn note(&self) {
        match self.request {
            Request::Auth(auth) => {
                let sign_in = SignIn {
                    id: auth.id.clone(),
                    at: Instant::now(),
                    connection: self.connection,
                    has_token: auth.token.is_some(),
                    version: auth.version,
                    algorithms: [auth.enc_algo.clone(), auth.sig_algo.clone()],
                    nonce: auth.nonce.clone(),
                    key: auth.key.clone(),
                };
                self.inner.note(|log| log.sign_ins.push(sign_in));
            }
            Request::Ping => self.inner.note(|log| log.probes += 1),
            Request::Sealed(_) => {
                let command = self.command();
                self.inner.note(|log| match command {
                    Some(load) => log.commands.push(load),
                    None => log.bad_loads += 1,
                });
            }
            Request::Unreadable => self.inner.note(|log| log.bad_loads += 1),
        }
    }
}

/// The keys of another minion's sign-in, for a reply that reaches the wrong one.
#[must_use]
pub fn foreign_answer(exchange: &Exchange<'_>, other: &PublicKey, nonce: &str) -> Load {
    let (aes, session) = exchange.shared_keys("another");
    let accepted = Accepted {
        token: None,
        aes: hand_over(&aes, other, Encryption::Sha1),
        session: hand_over(&session, other, Encryption::Sha1),
        nonce: nonce.to_owned(),
        ..exchange.accepted()
    };
    exchange.sign(accepted.into_load())
}

fn bad_load() -> Vec<u8> {
    encode(&"bad load".into()).unwrap()
}
