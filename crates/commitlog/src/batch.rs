//! The unit on disk, in replication and in the batch API.

use bytes::Bytes;
use liftbridge_types::{Header, LeaderEpoch, Offset, Timestamp};
use thiserror::Error;

use crate::record::{Record, RecordTooLarge};

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 68;

/// The fixed part of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Which leadership appended it.
    pub leader_epoch: LeaderEpoch,
    /// Time of its first record.
    pub append_time: Timestamp,
    /// `Some(end)`: when this batch was appended, everything before `end` was on stable storage.
    pub stable_end: Option<Offset>,
    /// Size of the whole batch in bytes, this header included.
    pub bytes: u32,
    /// Offset of its last record minus the base offset.
    pub last_offset_delta: u32,
    /// Number of records; compaction may make it less than the offsets spanned.
    pub record_count: u32,
    /// Who produced it, with idempotence; `None` without.
    pub producer: Option<ProducerStamp>,
}
/// placeholder
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// id
    pub id: u64,
    /// epoch
    pub epoch: u16,
    /// sequence
    pub base_sequence: u32,
}

impl BatchHeader {
    /// The offset after the batch's last record.
    pub fn end_offset(&self) -> Offset {
        self.base_offset.plus(u64::from(self.last_offset_delta)).next()
    }
}

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    /// placeholder
    #[error("truncated")]
    Truncated,
}

/// A verified batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Verifies the batch at the start of `bytes` (header, both checksums, every record's lengths).
    pub fn parse(bytes: &Bytes) -> Result<Self, BatchError> {
        let _ = bytes;
        todo!()
    }
    /// Its header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }
    /// Its bytes as stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// Its records, in offset order.
    pub fn records(&self) -> impl Iterator<Item = Result<Record, BatchError>> + '_ {
        std::iter::empty()
    }
}

/// Encodes records into one batch; reusable, with no allocation per record once warm.
#[derive(Debug, Default)]
pub struct BatchBuilder {}

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        todo!()
    }
    /// Adds a record; it gets the next offset and, within the batch, a time at least one nanosecond after the one before.
    pub fn push(&mut self, key: Option<&[u8]>, value: &[u8], headers: &[Header]) -> Result<(), RecordTooLarge> {
        let _ = (key, value, headers);
        todo!()
    }
    /// How many records it holds.
    pub fn record_count(&self) -> u32 {
        todo!()
    }
    /// Its size in bytes, header included.
    pub fn bytes(&self) -> usize {
        todo!()
    }
    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        todo!()
    }
}
