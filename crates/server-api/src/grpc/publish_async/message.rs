//! The bytes of a `PublishRequest`, read without a copy. Owns that the result is what the generated code would read; never
//! what a message means.
//!
//! This call carries almost everything that is ever published, and what the generated code spends on a message (an
//! allocation for each text, a map for the headers) is more than storing it costs.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use liftbridge_types::{Header, Message};
use smallvec::SmallVec;
use thiserror::Error;

/// Long enough for the ids that clients make: NUIDs have 22 characters, UUIDs 36.
pub(crate) type CorrelationId = SmallVec<[u8; 40]>;

/// One message as it came, with the numbers that nobody has looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublishMessage {
    pub(crate) stream: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) message: Message,
    pub(crate) correlation_id: CorrelationId,
    pub(crate) ack_policy: i32,
    pub(crate) expected_offset: i64,
}

/// Why bytes are no `PublishRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Malformed {
    #[error("the message ends within a field")]
    Short,
    #[error("a number has more than 64 bits")]
    Varint,
    #[error("field number {0} is not allowed")]
    FieldNumber(u64),
    #[error("field {field} has wire type {wire_type}")]
    WireType { field: u64, wire_type: u64 },
    #[error("field {0} is not UTF-8")]
    Text(u64),
    #[error("groups are nested too deeply")]
    Depth,
}

const KEY: u64 = 1;
const VALUE: u64 = 2;
const STREAM: u64 = 3;
const PARTITION: u64 = 4;
const HEADERS: u64 = 5;
const ACK_INBOX: u64 = 6;
const CORRELATION_ID: u64 = 7;
const ACK_POLICY: u64 = 8;
const EXPECTED_OFFSET: u64 = 9;

const HEADER_NAME: u64 = 1;
const HEADER_VALUE: u64 = 2;

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const GROUP_START: u64 = 3;
const GROUP_END: u64 = 4;
const FIXED_32: u64 = 5;

/// Header entries from which on those of one name are made one before there is room for more: an entry is a few bytes in a
/// message and many times that here.
const HEADERS_COMPACTED: usize = 64;

/// The largest field number of the format.
const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;
/// Groups of unknown fields within each other; the generated code has the same bound.
const DEPTH_MAX: u32 = 100;

/// Reads messages, most of which name the same stream as the one before.
#[derive(Debug)]
pub(crate) struct PublishReader {
    stream: Arc<str>,
}

impl PublishReader {
    pub(crate) fn new() -> Self {
        Self { stream: "".into() }
    }

    /// Reads one message.
    pub(crate) fn read(&mut self, bytes: Bytes) -> Result<PublishMessage, Malformed> {
        let mut cursor = Cursor { bytes: &bytes, at: 0 };
        let (mut stream, mut correlation_id): (&[u8], &[u8]) = (&[], &[]);
        let (mut key, mut value) = (0..0, 0..0);
        let mut headers = Vec::new();
        let (mut partition, mut ack_policy, mut expected_offset) = (0, 0, 0);
        while let Some((field, wire_type)) = cursor.tag()? {
            match field {
                KEY => key = cursor.delimited(field, wire_type)?,
                VALUE => value = cursor.delimited(field, wire_type)?,
                STREAM => stream = cursor.text(field, wire_type)?,
                PARTITION => partition = as_i32(cursor.number(field, wire_type)?),
                HEADERS => {
                    let entry = cursor.delimited(field, wire_type)?;
                    if headers.len() == headers.capacity() && headers.len() >= HEADERS_COMPACTED {
                        headers = by_name(headers);
                    }
                    headers.push(read_header(&bytes, entry)?);
                }
                ACK_INBOX => {
                    // Answers go back on this call, so nobody asks for it; a client that breaks the format is still told.
                    cursor.text(field, wire_type)?;
                }
                CORRELATION_ID => correlation_id = cursor.text(field, wire_type)?,
                ACK_POLICY => ack_policy = as_i32(cursor.number(field, wire_type)?),
                EXPECTED_OFFSET => expected_offset = as_i64(cursor.number(field, wire_type)?),
                _ => cursor.skip(field, wire_type, DEPTH_MAX)?,
            }
        }
        let correlation_id = CorrelationId::from_slice(correlation_id);
        let stream = self.stream_named(stream)?;
        // The API cannot tell a missing key from an empty one, so an empty one is missing.
        let key = (!key.is_empty()).then(|| bytes.slice(key));
        let message = Message { key, value: narrowed(bytes, value), headers: by_name(headers) };
        Ok(PublishMessage { stream, partition, message, correlation_id, ack_policy, expected_offset })
    }

    fn stream_named(&mut self, name: &[u8]) -> Result<Arc<str>, Malformed> {
        if self.stream.as_bytes() != name {
            self.stream = utf8(STREAM, name)?.into();
        }
        Ok(Arc::clone(&self.stream))
    }
}

/// Part of the bytes, without another handle on them.
fn narrowed(mut bytes: Bytes, range: Range<usize>) -> Bytes {
    bytes.truncate(range.end);
    bytes.advance(range.start);
    bytes
}

fn read_header(bytes: &Bytes, entry: Range<usize>) -> Result<Header, Malformed> {
    let mut cursor = Cursor { bytes: bytes.get(..entry.end).ok_or(Malformed::Short)?, at: entry.start };
    let (mut name, mut value) = (0..0, 0..0);
    while let Some((field, wire_type)) = cursor.tag()? {
        match field {
            HEADER_NAME => {
                name = cursor.delimited(field, wire_type)?;
                utf8(HEADERS, bytes.get(name.clone()).ok_or(Malformed::Short)?)?;
            }
            HEADER_VALUE => value = cursor.delimited(field, wire_type)?,
            _ => cursor.skip(field, wire_type, DEPTH_MAX - 1)?,
        }
    }
    Ok(Header { name: bytes.slice(name), value: bytes.slice(value) })
}

/// Headers by name, so that equal messages are stored as equal bytes. Of several with one name the last counts: to the
/// format they are entries of a map.
fn by_name(mut headers: Vec<Header>) -> Vec<Header> {
    headers.reverse();
    headers.sort_by(|a, b| a.name.cmp(&b.name));
    headers.dedup_by(|later, kept| later.name == kept.name);
    if headers.len() < headers.capacity() / 4 {
        headers.shrink_to_fit();
    }
    headers
}

fn utf8(field: u64, text: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(text).map_err(|_| Malformed::Text(field))
}

/// The format keeps the lower half of what does not fit.
#[expect(clippy::cast_possible_truncation, reason = "that is how the format reads a number that is too large")]
fn as_i32(number: u64) -> i32 {
    number as i32
}

fn as_i64(number: u64) -> i64 {
    number.cast_signed()
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The next field's number and wire type; `None` at the end.
    fn tag(&mut self) -> Result<Option<(u64, u64)>, Malformed> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let (field, wire_type) = (tag >> 3, tag & 7);
        match field {
            1..=FIELD_NUMBER_MAX => Ok(Some((field, wire_type))),
            _ => Err(Malformed::FieldNumber(field)),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(Malformed::Short)?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                return Err(Malformed::Varint);
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed::Varint)
    }

    fn number(&mut self, field: u64, wire_type: u64) -> Result<u64, Malformed> {
        if wire_type == VARINT { self.varint() } else { Err(Malformed::WireType { field, wire_type }) }
    }

    /// Where the contents of a field are.
    fn delimited(&mut self, field: u64, wire_type: u64) -> Result<Range<usize>, Malformed> {
        if wire_type != LENGTH_DELIMITED {
            return Err(Malformed::WireType { field, wire_type });
        }
        let bytes = usize::try_from(self.varint()?).map_err(|_| Malformed::Short)?;
        let start = self.at;
        self.advance(bytes)?;
        Ok(start..self.at)
    }

    fn text(&mut self, field: u64, wire_type: u64) -> Result<&'a [u8], Malformed> {
        let range = self.delimited(field, wire_type)?;
        let text = self.bytes.get(range).ok_or(Malformed::Short)?;
        utf8(field, text)?;
        Ok(text)
    }

    fn advance(&mut self, bytes: usize) -> Result<(), Malformed> {
        let at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len()).ok_or(Malformed::Short)?;
        self.at = at;
        Ok(())
    }

    /// Passes over a field that this server does not know.
    fn skip(&mut self, field: u64, wire_type: u64, depth: u32) -> Result<(), Malformed> {
        if depth == 0 {
            return Err(Malformed::Depth);
        }
        match wire_type {
            VARINT => self.varint().map(|_| ()),
            FIXED_64 => self.advance(8),
            LENGTH_DELIMITED => self.delimited(field, wire_type).map(|_| ()),
            FIXED_32 => self.advance(4),
            GROUP_START => self.skip_group(field, depth - 1),
            _ => Err(Malformed::WireType { field, wire_type }),
        }
    }

    fn skip_group(&mut self, group: u64, depth: u32) -> Result<(), Malformed> {
        loop {
            match self.tag()?.ok_or(Malformed::Short)? {
                (field, GROUP_END) if field == group => return Ok(()),
                (field, wire_type) => self.skip(field, wire_type, depth)?,
            }
        }
    }
}

#[cfg(test)]
mod tests;
