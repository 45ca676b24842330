//! One record inside a batch.

use bytes::Bytes;
use liftbridge_types::{Header, Offset, Timestamp};
use thiserror::Error;

/// One stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position in the log.
    pub offset: Offset,
    /// The time it was stored under; never less than that of the record before.
    pub time: Timestamp,
    /// Its key; a missing one is not an empty one.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Bytes,
    /// Its headers, in stored order.
    pub headers: Vec<Header>,
}

/// A record that no batch can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("record of {bytes} bytes exceeds the {limit} bytes a batch may hold")]
pub struct RecordTooLarge {
    /// Its encoded size.
    pub bytes: usize,
    /// The limit.
    pub limit: usize,
}
