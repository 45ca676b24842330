//! Tells rot from torn writes by what stands in the file, where nothing vouches for it.
//!
//! Owns the judgement of one stretch that does not verify at the end of a log; never what is done about it.
//!
//! A torn write leaves the medium as it was before where it did not arrive, and a log file is only ever appended to: what
//! was never there reads as zeros, since a cut frees its blocks. So a torn batch either ends beyond the file, or one of the
//! sectors it lies in has nothing but zeros of it. A batch that lies wholly inside the file and of which no sector's share
//! is all zeros was written whole, and has *rotted* since. Example: A is synced and acknowledged, B is written, power cut. A bit
//! of A's header flips, and of B only the second of its two sectors arrived. A's header with one bit put right says where A
//! ends; no share of A is zeros, so A is rot and stays. B's first share is zeros, so B is a tear.
//!
//! What cannot be told: a message with a whole sector of zeros in it that rots outside of its header, and rot that leaves zeros
//! itself, or several wrong bits in a header that hide its magic, look like a torn write. They are taken for one, as everything was before: the same bytes may be a write that nobody was promised.

use std::ops::Range;

use liftbridge_types::{LeaderEpoch, Offset};

use crate::batch::remains::{has_lost_sector, is_zeroed, mended_leader_part, offset_count, was_written_whole};
use crate::batch::{BATCH_BYTES_MAX, HEADER_BYTES, LEADER_PART_BYTES, LeaderPart, MAGIC};
use crate::batch_scanner::OFFSETS_IN_SEGMENT_MAX;
use crate::error::LogError;
use crate::storage::StorageFile;

/// Bytes of a stretch of unknown make that are looked at together; a multiple of every sector's size.
const CHUNK_BYTES: u64 = 64 * 1024;

/// A stretch of a log file in which no batch verifies.
#[derive(Clone, Debug)]
pub(crate) struct Stretch<'a> {
    pub(crate) file: &'a dyn StorageFile,
    /// The file's name, for errors.
    pub(crate) file_name: &'a str,
    /// Where it lies. It ends with the file, or where a good batch begins.
    pub(crate) bytes: Range<u64>,
    /// The offset good batches reach to before it.
    pub(crate) expected: Offset,
    /// The newest epoch before it.
    pub(crate) newest_epoch: LeaderEpoch,
}

/// What a stretch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// The offset up to which what was written whole reaches.
    pub(crate) rotten_end: Offset,
    /// The first thing behind it that may be torn.
    pub(crate) tear: Option<Tear>,
}

/// What looks like a torn write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tear {
    /// Where it begins.
    pub(crate) file_position: u64,
    /// Whether nothing but zeros stands where its header should: what a medium shows for a page that was never written.
    pub(crate) zeroed: bool,
}

impl Stretch<'_> {
    /// Judges batch by batch, as long as it is known where they end.
    pub(crate) fn judge(&self) -> Result<Judgement, LogError> {
        let Self { bytes, newest_epoch, .. } = self;
        let (mut position, mut epoch) = (bytes.start, *newest_epoch);
        // The least offset the next batch can have, and the one it most likely has.
        let (mut base_min, mut rotten_end) = (self.expected, self.expected);
        while position < bytes.end {
            let header = self.read(position..position.saturating_add(HEADER_BYTES as u64))?;
            let Some(part) = mended_leader_part(&header) else {
                // After a failed sync, what is appended next may come into a sector of which the beginning was forgotten.
                let leader_part = header.get(..LEADER_PART_BYTES).filter(|part| !has_lost_sector(part, position));
                // What does not even begin as a batch does was never one of this log's.
                let is_whole = header.len() == HEADER_BYTES
                    && header.starts_with(&MAGIC)
                    && leader_part.is_some()
                    && !self.has_lost_sector(position)?;
                if is_whole {
                    rotten_end = rotten_end.plus(offset_count(&self.read(position..bytes.end)?));
                }
                return Ok(Judgement { rotten_end, tear: (!is_whole).then(|| tear(position, &header)) });
            };
            let continues = part.base_offset >= base_min && part.base_offset.since(base_min) <= OFFSETS_IN_SEGMENT_MAX;
            let is_in_place = continues && part.leader_epoch >= epoch && self.holds(position, part);
            if is_in_place && position > bytes.start {
                rotten_end = part.base_offset;
            }
            let batch = self.read(position..position.saturating_add(u64::from(part.bytes)))?;
            if !(is_in_place && was_written_whole(&batch, position)) {
                return Ok(Judgement { rotten_end, tear: Some(tear(position, &header)) });
            }
            rotten_end = part.base_offset.plus(offset_count(&batch));
            (base_min, epoch) = (part.base_offset.next(), part.leader_epoch);
            position = position.saturating_add(u64::from(part.bytes));
        }
        Ok(Judgement { rotten_end, tear: None })
    }
    /// Whether a batch that begins at `position` ends within the stretch.
    fn holds(&self, position: u64, part: LeaderPart) -> bool {
        position.saturating_add(u64::from(part.bytes)) <= self.bytes.end
    }

    /// Whether a sector's share from `position` on is all zeros.
    fn has_lost_sector(&self, mut position: u64) -> Result<bool, LogError> {
        while position < self.bytes.end {
            let next = (position / CHUNK_BYTES + 1).saturating_mul(CHUNK_BYTES);
            if has_lost_sector(&self.read(position..next)?, position) {
                return Ok(true);
            }
            position = next;
        }
        Ok(false)
    }

    /// The bytes in `range`, as far as the stretch and the longest batch go.
    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, LogError> {
        let count = range.end.min(self.bytes.end).saturating_sub(range.start).min(u64::from(BATCH_BYTES_MAX));
        let mut bytes = vec![0; usize::try_from(count).expect("a batch fits memory")];
        let read = self.file.read_at(&mut bytes, range.start);
        bytes.truncate(read.map_err(|e| LogError::new("read", self.file_name, e))?);
        Ok(bytes)
    }
}

fn tear(file_position: u64, header: &[u8]) -> Tear {
    Tear { file_position, zeroed: is_zeroed(header) }
}
