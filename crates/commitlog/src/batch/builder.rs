//! Encoding records into one batch. Owns the buffer and the deltas; learns offset, epoch and time only when sealed.

use bytes::Bytes;
use liftbridge_types::{Header, LeaderEpoch, Offset, Timestamp};

use crate::batch::header::{BATCH_BYTES_MAX, BatchHeader, HEADER_BYTES};
use crate::record::{RecordTooLarge, encode_record};

/// How far a log was when a batch was appended to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Everything before this was on stable storage, where that is known.
    pub(crate) stable_end: Option<Offset>,
    /// Everything before this was committed, where that is known.
    pub(crate) high_watermark: Option<Offset>,
}

/// Encodes records into one batch; reusable, with no allocation per record once warm.
///
/// Record `n` gets the batch's base offset plus `n` and the batch's time plus `n` nanoseconds, so that times in a log
/// strictly increase and a time names one record.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    /// Room for the header, then the records.
    batch: Vec<u8>,
    record_count: u32,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self { batch: vec![0; HEADER_BYTES], record_count: 0 }
    }

    /// Adds a record. It is the caller who decides when a batch is full enough, by [`BatchBuilder::bytes`].
    ///
    /// # Errors
    /// When the record has too many headers, or the batch would become longer than any may be. The builder is unchanged.
    pub fn push(&mut self, key: Option<&[u8]>, value: &[u8], headers: &[Header]) -> Result<(), RecordTooLarge> {
        let room = (BATCH_BYTES_MAX as usize).saturating_sub(self.batch.len());
        let delta = self.record_count;
        encode_record(&mut self.batch, room, delta, i64::from(delta), key, value, headers)?;
        self.record_count += 1;
        Ok(())
    }

    /// How many records it holds.
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Its size in bytes, header included.
    pub fn bytes(&self) -> usize {
        self.batch.len()
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.batch.truncate(HEADER_BYTES);
        self.record_count = 0;
    }

    /// Fills in the header and returns it with the whole batch. May be called again with other values, as after a failed write.
    /// The builder must hold a record: without one there is no last offset.
    pub(crate) fn seal(
        &mut self,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
        append_time: Timestamp,
        standing: Standing,
    ) -> (BatchHeader, &[u8]) {
        debug_assert!(!self.is_empty(), "a batch has at least one record");
        let header = BatchHeader {
            base_offset,
            leader_epoch,
            append_time,
            stable_end: standing.stable_end.map(|end| end.min(base_offset)),
            high_watermark: standing.high_watermark.map(|end| end.min(base_offset)),
            bytes: u32::try_from(self.batch.len()).expect("`push` keeps the batch within BATCH_BYTES_MAX"),
            last_offset_delta: self.record_count.saturating_sub(1),
            record_count: self.record_count,
            producer: None,
        };
        header.encode_into(&mut self.batch);
        (header, &self.batch)
    }

    /// The batch as it was sealed, and the builder empty. The batch keeps the memory it was built in, since copying a large
    /// one costs half as much as writing it; the builder goes on in `spare`. A small batch in a large builder is copied out.
    pub(crate) fn take_sealed(&mut self, spare: &mut Vec<u8>) -> Bytes {
        if self.batch.capacity() / 2 > self.batch.len() {
            let batch = Bytes::copy_from_slice(&self.batch);
            self.clear();
            return batch;
        }
        let mut next = std::mem::take(spare);
        next.clear();
        next.reserve(self.batch.capacity());
        next.resize(HEADER_BYTES, 0);
        self.record_count = 0;
        std::mem::replace(&mut self.batch, next).into()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.batch.capacity()
    }
}
