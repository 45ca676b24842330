//! The sparse index of one segment: where in the file an offset or a time is to be looked for.
//!
//! Owns the entries, the summary of the segment that stands before them in the file, and the file's layout. Never the
//! truth: it is derived from the log file, verified by checksum when loaded, and rebuilt from the log when anything is
//! wrong with it. One entry serves both look-ups, because in one log offsets and times grow together.
//!
//! ```text
//!  0  magic                4   "LBI" and the format version, 1
//!  4  CRC-32C of 8..64     4
//!  8  base offset          8   summary of the segment
//! 16  log bytes            8
//! 24  end offset           8
//! 32  record count         8
//! 40  first time           8   i64 ns
//! 48  newest time          8   i64 ns
//! 56  entry count          4
//! 60  CRC-32C of entries   4
//! 64  entries             16 each: offset - base u32, file position u32, time i64
//! ```
//!
//! It is read, not memory-mapped: a page of a mapping that the disk cannot deliver kills the process with a signal,
//! where a failed read is an error of one partition.

use liftbridge_types::{Offset, Timestamp};

use crate::checksum::crc32c;
use crate::codec::Cursor;

const MAGIC: [u8; 4] = *b"LBI\x01";
/// Bytes of an index file before its entries.
pub(crate) const SUMMARY_BYTES: usize = 64;
const ENTRY_BYTES: usize = 16;

/// What is known of a segment without reading its log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The segment's base offset.
    pub(crate) base: Offset,
    /// Bytes of valid log file.
    pub(crate) log_bytes: u64,
    /// The offset after the last record.
    pub(crate) end: Offset,
    /// Records in the segment.
    pub(crate) record_count: u64,
    /// Times of the first and the newest record; `None` without records.
    pub(crate) times: Option<(Timestamp, Timestamp)>,
}

/// One place in the segment where a batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// Offset of the batch's first record minus the segment's base offset.
    pub(crate) offset_delta: u32,
    /// Where the batch begins in the log file.
    pub(crate) file_position: u32,
    /// Time of the batch's first record.
    pub(crate) time: Timestamp,
}

impl IndexEntry {
    /// The entry for a batch; `None` beyond what an entry can say, which no segment of ours reaches.
    pub(crate) fn new(base: Offset, batch: Offset, file_position: u64, time: Timestamp) -> Option<Self> {
        let offset_delta = u32::try_from(batch.since(base)).ok()?;
        Some(Self { offset_delta, file_position: u32::try_from(file_position).ok()?, time })
    }
}

/// The entries of one segment, ascending in every column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentIndex {
    entries: Vec<IndexEntry>,
}

impl SegmentIndex {
    /// Adds an entry; the caller keeps them ascending.
    pub(crate) fn push(&mut self, entry: IndexEntry) {
        self.entries.push(entry);
    }

    /// Adds the entries of `newer`, which all come after these.
    pub(crate) fn append(&mut self, newer: Self) {
        self.entries.extend(newer.entries);
    }

    /// Where the newest entry points.
    pub(crate) fn newest_position(&self) -> Option<u64> {
        self.entries.last().map(|entry| u64::from(entry.file_position))
    }

    /// A file position at or before the batch that holds the offset `offset_delta` after the base.
    pub(crate) fn position_of_offset(&self, offset_delta: u64) -> u64 {
        let after = self.entries.partition_point(|entry| u64::from(entry.offset_delta) <= offset_delta);
        self.position_before(after)
    }

    /// An offset, counted from the base, at or before the first record at or after `time`.
    pub(crate) fn offset_of_time(&self, time: Timestamp) -> u64 {
        let after = self.entries.partition_point(|entry| entry.time <= time);
        after.checked_sub(1).and_then(|i| self.entries.get(i)).map_or(0, |entry| u64::from(entry.offset_delta))
    }

    /// The block to read so as to walk down from the offset `offset_delta` after the base (exclusive), of about `bytes`.
    pub(crate) fn block_before(&self, offset_delta: u64, bytes: u64) -> BlockBounds {
        let after = self.entries.partition_point(|entry| u64::from(entry.offset_delta) < offset_delta);
        let to = self.entries.get(after).map(|entry| u64::from(entry.file_position));
        let wanted = self.position_before(after).saturating_sub(bytes);
        let from = self.entries.partition_point(|entry| u64::from(entry.file_position) <= wanted);
        let first = from.checked_sub(1).and_then(|i| self.entries.get(i));
        BlockBounds {
            from: self.position_before(from),
            offset_delta: first.map_or(0, |e| u64::from(e.offset_delta)),
            to,
        }
    }

    fn position_before(&self, entry: usize) -> u64 {
        entry.checked_sub(1).and_then(|i| self.entries.get(i)).map_or(0, |e| u64::from(e.file_position))
    }

    /// Forgets entries at or beyond `file_position`.
    pub(crate) fn truncate(&mut self, file_position: u64) {
        let kept = self.entries.partition_point(|entry| u64::from(entry.file_position) < file_position);
        self.entries.truncate(kept);
    }

    /// The file that holds this index and the segment's summary.
    pub(crate) fn encode(&self, summary: &Summary) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for entry in &self.entries {
            body.extend(entry.offset_delta.to_le_bytes());
            body.extend(entry.file_position.to_le_bytes());
            body.extend(entry.time.as_nanos().to_le_bytes());
        }
        // Without records both times are the epoch; the record count tells that they mean nothing.
        let (first, newest) = summary.times.unwrap_or_default();
        let entry_count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let mut head = Vec::with_capacity(SUMMARY_BYTES);
        head.extend(summary.base.get().to_le_bytes());
        head.extend(summary.log_bytes.to_le_bytes());
        head.extend(summary.end.get().to_le_bytes());
        head.extend(summary.record_count.to_le_bytes());
        head.extend(first.as_nanos().to_le_bytes());
        head.extend(newest.as_nanos().to_le_bytes());
        head.extend(entry_count.to_le_bytes());
        head.extend(crc32c(&body).to_le_bytes());
        let mut bytes = Vec::with_capacity(SUMMARY_BYTES + body.len());
        bytes.extend(MAGIC);
        bytes.extend(crc32c(&head).to_le_bytes());
        bytes.extend(head);
        bytes.extend(body);
        bytes
    }

    /// The index and summary in these bytes; `None` when anything about them is wrong.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, Summary)> {
        let head = Head::decode(bytes)?;
        let body = bytes.get(SUMMARY_BYTES..)?;
        let whole = body.len() == usize::try_from(head.entry_count).ok()?.checked_mul(ENTRY_BYTES)?;
        if !whole || crc32c(body) != head.entries_crc {
            return None;
        }
        let mut cursor = Cursor::new(body);
        let mut index = Self { entries: Vec::with_capacity(body.len() / ENTRY_BYTES) };
        for _ in 0..head.entry_count {
            index.entries.push(IndexEntry {
                offset_delta: cursor.u32().ok()?,
                file_position: cursor.u32().ok()?,
                time: Timestamp::from_nanos(cursor.u64().ok()?.cast_signed()),
            });
        }
        let ascending = |a: &IndexEntry, b: &IndexEntry| {
            a.offset_delta < b.offset_delta && a.file_position < b.file_position && a.time <= b.time
        };
        let inside = index.newest_position().is_none_or(|position| position < head.summary.log_bytes);
        (inside && index.entries.is_sorted_by(ascending)).then_some((index, head.summary))
    }
}

/// A stretch of a log file that begins and ends between batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockBounds {
    /// Where it begins.
    pub(crate) from: u64,
    /// Offset of its first batch minus the segment's base offset.
    pub(crate) offset_delta: u64,
    /// Where it ends; `None` = at the end of the file.
    pub(crate) to: Option<u64>,
}

impl Summary {
    /// Of a segment of which nothing is known but where it begins.
    pub(crate) fn empty(base: Offset) -> Self {
        Self { base, log_bytes: 0, end: base, record_count: 0, times: None }
    }

    /// The summary at the start of an index file, of which `bytes` need be no more than [`SUMMARY_BYTES`]; `None` when
    /// anything about it is wrong.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        Head::decode(bytes).map(|head| head.summary)
    }
}

struct Head {
    summary: Summary,
    entry_count: u32,
    entries_crc: u32,
}

impl Head {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let magic = cursor.take(4).ok()?;
        let crc = cursor.u32().ok()?;
        if magic != MAGIC || crc32c(bytes.get(8..SUMMARY_BYTES)?) != crc {
            return None;
        }
        let base = Offset::new(cursor.u64().ok()?);
        let log_bytes = cursor.u64().ok()?;
        let end = Offset::new(cursor.u64().ok()?);
        let record_count = cursor.u64().ok()?;
        let first = Timestamp::from_nanos(cursor.u64().ok()?.cast_signed());
        let newest = Timestamp::from_nanos(cursor.u64().ok()?.cast_signed());
        let times = (record_count > 0).then_some((first, newest));
        let summary = Summary { base, log_bytes, end, record_count, times };
        let plausible = end >= base && record_count <= end.since(base) && first <= newest;
        let head = Self { summary, entry_count: cursor.u32().ok()?, entries_crc: cursor.u32().ok()? };
        plausible.then_some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offset_delta: u32, file_position: u32, time: i64) -> IndexEntry {
        IndexEntry { offset_delta, file_position, time: Timestamp::from_nanos(time) }
    }

    fn sample() -> (SegmentIndex, Summary) {
        let index = SegmentIndex { entries: vec![entry(0, 0, 100), entry(10, 5000, 200), entry(20, 10_000, 300)] };
        let summary = Summary {
            base: Offset::new(1000),
            log_bytes: 12_000,
            end: Offset::new(1025),
            record_count: 25,
            times: Some((Timestamp::from_nanos(100), Timestamp::from_nanos(350))),
        };
        (index, summary)
    }

    #[test]
    fn look_ups_land_at_or_before_what_is_sought() {
        let (index, _) = sample();
        for (delta, position) in [(0, 0), (9, 0), (10, 5000), (19, 5000), (20, 10_000), (500, 10_000)] {
            assert_eq!(index.position_of_offset(delta), position, "offset +{delta}");
        }
        for (time, delta) in [(0, 0), (100, 0), (199, 0), (200, 10), (300, 20), (i64::MAX, 20)] {
            assert_eq!(index.offset_of_time(Timestamp::from_nanos(time)), delta, "time {time}");
        }
        assert_eq!(SegmentIndex::default().position_of_offset(7), 0);
    }

    #[test]
    fn a_block_to_walk_down_covers_the_record_before_the_end() {
        let (index, _) = sample();
        let check = |end: u64, bytes: u64, from: u64, offset_delta: u64, to: Option<u64>| {
            assert_eq!(index.block_before(end, bytes), BlockBounds { from, offset_delta, to }, "before +{end}");
        };
        check(25, 0, 10_000, 20, None);
        check(20, 0, 5000, 10, Some(10_000));
        check(21, 0, 10_000, 20, None);
        check(25, 1 << 20, 0, 0, None);
        check(1, 0, 0, 0, Some(5000));
    }

    #[test]
    fn the_file_round_trips_with_its_summary() {
        let (index, summary) = sample();
        let bytes = index.encode(&summary);
        assert_eq!(SegmentIndex::decode(&bytes), Some((index, summary)));
        assert_eq!(Summary::decode(&bytes[..SUMMARY_BYTES]), Some(summary));
        let empty = Summary { log_bytes: 0, end: summary.base, record_count: 0, times: None, ..summary };
        assert_eq!(
            SegmentIndex::decode(&SegmentIndex::default().encode(&empty)),
            Some((SegmentIndex::default(), empty))
        );
    }

    #[test]
    fn anything_wrong_makes_it_no_index() {
        let (index, summary) = sample();
        let bytes = index.encode(&summary);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentIndex::decode(&flipped), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(SegmentIndex::decode(&bytes[..cut]), None, "cut to {cut}");
        }
        assert_eq!(SegmentIndex::decode(&[0; 80]), None);
    }
}
