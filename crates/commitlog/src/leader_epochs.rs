//! Which leadership wrote which part of a log. Owns the table and its file; never who leads.
//!
//! A follower compares this table with its leader's to find where their logs part (KIP-101). The file is derived from
//! the batch headers: missing or garbled, it is rebuilt from them.
//!
//! ```text
//!  0  magic                4   "LBE" and the format version, 1
//!  4  CRC-32C of the rest  4
//!  8  entries             16 each: leader epoch u64, start offset u64; both strictly ascending
//! ```

use liftbridge_types::{LeaderEpoch, Offset};

use crate::checksum::crc32c;
use crate::codec::Cursor;

const MAGIC: [u8; 4] = *b"LBE\x01";
const PREFIX_BYTES: usize = 8;
const ENTRY_BYTES: usize = 16;

/// Every leader epoch with records in the log and the offset its first record has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl LeaderEpochs {
    /// The table, ascending.
    pub(crate) fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }

    /// The newest epoch.
    pub(crate) fn newest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    /// Notes that a batch of `epoch` starts at `start`. Returns whether the table changed.
    pub(crate) fn note(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        match self.entries.last_mut() {
            Some((newest, begins)) if epoch > *newest && start == *begins => {
                // What began here before has lost all its records to retention.
                *newest = epoch;
                true
            }
            _ => self.push(epoch, start),
        }
    }

    /// Adds an entry behind the last one, if it comes after it in every way.
    fn push(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let new = self.entries.last().is_none_or(|(newest, newest_start)| epoch > *newest && start > *newest_start);
        if new {
            self.entries.push((epoch, start));
        }
        new
    }

    /// Notes that a batch of `epoch` that could not be read before starts at `start`. Returns whether the table changed.
    pub(crate) fn note_repaired(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let next = self.entries.partition_point(|(_, begins)| *begins <= start);
        let before = next.checked_sub(1).and_then(|index| self.entries.get(index));
        if before.is_some_and(|(known, begins)| *known >= epoch || *begins == start) {
            return false;
        }
        match self.entries.get_mut(next) {
            Some((known, begins)) if *known == epoch => *begins = start,
            Some((known, _)) if *known < epoch => return false,
            _ => self.entries.insert(next, (epoch, start)),
        }
        true
    }

    /// Forgets epochs that start at or after `end`. Returns whether the table changed.
    pub(crate) fn truncate(&mut self, end: Offset) -> bool {
        let kept = self.entries.partition_point(|(_, start)| *start < end);
        let changed = kept < self.entries.len();
        self.entries.truncate(kept);
        changed
    }

    /// Forgets epochs that end at or before `start`; the one that `start` lies in then starts there. Returns whether the
    /// table changed.
    pub(crate) fn trim(&mut self, start: Offset) -> bool {
        let gone = self.entries.partition_point(|(_, begins)| *begins <= start).saturating_sub(1);
        self.entries.drain(..gone);
        match self.entries.first_mut() {
            Some((_, begins)) if *begins < start => *begins = start,
            _ => return gone > 0,
        }
        true
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for (epoch, start) in &self.entries {
            body.extend(epoch.get().to_le_bytes());
            body.extend(start.get().to_le_bytes());
        }
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + body.len());
        bytes.extend(MAGIC);
        bytes.extend(crc32c(&body).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// The table in these bytes; `None` when they are not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let magic = cursor.take(4).ok()?;
        let crc = cursor.u32().ok()?;
        let body = bytes.get(PREFIX_BYTES..)?;
        if magic != MAGIC || crc32c(body) != crc || body.len() % ENTRY_BYTES != 0 {
            return None;
        }
        let mut epochs = Self::default();
        for _ in 0..body.len() / ENTRY_BYTES {
            let epoch = LeaderEpoch::new(cursor.u64().ok()?);
            let start = Offset::new(cursor.u64().ok()?);
            if !epochs.push(epoch, start) {
                return None;
            }
        }
        Some(epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(u64, u64)]) -> LeaderEpochs {
        let entries = entries.iter().map(|(e, s)| (LeaderEpoch::new(*e), Offset::new(*s))).collect();
        LeaderEpochs { entries }
    }

    #[test]
    fn only_a_newer_epoch_makes_an_entry() {
        let mut epochs = LeaderEpochs::default();
        assert!(epochs.note(LeaderEpoch::new(3), Offset::new(0)));
        assert!(!epochs.note(LeaderEpoch::new(3), Offset::new(5)));
        assert!(!epochs.note(LeaderEpoch::new(2), Offset::new(6)));
        assert!(epochs.note(LeaderEpoch::new(9), Offset::new(7)));
        assert_eq!(epochs, table(&[(3, 0), (9, 7)]));
        assert_eq!(epochs.newest(), Some(LeaderEpoch::new(9)));
    }

    #[test]
    fn an_epoch_without_records_gives_its_place_to_the_next() {
        let mut epochs = table(&[(1, 0), (2, 10)]);
        assert!(epochs.trim(Offset::new(30)));
        assert!(epochs.note(LeaderEpoch::new(3), Offset::new(30)));
        assert_eq!(epochs, table(&[(3, 30)]));
        assert!(!epochs.note(LeaderEpoch::new(2), Offset::new(30)));
    }

    #[test]
    fn truncation_forgets_epochs_that_begin_at_or_after_the_end() {
        let mut epochs = table(&[(1, 0), (2, 10), (3, 20)]);
        assert!(epochs.truncate(Offset::new(20)));
        assert_eq!(epochs, table(&[(1, 0), (2, 10)]));
        assert!(!epochs.truncate(Offset::new(11)));
    }

    #[test]
    fn what_was_repaired_shows_epochs_that_were_hidden_or_begin_earlier() {
        let mut epochs = table(&[(1, 0), (4, 20)]);
        assert!(!epochs.note_repaired(LeaderEpoch::new(1), Offset::new(5)));
        assert!(epochs.note_repaired(LeaderEpoch::new(3), Offset::new(10)));
        assert!(!epochs.note_repaired(LeaderEpoch::new(3), Offset::new(12)));
        assert!(epochs.note_repaired(LeaderEpoch::new(4), Offset::new(15)));
        assert_eq!(epochs, table(&[(1, 0), (3, 10), (4, 15)]));
        assert!(!epochs.note_repaired(LeaderEpoch::new(2), Offset::new(11)), "it is out of order");
        assert!(!epochs.note_repaired(LeaderEpoch::new(9), Offset::new(12)), "it is out of order");
        let mut epochs = table(&[(2, 4)]);
        assert!(epochs.note_repaired(LeaderEpoch::new(1), Offset::new(0)));
        assert_eq!(epochs, table(&[(1, 0), (2, 4)]));
    }

    #[track_caller]
    fn check_trim(before: &[(u64, u64)], start: u64, after: &[(u64, u64)]) {
        let mut epochs = table(before);
        assert_eq!(epochs.trim(Offset::new(start)), before != after);
        assert_eq!(epochs, table(after));
    }

    #[test]
    fn trimming_rebases_the_epoch_the_new_start_lies_in() {
        check_trim(&[(1, 0), (2, 10), (3, 20)], 0, &[(1, 0), (2, 10), (3, 20)]);
        check_trim(&[(1, 0), (2, 10), (3, 20)], 5, &[(1, 5), (2, 10), (3, 20)]);
        check_trim(&[(1, 0), (2, 10), (3, 20)], 10, &[(2, 10), (3, 20)]);
        check_trim(&[(1, 0), (2, 10), (3, 20)], 15, &[(2, 15), (3, 20)]);
        check_trim(&[(1, 0)], 99, &[(1, 99)]);
        check_trim(&[], 99, &[]);
    }

    #[test]
    fn the_file_round_trips_and_garbage_is_no_table() {
        let epochs = table(&[(1, 0), (2, 10), (30, 20)]);
        let bytes = epochs.encode();
        assert_eq!(LeaderEpochs::decode(&bytes), Some(epochs));
        assert_eq!(LeaderEpochs::decode(&LeaderEpochs::default().encode()), Some(LeaderEpochs::default()));
        assert_eq!(LeaderEpochs::decode(&[]), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(LeaderEpochs::decode(&flipped), None, "bit {bit}");
        }
    }
}
