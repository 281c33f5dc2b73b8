//! What a session key or the AES key seals.

use hmac::{Hmac, Mac};
use minion::wire::crypticle::OpenError;
use minion::wire::msgpack::decode;
use openssl::symm::{Cipher, Crypter, Mode};
use sha2::Sha256;

use crate::capture::{JOB, field, frames};

/// Nothing opens but what the key sealed.
pub fn crypticle(sealed: &[u8]) {
    let opened = JOB.aes().open(sealed);
    if opened.is_ok() {
        // The key is that of other conversations with this master as well.
        let recorded = frames(".pub");
        let mut loads = recorded.iter().map(|frame| field(frame, "load"));
        assert!(loads.any(|load| load.as_deref() == Some(sealed)));
    }
    assert!(JOB.aes().open_reply(sealed, &JOB.nonce()).is_err());
}

/// The sealed loads of publications and requests.
#[must_use]
pub fn crypticle_seeds() -> Vec<Vec<u8>> {
    let all = [frames(".pub"), frames(".request")].concat();
    all.iter()
        .filter_map(|frame| field(frame, "load"))
        .collect()
}

/// Behind a right MAC: any plaintext, in whole blocks as a sealer that has the key can make them.
pub fn crypticle_plaintext(plaintext: &[u8]) {
    let key = JOB.aes_bytes();
    let (aes, mac_key) = key.split_at_checked(24).expect("56 bytes");
    let mut blocks = plaintext.to_vec();
    blocks.truncate(blocks.len() & !15);
    let mut sealed = vec![7_u8; 16];
    let mut crypter =
        Crypter::new(Cipher::aes_192_cbc(), Mode::Encrypt, aes, Some(&sealed)).expect("a cipher");
    crypter.pad(false);
    let mut data = vec![0; blocks.len().saturating_add(16)];
    let count = crypter.update(&blocks, &mut data).expect("whole blocks");
    data.truncate(count);
    sealed.extend(data);
    let mut mac = Hmac::<Sha256>::new_from_slice(mac_key).expect("any key");
    mac.update(&sealed);
    sealed.extend(mac.finalize().into_bytes());
    let expected = match unpadded(&blocks) {
        None => Err(OpenError::Sealed),
        Some(text) => match text.strip_prefix(b"pickle::") {
            None => Err(OpenError::Prefix),
            Some(value) => decode(value).map_err(OpenError::Decode),
        },
    };
    // Compared as texts, since a float may be no number.
    let opened = JOB.aes().open(&sealed);
    assert_eq!(format!("{opened:?}"), format!("{expected:?}"));
    let _ = JOB.aes().open_reply(&sealed, &JOB.nonce());
}

/// PKCS#7 in its plainest form.
fn unpadded(blocks: &[u8]) -> Option<&[u8]> {
    let count = usize::from(*blocks.last()?);
    let (text, padding) = blocks.split_at_checked(blocks.len().checked_sub(count)?)?;
    let is_padding =
        (1..=16).contains(&count) && padding.iter().all(|byte| usize::from(*byte) == count);
    is_padding.then_some(text)
}

/// Plaintexts with every padding.
#[must_use]
pub fn crypticle_plaintext_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for load in crate::job::seeds() {
        let mut text = [b"pickle::".as_slice(), &load].concat();
        let padding = 16_usize.saturating_sub(text.len() & 15);
        text.extend(std::iter::repeat_n(
            u8::try_from(padding).expect("a block"),
            padding,
        ));
        seeds.push(text);
    }
    let nonce = JOB.nonce();
    let reply = format!("pickle::{}\u{40}", nonce.as_str());
    let mut text = reply.into_bytes();
    let padding = 16_usize.saturating_sub(text.len() & 15);
    text.extend(std::iter::repeat_n(
        u8::try_from(padding).expect("a block"),
        padding,
    ));
    seeds.push(text);
    seeds
}
