//! Walking a batch's records. Owns the rules between records: order of offsets and times, their number, nothing left over.

use bytes::Bytes;
use liftbridge_types::Timestamp;

use crate::batch::{BatchError, BatchHeader, HEADER_BYTES};
use crate::codec::Cursor;
use crate::record::{Record, RecordFault, RecordParts};

/// Where a walk over the records stands. Apart from the bytes, so that an iterator can own both.
#[derive(Clone, Copy, Debug)]
struct Walk {
    header: BatchHeader,
    /// Records taken so far.
    index: u32,
    /// Where the next record begins.
    position: usize,
    /// What the next record's offset delta must reach.
    offset_delta_min: u32,
    /// What the next record's time delta must reach.
    time_delta_min: i64,
}

impl Walk {
    fn new(header: BatchHeader) -> Self {
        Self { header, index: 0, position: HEADER_BYTES, offset_delta_min: 0, time_delta_min: 0 }
    }

    /// The next record; `None` after the last, with every byte of the batch used up.
    fn step<'a>(&mut self, batch: &'a [u8]) -> Result<Option<RecordParts<'a>>, BatchError> {
        let rest = batch.get(self.position..).unwrap_or_default();
        if self.index == self.header.record_count {
            return match rest.len() {
                0 => Ok(None),
                bytes => Err(BatchError::LeftOver { bytes }),
            };
        }
        let mut cursor = Cursor::new(rest);
        let parts = RecordParts::decode(&mut cursor).and_then(|parts| self.check_order(parts));
        let parts = parts.map_err(|fault| self.error(fault))?;
        self.index += 1;
        self.position = batch.len() - cursor.remaining();
        // Checked to be at most a `u32` by `check_order`, so neither can overflow.
        self.offset_delta_min = parts.offset_delta.saturating_add(1);
        self.time_delta_min = parts.time_delta.saturating_add(1);
        Ok(Some(parts))
    }

    fn check_order<'a>(&self, parts: RecordParts<'a>) -> Result<RecordParts<'a>, RecordFault> {
        let last = self.header.last_offset_delta;
        if parts.offset_delta < self.offset_delta_min || parts.offset_delta > last {
            return Err(RecordFault::OffsetDelta { delta: parts.offset_delta });
        }
        if parts.time_delta < self.time_delta_min || parts.time_delta > i64::from(last) {
            return Err(RecordFault::TimeDelta { delta: parts.time_delta });
        }
        Ok(parts)
    }

    fn record(&self, batch: &Bytes, parts: RecordParts<'_>) -> Record {
        let offset = self.header.base_offset.plus(u64::from(parts.offset_delta));
        // The header was refused if its append time plus its last offset delta, the most a time delta can be, overflows.
        let time = Timestamp::from_nanos(self.header.append_time.as_nanos().saturating_add(parts.time_delta));
        parts.to_record(batch, offset, time)
    }

    fn error(&self, fault: RecordFault) -> BatchError {
        BatchError::Record { index: self.index, position: self.position, fault }
    }
}

/// Checks every record of `batch` without making any.
pub(super) fn check_structure(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    let mut walk = Walk::new(*header);
    while walk.step(batch)?.is_some() {}
    Ok(())
}

/// The records of a batch, in offset order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Records {
    walk: Walk,
    batch: Bytes,
    ended: bool,
}

impl Records {
    pub(super) fn new(header: BatchHeader, batch: Bytes) -> Self {
        Self { walk: Walk::new(header), batch, ended: false }
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.walk.step(&self.batch).map(|parts| parts.map(|parts| self.walk.record(&self.batch, parts)));
        self.ended = !matches!(step, Ok(Some(_)));
        step.transpose()
    }
}
