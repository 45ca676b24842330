//! The newest batches of a log, kept in memory for readers near its end.
//!
//! Owns which batches are kept and how many bytes of them. Never the truth: what is not here is read from the files.

use std::collections::VecDeque;

use liftbridge_types::Offset;

use crate::batch::Batch;

/// A bounded run of the newest batches, without gaps.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    batches: VecDeque<Batch>,
    bytes: usize,
}

impl Tail {
    /// Adds the newest batch and lets go of the oldest ones beyond `bytes_max`. Returns the memory of one that nobody reads
    /// any more, for building the next batch in.
    pub(crate) fn push(&mut self, batch: Batch, bytes_max: usize) -> Option<Vec<u8>> {
        self.bytes += batch.bytes().len();
        self.batches.push_back(batch);
        let mut reusable = None;
        while self.bytes > bytes_max {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.bytes -= oldest.bytes().len();
            reusable = oldest.into_bytes().try_into_mut().ok();
        }
        reusable.map(Vec::from)
    }

    /// Bytes of the batches in it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The batches from the one that holds `start` on that begin before `end`, up to about `bytes_max` but at least one;
    /// `None` when the one that holds `start` is not here.
    pub(crate) fn read(&self, start: Offset, end: Offset, bytes_max: usize) -> Option<Vec<Batch>> {
        let first = self.batches.partition_point(|batch| batch.header().end_offset() <= start);
        let oldest = self.batches.front()?.header().base_offset;
        if start < oldest || first == self.batches.len() {
            return None;
        }
        let mut bytes = 0;
        let fits = |batch: &&Batch| {
            let fits = bytes == 0 || bytes + batch.bytes().len() <= bytes_max;
            bytes += batch.bytes().len();
            fits && batch.header().base_offset < end
        };
        Some(self.batches.range(first..).take_while(fits).cloned().collect())
    }
}
