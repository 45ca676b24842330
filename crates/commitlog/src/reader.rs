//! Reading forward.

use liftbridge_types::{Offset, Timestamp};

use crate::batch::Batch;
use crate::error::{ReadError, TimeLookupError};
use crate::reverse_reader::ReverseReader;

/// The reading side of a log, shared by any number of readers. Never takes a lock the appender holds during I/O.
#[derive(Clone, Debug)]
pub struct LogView {}

impl LogView {
    /// The first offset kept.
    pub fn log_start(&self) -> Offset {
        todo!()
    }
    /// The offset the next record gets.
    pub fn log_end(&self) -> Offset {
        todo!()
    }
    /// A reader that begins at `start`, or at the oldest record kept when that is later.
    pub fn reader(&self, start: Offset) -> ForwardReader {
        let _ = start;
        todo!()
    }
    /// A reader that walks down from the record before `end`.
    pub fn reverse_reader(&self, end: Offset) -> ReverseReader {
        let _ = end;
        todo!()
    }
    /// The batches from `start` on that are still in memory, whole, up to about `bytes_max` but at least one, all ending at or
    /// below `end`. `None` when `start` is not in the in-memory tail: then a [`ForwardReader`] reads the files. Never blocks on I/O.
    pub fn read_tail(&self, start: Offset, end: Offset, bytes_max: usize) -> Option<Vec<Batch>> {
        let _ = (start, end, bytes_max);
        todo!()
    }
    /// The first record below `end` stored at or after `time`; `None` when there is none.
    pub fn first_at_or_after(&self, time: Timestamp, end: Offset) -> Result<Option<Offset>, TimeLookupError> {
        let _ = (time, end);
        todo!()
    }
    /// The last record below `end` stored at or before `time`.
    pub fn last_at_or_before(&self, time: Timestamp, end: Offset) -> Result<Offset, TimeLookupError> {
        let _ = (time, end);
        todo!()
    }
}

/// Reads batches in offset order. Survives retention: what is deleted under it is skipped.
#[derive(Debug)]
pub struct ForwardReader {}

impl ForwardReader {
    /// The offset the next record returned will have, or a later one where records were compacted away or deleted.
    pub fn next_offset(&self) -> Offset {
        todo!()
    }
    /// The next batches, whole, verified, up to about `bytes_max` but at least one, all starting below `end`; empty when there are
    /// none. The first may begin before, and the last may end after, what was asked for: the caller skips those records.
    /// Blocks on file I/O. On [`ReadError::Damaged`] the reader has moved on to the end of the damage.
    pub fn read(&mut self, end: Offset, bytes_max: usize) -> Result<Vec<Batch>, ReadError> {
        let _ = (end, bytes_max);
        todo!()
    }
}
