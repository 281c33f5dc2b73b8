//! RSA as a master uses it. OpenSSL's own X9.31 is called here, as Salt does; the minion pads by
//! itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minion::verify::{Algorithm, PublicKey};
use minion::wire::private_key::Encryption;
use openssl::bn::BigNum;
use openssl::hash::{MessageDigest, hash};
use openssl::md::{Md, MdRef};
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::Signer;

/// A private key and its public half.
#[derive(Debug)]
pub struct Keypair {
    rsa: Rsa<Private>,
    public: PublicKey,
}

impl Keypair {
    /// Makes a key of so many bits.
    #[must_use]
    pub fn generate(bits: u32) -> Self {
        Self::new(Rsa::generate(bits).unwrap())
    }

    /// Makes a key with another public exponent than everybody's.
    #[must_use]
    pub fn with_exponent(bits: u32, exponent: u32) -> Self {
        let exponent = BigNum::from_u32(exponent).unwrap();
        Self::new(Rsa::generate_with_e(bits, &exponent).unwrap())
    }

    /// Reads a key, for example a recorded one.
    #[must_use]
    pub fn from_pem(pem: &str) -> Self {
        Self::new(Rsa::private_key_from_pem(pem.as_bytes()).unwrap())
    }

    fn new(rsa: Rsa<Private>) -> Self {
        let public = PublicKey::from_components(&rsa.n().to_vec(), &rsa.e().to_vec()).unwrap();
        Self { rsa, public }
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key as Salt stores it: PKCS#1.
    #[must_use]
    pub fn to_pem(&self) -> Vec<u8> {
        self.rsa.private_key_to_pem().unwrap()
    }

    /// PKCS#1 v1.5 by one of Salt's two hashes.
    #[must_use]
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let digest = match algorithm {
            Algorithm::Sha1 => MessageDigest::sha1(),
            Algorithm::Sha224 => MessageDigest::sha224(),
        };
        let key = PKey::from_rsa(self.rsa.clone()).unwrap();
        let mut signer = Signer::new(digest, &key).unwrap();
        signer.sign_oneshot_to_vec(message).unwrap()
    }

    /// The signature of a master's key in the form of `pub_sig`.
    #[must_use]
    pub fn pub_sig(&self, algorithm: Algorithm, master: &PublicKey) -> String {
        STANDARD.encode(self.sign(algorithm, master.canonical().as_bytes()))
    }

    /// Salt's "private encrypt" (Salt 3008.5, `salt/utils/rsax931.py`).
    #[must_use]
    pub fn sign_x931(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.size()];
        let padding = Padding::from_raw(RSA_X931_PADDING);
        let length = self.rsa.private_encrypt(message, &mut signature, padding);
        assert_eq!(length.unwrap(), signature.len());
        signature
    }

    /// The signature by which a master vouches for the text of its AES key.
    #[must_use]
    pub fn sign_key_text(&self, text: &[u8]) -> Vec<u8> {
        let digest = hash(MessageDigest::sha256(), text).unwrap();
        let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.sign_x931(text.as_bytes())
    }

    /// OAEP; nothing if it is not for this key.
    #[must_use]
    pub fn decrypt(&self, encryption: Encryption, sealed: &[u8]) -> Option<Vec<u8>> {
        let key = PKey::from_rsa(self.rsa.clone()).ok()?;
        let mut context = PkeyCtx::new(&key).ok()?;
        context.decrypt_init().ok()?;
        oaep(&mut context, encryption);
        let mut plain = Vec::new();
        context.decrypt_to_vec(sealed, &mut plain).ok()?;
        Some(plain)
    }

    fn size(&self) -> usize {
        self.public.modulus().len()
    }
}

/// OAEP for the owner of `key`.
#[must_use]
pub fn encrypt(key: &PublicKey, encryption: Encryption, plain: &[u8]) -> Vec<u8> {
    let key = PKey::from_rsa(rsa(key)).unwrap();
    encrypt_to(&key, encryption, plain)
}

/// What was signed by [`Keypair::sign_x931`], if it was.
#[must_use]
pub fn recover_x931(key: &PublicKey, signature: &[u8]) -> Option<Vec<u8>> {
    let mut message = vec![0; key.modulus().len()];
    let padding = Padding::from_raw(RSA_X931_PADDING);
    let length = rsa(key)
        .public_decrypt(signature, &mut message, padding)
        .ok()?;
    message.truncate(length);
    Some(message)
}

fn encrypt_to<T: HasPublic>(key: &PKeyRef<T>, encryption: Encryption, plain: &[u8]) -> Vec<u8> {
    let mut context = PkeyCtx::new(key).unwrap();
    context.encrypt_init().unwrap();
    oaep(&mut context, encryption);
    let mut sealed = Vec::new();
    context.encrypt_to_vec(plain, &mut sealed).unwrap();
    sealed
}

fn oaep<T>(context: &mut PkeyCtx<T>, encryption: Encryption) {
    let digest: &MdRef = match encryption {
        Encryption::Sha1 => Md::sha1(),
        Encryption::Sha224 => Md::sha224(),
    };
    context.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    context.set_rsa_oaep_md(digest).unwrap();
    context.set_rsa_mgf1_md(digest).unwrap();
}

fn rsa(key: &PublicKey) -> Rsa<Public> {
    let number = |bytes: &[u8]| BigNum::from_slice(bytes).unwrap();
    Rsa::from_public_components(number(&key.modulus()), number(&key.exponent())).unwrap()
}

/// `openssl/rsa.h`; the crate has no name for it.
const RSA_X931_PADDING: i32 = 5;
