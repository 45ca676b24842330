//! What can be told of a batch that does not verify: where its bytes and its offsets end, and whether it was written whole.
//! Owns guesses that are good enough to tell what is damaged; never belief in a record.

use std::ops::Range;

use crate::batch::header::{HEADER_BYTES, LAST_OFFSET_DELTA_AT, LEADER_PART_BYTES, LeaderPart, RECORD_COUNT_AT};
use crate::checksum::{crc32c, crc32c_append};
use crate::codec::Cursor;
use crate::record::{RECORD_BYTES_MIN, RecordParts};

/// What a medium writes whole or not at all, wherever the power goes. Media and file systems have larger units; all are
/// multiples of it.
const SECTOR_BYTES: usize = 512;
/// An ending of so many bytes is tried in all its values.
const ENDING_BYTES_MAX: usize = 2;

/// The leader's part at the start of `bytes`, with the one bit put right that rotted, if there is one. No two parts are one or
/// two bits from each other, for the checksum tells errors of few bits for certain.
pub(crate) fn mended_leader_part(bytes: &[u8]) -> Option<LeaderPart> {
    let found: &[u8; LEADER_PART_BYTES] = bytes.first_chunk()?;
    let mended = |bit: usize| {
        let mut part = *found;
        *part.get_mut(bit / 8)? ^= 1 << (bit % 8);
        LeaderPart::decode(&part).ok()
    };
    LeaderPart::decode(found).ok().or_else(|| (0..LEADER_PART_BYTES * 8).find_map(mended))
}

/// How many offsets the batch in `batch` holds, which does not verify: at least one. Where its fields do not agree its records
/// are counted, and where these are no records either the most is assumed that may have been said of it.
pub(crate) fn offset_count(batch: &[u8]) -> u64 {
    let field = |at: Range<usize>| batch.get(at)?.first_chunk().copied().map(u32::from_le_bytes).map(u64::from);
    let span = field(LAST_OFFSET_DELTA_AT).map_or(1, |delta| delta + 1);
    let count = field(RECORD_COUNT_AT).unwrap_or(1);
    let room = batch.len().saturating_sub(HEADER_BYTES) / RECORD_BYTES_MIN;
    let is_possible = |offsets: &u64| *offsets > 0 && *offsets <= room as u64;
    if body_verifies(batch) || (span == count && is_possible(&span)) {
        return span;
    }
    let (decoded, is_all) = decoded_offsets(batch.get(HEADER_BYTES..).unwrap_or_default());
    let claims = [span, count].into_iter().filter(is_possible);
    if is_all { decoded.max(1) } else { claims.fold(decoded.max(1), u64::max) }
}

/// The offsets up to the last record that can be decoded, and whether that is the last byte, too.
fn decoded_offsets(records: &[u8]) -> (u64, bool) {
    let mut cursor = Cursor::new(records);
    let mut end = 0;
    while cursor.remaining() > 0 {
        match RecordParts::decode(&mut cursor) {
            Ok(parts) if u64::from(parts.offset_delta) >= end => end = u64::from(parts.offset_delta) + 1,
            _ => return (end, false),
        }
    }
    (end, true)
}

/// Whether the batch `batch`, which stands at `file_position`, shows no sign of a torn write. A sector that did not arrive reads
/// as zeros, so without a share that is all zeros every sector has arrived, and what does not verify has rotted.
///
/// Zeros by nature mislead only where they are many. The first share begins with the magic, and those in the middle are whole
/// sectors of a message. Only the last one may be so short that a share of zeros is nothing special, as where a record ends with having no
/// headers: if it is the only one, and nothing put in its place makes the batch verify, then it is not what is missing.
pub(crate) fn was_written_whole(batch: &[u8], file_position: u64) -> bool {
    let ends: Vec<usize> = shares(batch, file_position)
        .scan(0, |end, share| {
            *end += share.len();
            Some((*end, share))
        })
        .filter(|(_, share)| is_zeroed(share))
        .map(|(end, _)| end)
        .collect();
    let last_bytes = shares(batch, file_position).last().map_or(0, <[u8]>::len);
    match ends.as_slice() {
        [] => true,
        [first, ..] if *first <= LEADER_PART_BYTES => false,
        _ if body_verifies(batch) => true,
        [only] => *only == batch.len() && last_bytes <= ENDING_BYTES_MAX && !lacks_only_ending(batch, last_bytes),
        _ => false,
    }
}

/// Whether a sector's share of `bytes`, which stand at `file_position`, is all zeros.
pub(crate) fn has_lost_sector(bytes: &[u8], file_position: u64) -> bool {
    shares(bytes, file_position).any(is_zeroed)
}

/// What of `bytes`, which stand at `file_position`, lies in each sector.
fn shares(bytes: &[u8], file_position: u64) -> impl Iterator<Item = &[u8]> {
    let into_sector = usize::try_from(file_position % SECTOR_BYTES as u64).unwrap_or_default();
    let (first, rest) = bytes.split_at(bytes.len().min(SECTOR_BYTES - into_sector));
    std::iter::once(first).chain(rest.chunks(SECTOR_BYTES)).filter(|share| !share.is_empty())
}

/// Whether these bytes are what a medium shows where nothing was written.
pub(crate) fn is_zeroed(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Whether everything behind the leader's part is what was written.
fn body_verifies(batch: &[u8]) -> bool {
    stored_and_covered(batch).is_some_and(|(stored, covered)| crc32c(covered) == stored)
}

/// Whether the batch would verify with another ending of so many bytes.
fn lacks_only_ending(batch: &[u8], bytes: usize) -> bool {
    let Some((stored, covered)) = stored_and_covered(batch) else { return true };
    let Some(front) = covered.len().checked_sub(bytes).and_then(|end| covered.get(..end)) else { return true };
    let front = crc32c(front);
    (0..1_u32 << (8 * bytes)).any(|ending| {
        let ending = ending.to_le_bytes();
        ending.get(..bytes).is_some_and(|ending| crc32c_append(front, ending) == stored)
    })
}

/// The checksum of what is behind the leader's part, and what it covers.
fn stored_and_covered(batch: &[u8]) -> Option<(u32, &[u8])> {
    let (stored, covered) = batch.get(LEADER_PART_BYTES..)?.split_first_chunk()?;
    Some((u32::from_le_bytes(*stored), covered))
}

#[cfg(test)]
mod tests {
    use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

    use super::*;
    use crate::batch::{BatchBuilder, Standing};

    fn batch(records: u32, value: &[u8]) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        (0..records).for_each(|_| builder.push(None, value, &[]).unwrap());
        builder.seal(Offset::new(7), LeaderEpoch::new(3), Timestamp::from_nanos(5), Standing::default()).1.to_vec()
    }

    #[test]
    fn one_wrong_bit_of_a_leader_part_is_put_right_and_two_are_not() {
        let whole = batch(2, b"value");
        let part = mended_leader_part(&whole).unwrap();
        assert_eq!((part.base_offset, part.bytes as usize), (Offset::new(7), whole.len()));
        for first in 0..LEADER_PART_BYTES * 8 {
            let mut bytes = whole.clone();
            bytes[first / 8] ^= 1 << (first % 8);
            assert_eq!(mended_leader_part(&bytes), Some(part), "bit {first}");
            for second in (first + 1..LEADER_PART_BYTES * 8).step_by(7) {
                let mut bytes = bytes.clone();
                bytes[second / 8] ^= 1 << (second % 8);
                assert_eq!(mended_leader_part(&bytes), None, "bits {first} and {second}");
            }
        }
        assert_eq!(mended_leader_part(&whole[..LEADER_PART_BYTES - 1]), None);
        assert_eq!(mended_leader_part(&[0; HEADER_BYTES]), None);
    }

    #[test]
    fn offsets_are_counted_whatever_bit_is_wrong() {
        for records in [1, 2, 3, 200] {
            let whole = batch(records, b"value");
            for bit in LEADER_PART_BYTES * 8..whole.len() * 8 {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(offset_count(&bytes), u64::from(records), "bit {bit} of {records} records");
            }
        }
        assert_eq!(offset_count(&[]), 1);
        assert_eq!(offset_count(&[0xff; 500]), 1, "no batch of 500 bytes holds that many");
    }

    /// Wherever a batch lies, every tear that takes something away from it shows.
    #[test]
    fn every_lost_sector_of_a_batch_shows() {
        for (value_bytes, position) in (400..600).flat_map(|bytes| [0, 1, 200, 511, 1300].map(|at| (bytes, at))) {
            let mut whole = batch(1, &vec![b'x'; value_bytes]);
            // An ending that is not zero, which takes a header.
            if value_bytes % 2 == 0 {
                let last = whole.len() - 1;
                whole[last] = 1;
                let crc = crc32c(&whole[LEADER_PART_BYTES + 4..]);
                whole[LEADER_PART_BYTES..][..4].copy_from_slice(&crc.to_le_bytes());
            }
            let lengths: Vec<usize> = shares(&whole, position).map(<[u8]>::len).collect();
            for lost in 1..1 << lengths.len() {
                let mut torn = whole.clone();
                let mut begin = 0;
                for (number, length) in lengths.iter().enumerate() {
                    if lost >> number & 1 == 1 {
                        torn[begin..begin + length].fill(0);
                    }
                    begin += length;
                }
                let shows = !was_written_whole(&torn, position);
                assert_eq!(shows, torn != whole, "{value_bytes} bytes at {position}, lost {lost:b}");
            }
        }
    }
}
