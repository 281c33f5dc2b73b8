//! The fields of a body: bytes with a u16 length before them, and small numbers.

/// A body that is not what its first byte says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a malformed message between the service and its HSM worker")]
pub struct Malformed;

/// Appends a field; what does not fit in 64 KiB is cut, and then the frame is too long to be sent
/// anyway.
pub(super) fn put(out: &mut Vec<u8>, field: &[u8]) {
    let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(field.get(..usize::from(length)).unwrap_or_default());
}

/// Takes fields off the front of a body.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (field, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(field)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub(super) fn end<T>(self, value: T) -> Result<T, Malformed> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(Malformed)
        }
    }
}

/// The algorithm as one byte.
pub(super) const fn code(algorithm: minion::verify::Algorithm) -> u8 {
    match algorithm {
        minion::verify::Algorithm::Sha1 => 1,
        minion::verify::Algorithm::Sha224 => 2,
    }
}

pub(super) const fn algorithm(code: u8) -> Result<minion::verify::Algorithm, Malformed> {
    match code {
        1 => Ok(minion::verify::Algorithm::Sha1),
        2 => Ok(minion::verify::Algorithm::Sha224),
        _ => Err(Malformed),
    }
}
