//! The keys of everybody, made once: they are dear and nobody changes them.

use std::sync::{Arc, OnceLock};
use std::thread;

use scripted_master::Keypair;

/// Who is there.
pub(super) struct Keys {
    /// `master_sign`, whose public half the minion trusts.
    pub(super) signer: Arc<Keypair>,
    /// A signing key of the fleet whose time is over.
    pub(super) retired: Arc<Keypair>,
    /// Nobody that the fleet knows.
    pub(super) stranger: Arc<Keypair>,
    /// The master that misbehaves.
    pub(super) hostile: Arc<Keypair>,
    /// The key that it had before, for a minion that knew it then.
    pub(super) former: Arc<Keypair>,
    /// The next master in the list.
    pub(super) good: Arc<Keypair>,
    /// The minion.
    pub(super) minion: Arc<Keypair>,
    /// Another minion of the same masters.
    pub(super) neighbour: Arc<Keypair>,
    /// A master's key that is too short.
    pub(super) short: Arc<Keypair>,
    /// A master's key with the exponent 3.
    pub(super) small_exponent: Arc<Keypair>,
}

pub(super) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let make = |bits| thread::spawn(move || Arc::new(Keypair::generate(bits)));
        let made: [_; 8] = std::array::from_fn(|_| make(2048));
        let short = make(1024).join().unwrap();
        let small_exponent = Arc::new(Keypair::with_exponent(2048, 3));
        let made = made.map(|key| key.join().unwrap());
        let [
            signer,
            retired,
            stranger,
            hostile,
            former,
            good,
            minion,
            neighbour,
        ] = made;
        Keys {
            signer,
            retired,
            stranger,
            hostile,
            former,
            good,
            minion,
            neighbour,
            short,
            small_exponent,
        }
    })
}
