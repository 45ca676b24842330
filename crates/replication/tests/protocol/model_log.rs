//! A log as a list, with what of it survives a crash.

use bytes::Bytes;
use liftbridge_replication::{History, LogState};
use liftbridge_types::{LeaderEpoch, Offset};

use crate::random::Random;

/// A record: whose leadership wrote it, and something no other record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) epoch: u64,
    pub(crate) value: u64,
}

/// Bytes a record counts for in a follower's window.
pub(crate) const RECORD_BYTES: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct ModelLog {
    pub(crate) start: u64,
    records: Vec<Record>,
    pub(crate) durable_end: u64,
    /// The high watermark a crash leaves.
    pub(crate) checkpointed: u64,
}

impl ModelLog {
    pub(crate) fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    pub(crate) fn get(&self, offset: u64) -> Option<Record> {
        self.records.get(usize::try_from(offset.checked_sub(self.start)?).ok()?).copied()
    }

    pub(crate) fn append(&mut self, record: Record) {
        if let Some(last) = self.records.last() {
            assert!(last.epoch <= record.epoch, "epochs go back in one log");
        }
        self.records.push(record);
    }

    pub(crate) fn sync(&mut self) -> u64 {
        self.durable_end = self.end();
        self.durable_end
    }

    pub(crate) fn truncate(&mut self, end: u64) {
        assert!(end >= self.start, "cut before the log's start");
        self.records.truncate(usize::try_from(end - self.start).expect("small"));
        self.durable_end = self.durable_end.min(end);
        self.checkpointed = self.checkpointed.min(end);
    }

    pub(crate) fn reset(&mut self, start: u64) {
        *self = Self { start, records: Vec::new(), durable_end: start, checkpointed: start };
    }

    /// Retention.
    pub(crate) fn trim(&mut self, start: u64) {
        let gone = start.saturating_sub(self.start).min(self.records.len() as u64);
        self.records.drain(..usize::try_from(gone).expect("small"));
        self.start += gone;
    }

    /// What was not synced is lost, all of it or the later part.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        let end = self.durable_end + random.below(self.end() - self.durable_end + 1);
        self.truncate(end);
        // What the crash left is on the medium now.
        self.durable_end = end;
    }

    pub(crate) fn history(&self) -> History {
        let mut epochs: Vec<(LeaderEpoch, Offset)> = Vec::new();
        for (offset, record) in (self.start..).zip(&self.records) {
            let epoch = LeaderEpoch::new(record.epoch);
            if epochs.last().is_none_or(|(newest, _)| epoch > *newest) {
                epochs.push((epoch, Offset::new(offset)));
            }
        }
        History::new(epochs, Offset::new(self.start), Offset::new(self.end()))
    }

    pub(crate) fn state(&self, high_watermark: u64) -> LogState {
        LogState {
            high_watermark: Offset::new(high_watermark),
            durable_end: Offset::new(self.durable_end),
            history: self.history(),
        }
    }

    /// Up to `count` records from `start` on, as batches.
    pub(crate) fn read(&self, start: u64, count: u64) -> Vec<Bytes> {
        let records = (start..start + count).map_while(|offset| self.get(offset).map(|record| (offset, record)));
        records.map(|(offset, record)| encode(offset, record)).collect()
    }
}

fn encode(offset: u64, record: Record) -> Bytes {
    let mut bytes = Vec::with_capacity(24);
    for number in [offset, record.epoch, record.value] {
        bytes.extend(number.to_le_bytes());
    }
    Bytes::from(bytes)
}

/// The offset and the record in a batch.
pub(crate) fn decode(batch: &[u8]) -> (u64, Record) {
    let number = |index: usize| {
        let bytes = batch[index * 8..][..8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    };
    (number(0), Record { epoch: number(1), value: number(2) })
}
