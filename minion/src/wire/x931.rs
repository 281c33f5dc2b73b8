//! The padding of ANSI X9.31, by which a master signs the AES key and a minion its token.
//!
//! It is the block that OpenSSL builds for `RSA_X931_PADDING`; here it is without OpenSSL, because
//! the minion's operation and the master's are then one raw power each, and the whole check is a
//! comparison with the one block that we would build. Taking the message out of whatever block came
//! back would accept blocks that nobody builds.

/// Builds the padded block of `size` bytes (Salt 3008.5, `salt/utils/rsax931.py`, through OpenSSL's
/// `RSA_padding_add_X931`).
///
/// `None` if the message does not fit.
pub(super) fn pad(message: &[u8], size: usize) -> Option<Vec<u8>> {
    let filler = size.checked_sub(message.len())?.checked_sub(2)?;
    let mut block = Vec::with_capacity(size);
    match filler.checked_sub(1) {
        None => block.push(SHORT_HEADER),
        Some(filler) => {
            block.push(HEADER);
            block.resize(filler.saturating_add(1), FILLER);
            block.push(FILLER_END);
        }
    }
    block.extend_from_slice(message);
    block.push(TRAILER);
    Some(block)
}

/// Whether a raw power is the one that has the trailer; its counterpart is the modulus less that
/// number.
pub(super) const fn ends_as_padded(last: u8) -> bool {
    last & 0x0f == TRAILER & 0x0f
}

const HEADER: u8 = 0x6b;
const SHORT_HEADER: u8 = 0x6a;
const FILLER: u8 = 0xbb;
const FILLER_END: u8 = 0xba;
const TRAILER: u8 = 0xcc;

#[cfg(test)]
mod tests {
    use super::pad;

    #[test]
    fn the_block_is_the_one_of_the_standard() {
        assert_eq!(pad(b"salt", 10).unwrap(), *b"\x6b\xbb\xbb\xbb\xbasalt\xcc");
        assert_eq!(pad(b"salt", 7).unwrap(), *b"\x6b\xbasalt\xcc");
        assert_eq!(pad(b"salt", 6).unwrap(), *b"\x6asalt\xcc");
        assert_eq!(pad(b"salt", 5), None);
        assert_eq!(pad(b"salt", 0), None);
    }
}
