//! One record inside a batch: its meaning, its bytes and its decoder. Never the batch around it.
//!
//! ```text
//! body length      varint u32            bytes of everything below
//! offset delta     varint u32            offset - the batch's base offset
//! time delta       zigzag varint i64     time - the batch's append time, in nanoseconds
//! key length + 1   varint u32            0 = no key, which is not an empty key
//! key              bytes
//! value length     varint u32
//! value            bytes
//! header count     varint u32
//!   name length    varint u32            \
//!   name           bytes                  | once for each header,
//!   value length   varint u32             | in the publisher's order
//!   value          bytes                 /
//! ```
//! The varint rule is in the codec module: minimal, at most five bytes for a `u32`.

use bytes::Bytes;
use liftbridge_types::{Header, Offset, Timestamp};
use thiserror::Error;

use crate::codec::{CodecError, Cursor, put_varint, put_varints, varint_bytes, zigzag};

/// The most headers one record may have. A decoded header takes far more memory than the two bytes it can be encoded in.
pub const RECORD_HEADERS_MAX: usize = 4_096;

/// The least bytes of a record: body length, both deltas, no key, an empty value, no headers.
pub(crate) const RECORD_BYTES_MIN: usize = 6;

/// One stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position in the log.
    pub offset: Offset,
    /// The time it was stored under, greater than that of every record before it.
    pub time: Timestamp,
    /// Its key; a missing one is not an empty one.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Bytes,
    /// Its headers, in stored order.
    pub headers: Vec<Header>,
}

/// A record that does not fit a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordTooLarge {
    /// Too many bytes.
    #[error("record of {bytes} bytes exceeds the {limit} bytes left in its batch")]
    Bytes {
        /// Its encoded size.
        bytes: usize,
        /// The room left in the batch.
        limit: usize,
    },
    /// Too many headers.
    #[error("record with {count} headers exceeds the limit of {RECORD_HEADERS_MAX}")]
    Headers {
        /// How many it has.
        count: usize,
    },
}

/// What is wrong with the bytes of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordFault {
    /// A length reaches beyond the record or the batch.
    #[error("it ends too early")]
    Truncated,
    /// A varint is longer than it needs to be, or than its type can be.
    #[error("a varint is malformed")]
    Varint,
    /// Bytes of the record belong to none of its fields.
    #[error("{bytes} bytes are left over")]
    LeftOver {
        /// How many.
        bytes: usize,
    },
    /// More headers than [`RECORD_HEADERS_MAX`].
    #[error("{count} headers exceed the limit of {RECORD_HEADERS_MAX}")]
    Headers {
        /// How many it claims.
        count: u32,
    },
    /// Its offset is not between those of the record before and of the end of the batch.
    #[error("offset delta {delta} is out of order")]
    OffsetDelta {
        /// The delta.
        delta: u32,
    },
    /// Its time is not between those of the record before and of the end of the batch.
    #[error("time delta {delta} is out of order")]
    TimeDelta {
        /// The delta.
        delta: i64,
    },
}

impl From<CodecError> for RecordFault {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::End => Self::Truncated,
            CodecError::Varint => Self::Varint,
        }
    }
}

/// A record's parts, where they lie in the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordParts<'a> {
    pub(crate) offset_delta: u32,
    pub(crate) time_delta: i64,
    key: Option<&'a [u8]>,
    value: &'a [u8],
    header_count: u32,
    headers: Cursor<'a>,
}

impl<'a> RecordParts<'a> {
    /// Takes one record off `cursor`. Every length in it has been checked afterwards, those of the headers too.
    pub(crate) fn decode(cursor: &mut Cursor<'a>) -> Result<Self, RecordFault> {
        let mut body = Cursor::new(cursor.prefixed()?);
        let offset_delta = body.varint_u32()?;
        let time_delta = body.varint_i64()?;
        let key = match body.varint_u32()?.checked_sub(1) {
            Some(count) => Some(body.take(usize::try_from(count).map_err(|_| RecordFault::Truncated)?)?),
            None => None,
        };
        let value = body.prefixed()?;
        let header_count = body.varint_u32()?;
        if usize::try_from(header_count).is_ok_and(|count| count > RECORD_HEADERS_MAX) {
            return Err(RecordFault::Headers { count: header_count });
        }
        let headers = body;
        for _ in 0..header_count {
            body.prefixed()?;
            body.prefixed()?;
        }
        match body.remaining() {
            0 => Ok(Self { offset_delta, time_delta, key, value, header_count, headers }),
            bytes => Err(RecordFault::LeftOver { bytes }),
        }
    }

    /// The record, sharing the memory of `batch`, of which the parts must be slices.
    pub(crate) fn to_record(self, batch: &Bytes, offset: Offset, time: Timestamp) -> Record {
        let key = self.key.map(|key| batch.slice_ref(key));
        let headers = self.headers().map(|(name, value)| (batch.slice_ref(name), batch.slice_ref(value)));
        let headers = headers.map(|(name, value)| Header { name, value }).collect();
        Record { offset, time, key, value: batch.slice_ref(self.value), headers }
    }

    /// Names and values of the headers. Their lengths were checked by `decode`, so none is missing.
    fn headers(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut cursor = self.headers;
        (0..self.header_count).map_while(move |_| cursor.prefixed().ok().zip(cursor.prefixed().ok()))
    }
}

/// Appends one record to `target`, unless it has too many headers or more than `bytes_max` bytes.
#[inline]
pub(crate) fn encode_record(
    target: &mut Vec<u8>,
    bytes_max: usize,
    offset_delta: u32,
    time_delta: i64,
    key: Option<&[u8]>,
    value: &[u8],
    headers: &[Header],
) -> Result<(), RecordTooLarge> {
    if headers.len() > RECORD_HEADERS_MAX {
        return Err(RecordTooLarge::Headers { count: headers.len() });
    }
    let body_bytes = body_bytes(offset_delta, time_delta, key, value, headers);
    let bytes = varint_bytes(body_bytes as u64) + body_bytes;
    if bytes > bytes_max {
        return Err(RecordTooLarge::Bytes { bytes, limit: bytes_max });
    }
    target.reserve(bytes);
    let front = [body_bytes as u64, u64::from(offset_delta), zigzag(time_delta)];
    put_front(target, front, key, value.len() as u64);
    target.extend_from_slice(value);
    put_varint(target, headers.len() as u64);
    for header in headers {
        put_prefixed(target, &header.name);
        put_prefixed(target, &header.value);
    }
    Ok(())
}

/// Everything before the value.
#[inline]
fn put_front(target: &mut Vec<u8>, [body, offset, time]: [u64; 3], key: Option<&[u8]>, value_bytes: u64) {
    match key {
        None => put_varints(target, [body, offset, time, 0, value_bytes]),
        Some(key) => {
            put_varints(target, [body, offset, time, key.len() as u64 + 1]);
            target.extend_from_slice(key);
            put_varint(target, value_bytes);
        }
    }
}

#[inline]
fn body_bytes(offset_delta: u32, time_delta: i64, key: Option<&[u8]>, value: &[u8], headers: &[Header]) -> usize {
    let key_bytes = key.map_or(1, |key| varint_bytes(key.len() as u64 + 1) + key.len());
    let headers_bytes: usize = headers.iter().map(|h| prefixed_bytes(&h.name) + prefixed_bytes(&h.value)).sum();
    varint_bytes(u64::from(offset_delta))
        + varint_bytes(zigzag(time_delta))
        + key_bytes
        + prefixed_bytes(value)
        + varint_bytes(headers.len() as u64)
        + headers_bytes
}

fn prefixed_bytes(bytes: &[u8]) -> usize {
    varint_bytes(bytes.len() as u64) + bytes.len()
}

#[inline]
fn put_prefixed(target: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(target, bytes.len() as u64);
    target.extend_from_slice(bytes);
}
