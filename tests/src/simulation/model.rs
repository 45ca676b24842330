//! What the log should hold, kept the plain way. Owns the truth that checkers compare with; knows no file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use liftbridge_types::{Offset, Timestamp};

use super::read_back::Seen;

/// A record that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) value: Vec<u8>,
    pub(super) time: Timestamp,
    /// The offsets of the batch it is in.
    pub(super) batch: Range<Offset>,
}

/// The log as it should be.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    records: BTreeMap<Offset, Kept>,
    /// Offsets whose bytes were damaged on purpose: they may be unreadable, and nothing else may.
    rotten: BTreeSet<Offset>,
    /// Offsets right before which damaged bytes stand that hold none of the log's offsets any more: the log was cut there.
    scars: BTreeSet<Offset>,
    /// Values that were written, or almost, and never promised, by their offsets. A crash may bring such a record back: what
    /// a failed write, or one that was cut off again, left behind is not known before that place is written and synced.
    phantoms: BTreeSet<(Offset, Vec<u8>)>,
    /// The first offset that is kept.
    pub(super) start: Offset,
    /// The offset the next record gets.
    pub(super) end: Offset,
    /// The end of what the log said is on stable storage.
    pub(super) durable_end: Offset,
}

impl Model {
    /// Takes note of records that were appended at the end.
    pub(super) fn append(&mut self, values: Vec<Vec<u8>>, time: Timestamp) {
        let count = u64::try_from(values.len()).expect("batches are small");
        let batch = self.end..self.end.plus(count);
        for (value, nanos) in values.into_iter().zip(0..) {
            let time = Timestamp::from_nanos(time.as_nanos() + nanos);
            self.records.insert(self.end, Kept { value, time, batch: batch.clone() });
            self.end = self.end.next();
        }
    }

    /// Takes note of records whose write failed.
    pub(super) fn fail(&mut self, values: &[Vec<u8>]) {
        let mut offset = self.end;
        for value in values {
            self.phantoms.insert((offset, value.clone()));
            offset = offset.next();
        }
    }

    /// Takes note that these records are on stable storage.
    pub(super) fn sync(&mut self, durable_end: Offset) {
        self.durable_end = self.durable_end.max(durable_end);
    }

    /// Takes note that everything from `end` on was cut away on purpose.
    pub(super) fn truncate(&mut self, end: Offset) {
        self.records.split_off(&end);
        // Damage that goes on beyond the end stays in the file as a whole, for what of it lies before the end.
        let goes_on = self.rotten.contains(&end) || self.scars.contains(&end);
        self.scars.split_off(&end);
        self.rotten.split_off(&end);
        if goes_on && end.previous().is_some_and(|last| self.may_be_damaged(last)) {
            self.scars.insert(end);
        }
        for kept in self.records.values_mut().rev().take_while(|kept| kept.batch.end > end) {
            kept.batch.end = end;
        }
        self.end = self.end.min(end);
        self.durable_end = self.durable_end.min(end);
    }

    /// Takes note that everything before `start` was let go of on purpose.
    pub(super) fn retain_from(&mut self, start: Offset) {
        self.records = self.records.split_off(&start);
        self.rotten = self.rotten.split_off(&start);
        self.scars = self.scars.split_off(&start);
        self.start = self.start.max(start);
    }

    /// Takes note that the bytes of these records were damaged.
    pub(super) fn rot(&mut self, offsets: Range<Offset>) {
        let damaged: Vec<Offset> = self.records.range(offsets).map(|(offset, _)| *offset).collect();
        self.rotten.extend(damaged);
    }

    /// Concedes that what is reported as damaged beyond what had been durable is gone, where it adjoins damage: a tear behind
    /// rot cannot always be told from it, and for what was torn nothing had been promised.
    pub(super) fn concede(&mut self, reported: &[Range<Offset>]) {
        for range in reported {
            if self.rotten.contains(&range.start) {
                let torn = range.start.max(self.durable_end).get()..range.end.get();
                self.rotten.extend(torn.map(Offset::new));
            }
        }
    }

    /// Whether this record may be unreadable: it was damaged, or its batch stands right between damaged bytes. Such a batch
    /// has no neighbour that vouches for it and may be given up.
    pub(super) fn may_be_damaged(&self, offset: Offset) -> bool {
        let stands_alone = |Kept { batch, .. }: &Kept| {
            let rotten = |offset: Option<Offset>| offset.is_some_and(|offset| self.rotten.contains(&offset));
            let before = rotten(batch.start.previous()) || self.scars.contains(&batch.start);
            let after = rotten(Some(batch.end)) || self.scars.contains(&batch.end);
            before && after
        };
        self.rotten.contains(&offset) || self.records.get(&offset).is_some_and(stands_alone)
    }

    /// Whether anything may be unreadable.
    pub(super) fn has_rot(&self) -> bool {
        !self.rotten.is_empty()
    }

    /// The record that should be at this offset.
    pub(super) fn get(&self, offset: Offset) -> Option<&Kept> {
        self.records.get(&offset)
    }

    /// The records that should be in a range, ascending.
    pub(super) fn range(&self, offsets: Range<Offset>) -> impl DoubleEndedIterator<Item = (Offset, &Kept)> + use<'_> {
        let offsets = offsets.start..offsets.end.max(offsets.start);
        self.records.range(offsets).map(|(offset, kept)| (*offset, kept))
    }

    /// Whether this could be what a failed write left behind.
    pub(super) fn is_phantom(&self, seen: &Seen) -> bool {
        self.phantoms.contains(&(seen.offset, seen.value.clone()))
    }

    /// Makes what an opened log holds the truth, beyond what had been durable. All of it is durable now.
    pub(super) fn adopt(&mut self, seen: &[Seen], end: Offset) {
        let gone = self.records.split_off(&end);
        self.phantoms.extend(gone.into_iter().map(|(offset, kept)| (offset, kept.value)));
        self.rotten.split_off(&end);
        self.scars.split_off(&end.next());
        for seen in seen.iter().filter(|seen| seen.offset >= self.durable_end) {
            self.records
                .insert(seen.offset, Kept { value: seen.value.clone(), time: seen.time, batch: seen.batch.clone() });
        }
        self.end = end;
        self.durable_end = end;
    }
}
