//! Reading: every length is compared with what is left of the message before a byte of memory is
//! asked for.

use super::{MAX_BYTES, MAX_DEPTH, MAX_ITEMS, Value};

/// Reads exactly one value that fills `bytes`.
///
/// Lengths in a longer form than needed are accepted, since a peer may write them so; `bin` and
/// `str8` are read as raw.
///
/// # Errors
///
/// Says which limit or rule the bytes break. The same bytes will break it again.
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError::TooLong);
    }
    let mut reader = Reader {
        rest: bytes,
        room: MAX_ITEMS.saturating_sub(1),
    };
    let value = reader.value(0)?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(DecodeError::Trailing)
    }
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the message is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Longer than [`MAX_BYTES`].
    #[error("the message is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// More values than [`MAX_ITEMS`].
    #[error("the message holds more than {MAX_ITEMS} values")]
    TooMany,
    /// Bytes follow the value.
    #[error("there are bytes after the message")]
    Trailing,
    /// The bytes end before the value does, or a length says so.
    #[error("the message is cut short")]
    Truncated,
    /// The one marker that MessagePack never uses.
    #[error("the message holds the unused marker 0xc1")]
    UnusedMarker,
}

struct Reader<'a> {
    rest: &'a [u8],
    /// How many more values may be announced.
    room: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7f => Value::Unsigned(marker.into()),
            0x80..=0x8f => self.map((marker & 0x0f).into(), depth)?,
            0x90..=0x9f => self.list((marker & 0x0f).into(), depth)?,
            0xa0..=0xbf => self.raw((marker & 0x1f).into())?,
            0xc0 => Value::Nil,
            0xc1 => return Err(DecodeError::UnusedMarker),
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4 | 0xd9 => self.length8().and_then(|length| self.raw(length))?,
            0xc5 | 0xda => self.length16().and_then(|length| self.raw(length))?,
            0xc6 | 0xdb => self.length32().and_then(|length| self.raw(length))?,
            0xc7 => self.length8().and_then(|length| self.extension(length))?,
            0xc8 => self.length16().and_then(|length| self.extension(length))?,
            0xc9 => self.length32().and_then(|length| self.extension(length))?,
            0xca => Value::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Value::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Value::Unsigned(u8::from_be_bytes(self.array()?).into()),
            0xcd => Value::Unsigned(u16::from_be_bytes(self.array()?).into()),
            0xce => Value::Unsigned(u32::from_be_bytes(self.array()?).into()),
            0xcf => Value::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => i64::from(i8::from_be_bytes(self.array()?)).into(),
            0xd1 => i64::from(i16::from_be_bytes(self.array()?)).into(),
            0xd2 => i64::from(i32::from_be_bytes(self.array()?)).into(),
            0xd3 => i64::from_be_bytes(self.array()?).into(),
            0xd4 => self.extension(1)?,
            0xd5 => self.extension(2)?,
            0xd6 => self.extension(4)?,
            0xd7 => self.extension(8)?,
            0xd8 => self.extension(16)?,
            0xdc => self
                .length16()
                .and_then(|length| self.list(length, depth))?,
            0xdd => self
                .length32()
                .and_then(|length| self.list(length, depth))?,
            0xde => self.length16().and_then(|length| self.map(length, depth))?,
            0xdf => self.length32().and_then(|length| self.map(length, depth))?,
            0xe0..=0xff => i64::from(i8::from_be_bytes([marker])).into(),
        })
    }

    fn list(&mut self, length: usize, depth: usize) -> Result<Value, DecodeError> {
        self.announce(length)?;
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(self.value(depth.saturating_add(1))?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, length: usize, depth: usize) -> Result<Value, DecodeError> {
        self.announce(length.saturating_mul(2))?;
        let mut entries = Vec::with_capacity(length);
        for _ in 0..length {
            let key = self.value(depth.saturating_add(1))?;
            entries.push((key, self.value(depth.saturating_add(1))?));
        }
        Ok(Value::Map(entries))
    }

    /// Charges the values that a container announces before room is made for them.
    ///
    /// Charging each value when it comes would let nested headers ask for the whole limit once per
    /// level.
    fn announce(&mut self, values: usize) -> Result<(), DecodeError> {
        if values > self.rest.len() {
            return Err(DecodeError::Truncated);
        }
        self.room = self.room.checked_sub(values).ok_or(DecodeError::TooMany)?;
        Ok(())
    }

    fn raw(&mut self, length: usize) -> Result<Value, DecodeError> {
        self.bytes(length).map(Value::from)
    }

    fn extension(&mut self, length: usize) -> Result<Value, DecodeError> {
        let kind = i8::from_be_bytes(self.array()?);
        Ok(Value::Extension(kind, self.bytes(length)?.to_vec()))
    }

    fn length8(&mut self) -> Result<usize, DecodeError> {
        self.array().map(|bytes| u8::from_be_bytes(bytes).into())
    }

    fn length16(&mut self) -> Result<usize, DecodeError> {
        self.array().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    fn length32(&mut self) -> Result<usize, DecodeError> {
        let length = u32::from_be_bytes(self.array()?);
        usize::try_from(length).map_err(|_| DecodeError::Truncated)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    fn bytes(&mut self, length: usize) -> Result<&[u8], DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }
}
