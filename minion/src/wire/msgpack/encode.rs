//! Writing: the shortest form of everything, as Python's `msgpack` with `use_bin_type=False` writes
//! it.
//!
//! `str8` and `bin` are never written (Salt 3008.5, `salt/payload.py`, `dumps`), so what we send is
//! byte for byte what a stock minion would.

use super::{MAX_DEPTH, Value};

/// Writes one value.
///
/// # Errors
///
/// Fails on a value that [`decode`](super::decode) would refuse to read back for its depth or a
/// length.
pub fn encode(value: &Value) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    write(&mut out, value, 0)?;
    Ok(out)
}

/// Why a value cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the value is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A length that does not fit 32 bits.
    #[error("a part of the value is longer than MessagePack can say")]
    TooLong,
}

fn write(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<(), EncodeError> {
    if depth > MAX_DEPTH {
        return Err(EncodeError::TooDeep);
    }
    match value {
        Value::Nil => out.push(0xc0),
        Value::Bool(truth) => out.push(if *truth { 0xc3 } else { 0xc2 }),
        Value::Unsigned(number) => unsigned(out, *number),
        Value::Signed(number) => signed(out, *number),
        Value::Float(number) => tagged(out, 0xcb, &number.to_be_bytes()),
        Value::Raw(bytes) => {
            header(out, bytes.len(), (0xa0, 31), (0xda, 0xdb))?;
            out.extend_from_slice(bytes);
        }
        Value::Array(items) => {
            header(out, items.len(), (0x90, 15), (0xdc, 0xdd))?;
            for item in items {
                write(out, item, depth.saturating_add(1))?;
            }
        }
        Value::Map(entries) => {
            header(out, entries.len(), (0x80, 15), (0xde, 0xdf))?;
            for (key, value) in entries {
                write(out, key, depth.saturating_add(1))?;
                write(out, value, depth.saturating_add(1))?;
            }
        }
        Value::Extension(kind, bytes) => extension(out, *kind, bytes)?,
    }
    Ok(())
}

/// Writes the length of a raw, array or map: within the marker up to `short.1`, else in 16 or 32
/// bits.
fn header(
    out: &mut Vec<u8>,
    length: usize,
    short: (u8, u8),
    (wide, widest): (u8, u8),
) -> Result<(), EncodeError> {
    if let Some(length) = u8::try_from(length)
        .ok()
        .filter(|length| *length <= short.1)
    {
        out.push(short.0 | length);
    } else if let Ok(length) = u16::try_from(length) {
        tagged(out, wide, &length.to_be_bytes());
    } else {
        let length = u32::try_from(length).map_err(|_| EncodeError::TooLong)?;
        tagged(out, widest, &length.to_be_bytes());
    }
    Ok(())
}

fn extension(out: &mut Vec<u8>, kind: i8, bytes: &[u8]) -> Result<(), EncodeError> {
    match bytes.len() {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        length => {
            if let Ok(length) = u8::try_from(length) {
                tagged(out, 0xc7, &[length]);
            } else if let Ok(length) = u16::try_from(length) {
                tagged(out, 0xc8, &length.to_be_bytes());
            } else {
                let length = u32::try_from(length).map_err(|_| EncodeError::TooLong)?;
                tagged(out, 0xc9, &length.to_be_bytes());
            }
        }
    }
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn unsigned(out: &mut Vec<u8>, number: u64) {
    if let Ok(small) = u8::try_from(number) {
        if small > 0x7f {
            out.push(0xcc);
        }
        out.push(small);
    } else if let Ok(small) = u16::try_from(number) {
        tagged(out, 0xcd, &small.to_be_bytes());
    } else if let Ok(small) = u32::try_from(number) {
        tagged(out, 0xce, &small.to_be_bytes());
    } else {
        tagged(out, 0xcf, &number.to_be_bytes());
    }
}

fn signed(out: &mut Vec<u8>, number: i64) {
    if let Ok(number) = u64::try_from(number) {
        unsigned(out, number);
    } else if let Ok(small) = i8::try_from(number) {
        if small < -32 {
            out.push(0xd0);
        }
        out.extend_from_slice(&small.to_be_bytes());
    } else if let Ok(small) = i16::try_from(number) {
        tagged(out, 0xd1, &small.to_be_bytes());
    } else if let Ok(small) = i32::try_from(number) {
        tagged(out, 0xd2, &small.to_be_bytes());
    } else {
        tagged(out, 0xd3, &number.to_be_bytes());
    }
}

fn tagged(out: &mut Vec<u8>, marker: u8, bytes: &[u8]) {
    out.push(marker);
    out.extend_from_slice(bytes);
}
