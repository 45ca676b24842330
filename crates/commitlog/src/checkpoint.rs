//! How far a log is known to be good. Owns the file's layout and its checksum; never the decision when one is written.
//!
//! A checkpoint is a claim about the past that stays true: everything before its recovery point was on stable storage
//! when it was written. Recovery scans from there, and takes damage before it for rot, never for a torn write. A
//! missing or garbled one only means that more is scanned (cases `C1` and `C2` of [`crate::recovery`]).
//!
//! ```text
//!  0  magic               4   "LBK" and the format version, 1
//!  4  CRC-32C of 8..64    4
//!  8  segment base        8   base offset of the segment the recovery point is in
//! 16  file position       8   bytes of that segment known to be durable and valid
//! 24  recovery offset     8   log end at that position
//! 32  log start           8
//! 40  high watermark      8
//! 48  newest time         8   i64, nanoseconds; i64::MIN when there never was a record
//! 56  reserved            8   zero
//! ```

use liftbridge_types::{Offset, Timestamp};

use crate::checksum::crc32c;
use crate::codec::Cursor;
use crate::error::LogError;
use crate::file_names;
use crate::small_file;
use crate::storage::Storage;

const MAGIC: [u8; 4] = *b"LBK\x01";
const BYTES: usize = 64;

/// The newest point up to which a log needs no scanning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Base offset of the segment the recovery point is in.
    pub(crate) segment: Offset,
    /// Bytes of that segment's file known to be durable and valid.
    pub(crate) file_position: u64,
    /// The log end at that position.
    pub(crate) recovery_offset: Offset,
    /// The first offset kept.
    pub(crate) log_start: Offset,
    /// The high watermark then.
    pub(crate) high_watermark: Offset,
    /// Time of the newest record then; `None` when there never was one.
    pub(crate) newest_time: Option<Timestamp>,
}

impl Checkpoint {
    fn encode(&self) -> [u8; BYTES] {
        let words = [
            self.segment.get(),
            self.file_position,
            self.recovery_offset.get(),
            self.log_start.get(),
            self.high_watermark.get(),
            self.newest_time.unwrap_or(Timestamp::MIN).as_nanos().cast_unsigned(),
            0,
        ];
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        for (slot, word) in bytes[8..].chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The checkpoint in these bytes; `None` when they are not one.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let magic = cursor.take(4).ok()?;
        let crc = cursor.u32().ok()?;
        let body = bytes.get(8..)?;
        if bytes.len() != BYTES || magic != MAGIC || crc32c(body) != crc {
            return None;
        }
        let mut word = || cursor.u64().ok();
        let checkpoint = Self {
            segment: Offset::new(word()?),
            file_position: word()?,
            recovery_offset: Offset::new(word()?),
            log_start: Offset::new(word()?),
            high_watermark: Offset::new(word()?),
            newest_time: Some(Timestamp::from_nanos(word()?.cast_signed())).filter(|t| *t != Timestamp::MIN),
        };
        Some(checkpoint)
    }

    /// Writes this checkpoint in the place of the one before.
    pub(crate) fn write(&self, storage: &dyn Storage) -> Result<(), LogError> {
        small_file::replace(storage, file_names::CHECKPOINT, &self.encode())
    }

    /// The checkpoint in `storage`: `Ok(None)` when there is none, `Ok(Some(None))` when there is one that cannot be read.
    pub(crate) fn load(storage: &dyn Storage) -> Result<Option<Option<Self>>, LogError> {
        let content = small_file::read(storage, file_names::CHECKPOINT, u64::MAX)?;
        Ok(content.map(|bytes| Self::decode(&bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        Checkpoint {
            segment: Offset::new(100),
            file_position: 4096,
            recovery_offset: Offset::new(164),
            log_start: Offset::new(7),
            high_watermark: Offset::new(163),
            newest_time: Some(Timestamp::from_nanos(-5)),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for newest_time in [None, Some(Timestamp::from_nanos(-5)), Some(Timestamp::MAX)] {
            let checkpoint = Checkpoint { newest_time, ..sample() };
            assert_eq!(Checkpoint::decode(&checkpoint.encode()), Some(checkpoint));
        }
    }

    #[test]
    fn any_other_bytes_are_no_checkpoint() {
        let good = sample().encode();
        assert_eq!(Checkpoint::decode(&[]), None);
        assert_eq!(Checkpoint::decode(&[0; BYTES]), None);
        assert_eq!(Checkpoint::decode(&good[..BYTES - 1]), None);
        for bit in 0..BYTES * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Checkpoint::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn the_layout_is_pinned() {
        let mut expected = Vec::from(*b"LBK\x01");
        expected.extend(crc32c(&sample().encode()[8..]).to_le_bytes());
        for word in [100u64, 4096, 164, 7, 163, 0u64.wrapping_sub(5), 0] {
            expected.extend(word.to_le_bytes());
        }
        assert_eq!(sample().encode().as_slice(), expected);
    }
}
