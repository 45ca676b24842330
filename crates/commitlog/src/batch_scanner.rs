//! Walks the batches of one log file, verifying each, and finds its way past damage.
//!
//! Owns how damage is stepped over. Never decides what damage means: recovery and readers do.
//!
//! After a batch that does not verify, the next one is looked for behind it: where its header says, which has a checksum of
//! its own, and by which one wrong bit is put right. So nothing inside a value is ever looked at. Where the header is of no use
//! the next batch is looked for where it most likely says (a batch at that very place is no accident), else by searching for the next
//! magic. A candidate only counts when its checksums verify and it continues the offsets and epochs seen so far within what one
//! segment can span. One found by searching is believed at once when the end of the file or another header follows it:
//! bytes that merely look like a batch inside somebody's value do not chain. One that chains to nothing is believed if the
//! search finds nothing better. (Whoever builds a whole chain of batches into a value can still mislead a search, if more than
//! one bit of the header of the very batch around it rots. A tear cannot be used that way: see [`crate::segment_walk`].)

use bytes::Bytes;
use liftbridge_types::{LeaderEpoch, Offset};

use crate::batch::remains::mended_leader_part;
use crate::batch::{BATCH_BYTES_MAX, Batch, BatchError, BatchHeader, HEADER_BYTES, MAGIC};
use crate::error::LogError;
use crate::storage::StorageFile;

/// Bytes read from the file at once.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// A segment is rolled before it spans more offsets than its index can address.
pub(crate) const OFFSETS_IN_SEGMENT_MAX: u64 = u32::MAX as u64;

/// One step of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A batch that verifies.
    Batch {
        /// Where it begins in the file.
        file_position: u64,
        /// The batch.
        batch: Batch,
    },
    /// Bytes that do not.
    Damaged {
        /// Where they begin.
        file_position: u64,
        /// Where the next good batch begins, with its base offset; `None` when there is none up to the end.
        resume: Option<(u64, Offset)>,
        /// What was wrong with them.
        error: BatchError,
    },
}

/// A batch that may be where damage ends.
struct Candidate {
    base: Offset,
    chains: bool,
}

/// Walks the batches of a file from a position up to a limit.
#[derive(Debug)]
pub(crate) struct BatchScanner<'a> {
    file: &'a dyn StorageFile,
    file_name: &'a str,
    position: u64,
    limit: u64,
    expected: Offset,
    newest_epoch: LeaderEpoch,
    window_bytes: u64,
    window_start: u64,
    window: Bytes,
}

impl<'a> BatchScanner<'a> {
    /// A walk over `file[position..limit]`, which begins with a batch at or after `expected`.
    pub(crate) fn new(
        file: &'a dyn StorageFile,
        file_name: &'a str,
        position: u64,
        limit: u64,
        expected: Offset,
    ) -> Self {
        Self {
            file,
            file_name,
            position,
            limit,
            expected,
            newest_epoch: LeaderEpoch::default(),
            window_bytes: WINDOW_BYTES,
            window_start: 0,
            window: Bytes::new(),
        }
    }

    /// The same walk reading about `bytes` at once.
    pub(crate) fn with_window(mut self, bytes: u64) -> Self {
        self.window_bytes = bytes.max(HEADER_BYTES as u64);
        self
    }

    /// Where the next step begins.
    pub(crate) fn file_position(&self) -> u64 {
        self.position
    }

    /// The epoch of the last batch that verified.
    pub(crate) fn newest_epoch(&self) -> LeaderEpoch {
        self.newest_epoch
    }

    /// Whether the next step needs no read of the file.
    pub(crate) fn holds_next(&self) -> bool {
        let Some(begin) = self.position.checked_sub(self.window_start).and_then(|n| usize::try_from(n).ok()) else {
            return false;
        };
        let held = self.window.get(begin..).unwrap_or_default();
        BatchHeader::peek(held).is_ok_and(|part| part.bytes as usize <= held.len())
    }

    /// Goes on from the limit to another one with a batch at or after `expected`; false when that is no further.
    pub(crate) fn extend(&mut self, limit: u64, expected: Offset) -> bool {
        let further = limit > self.limit;
        self.limit = self.limit.max(limit);
        self.expected = self.expected.max(expected);
        further
    }

    /// The next step; `None` at the limit.
    pub(crate) fn step(&mut self) -> Result<Option<Scanned>, LogError> {
        if self.position >= self.limit {
            return Ok(None);
        }
        let file_position = self.position;
        match self.batch_at(file_position)? {
            Ok(batch) => {
                self.advance_past(file_position, batch.header());
                Ok(Some(Scanned::Batch { file_position, batch }))
            }
            Err(error) => {
                let resume = self.find_resume(file_position)?;
                let (position, expected) = resume.unwrap_or((self.limit, self.expected));
                self.position = position;
                self.expected = expected;
                Ok(Some(Scanned::Damaged { file_position, resume, error }))
            }
        }
    }

    fn advance_past(&mut self, file_position: u64, header: &BatchHeader) {
        self.position = file_position + u64::from(header.bytes);
        self.expected = header.end_offset();
        self.newest_epoch = header.leader_epoch;
    }

    /// The batch at `position`, if it verifies and continues what was seen so far.
    fn batch_at(&mut self, position: u64) -> Result<Result<Batch, BatchError>, LogError> {
        let part = match BatchHeader::peek(&self.bytes_at(position, HEADER_BYTES as u64)?) {
            Ok(part) => part,
            Err(error) => return Ok(Err(error)),
        };
        let gap = part.base_offset.since(self.expected);
        if part.base_offset < self.expected || gap > OFFSETS_IN_SEGMENT_MAX || part.leader_epoch < self.newest_epoch {
            return Ok(Err(BatchError::OutOfPlace { base: part.base_offset, expected: self.expected }));
        }
        let bytes = self.bytes_at(position, u64::from(part.bytes))?;
        Ok(Batch::verify(&bytes))
    }

    fn find_resume(&mut self, damaged: u64) -> Result<Option<(u64, Offset)>, LogError> {
        let mut damaged = damaged;
        while let Some(part) = mended_leader_part(&self.bytes_at(damaged, HEADER_BYTES as u64)?) {
            damaged += u64::from(part.bytes);
            if let Some(candidate) = self.candidate_at(damaged)? {
                return Ok(Some((damaged, candidate.base)));
            }
        }
        let length = BatchHeader::unverified_length(&self.bytes_at(damaged, HEADER_BYTES as u64)?);
        if let Some(next) = length.map(|length| damaged + u64::from(length))
            && let Some(candidate) = self.candidate_at(next)?
        {
            return Ok(Some((next, candidate.base)));
        }
        // The last batch before a torn tail chains to nothing. It is only believed if nothing better is found, or it could
        // be one that somebody stored in a value; given up, it would take everything before it along.
        let mut unchained = None;
        let mut from = damaged + 1;
        while let Some(position) = self.next_magic(from)? {
            if let Some(candidate) = self.candidate_at(position)? {
                if candidate.chains {
                    return Ok(Some((position, candidate.base)));
                }
                unchained = unchained.or(Some((position, candidate.base)));
            }
            from = position + 1;
        }
        Ok(unchained)
    }

    /// The batch at `position`, if it verifies, and whether the end of the file or another header follows it.
    fn candidate_at(&mut self, position: u64) -> Result<Option<Candidate>, LogError> {
        if position >= self.limit {
            return Ok(None);
        }
        let Ok(batch) = self.batch_at(position)? else { return Ok(None) };
        let header = *batch.header();
        let after = position + u64::from(header.bytes);
        let follower = self.bytes_at(after, HEADER_BYTES as u64)?;
        let chains = after == self.limit
            || BatchHeader::peek(&follower).is_ok_and(|part| part.base_offset >= header.end_offset());
        Ok(Some(Candidate { base: header.base_offset, chains }))
    }

    fn next_magic(&mut self, mut from: u64) -> Result<Option<u64>, LogError> {
        while from + (HEADER_BYTES as u64) <= self.limit {
            let bytes = self.window_from(from)?;
            if let Some(found) = bytes.windows(MAGIC.len()).position(|window| window == MAGIC) {
                return Ok(Some(from + found as u64));
            }
            // The magic may straddle two windows.
            let step = bytes.len().saturating_sub(MAGIC.len() - 1).max(1);
            from += step as u64;
        }
        Ok(None)
    }

    /// What is held from `position` on, and at least a magic's worth of it: searching loads no byte twice.
    fn window_from(&mut self, position: u64) -> Result<Bytes, LogError> {
        let held_end = self.window_start + self.window.len() as u64;
        let held = if position >= self.window_start { held_end.saturating_sub(position) } else { 0 };
        let wanted = if held >= MAGIC.len() as u64 { held } else { self.window_bytes };
        self.bytes_at(position, wanted)
    }

    /// Up to `count` bytes at `position`; fewer only at the limit.
    fn bytes_at(&mut self, position: u64, count: u64) -> Result<Bytes, LogError> {
        let end = position.saturating_add(count.min(u64::from(BATCH_BYTES_MAX))).min(self.limit);
        if position >= end {
            return Ok(Bytes::new());
        }
        let held = self.window_start..self.window_start + self.window.len() as u64;
        if !(held.contains(&position) && end <= held.end) {
            self.load(position, end)?;
        }
        let begin = to_usize(position - self.window_start).min(self.window.len());
        let stop = to_usize(end - self.window_start).min(self.window.len());
        Ok(self.window.slice(begin..stop))
    }

    fn load(&mut self, position: u64, end: u64) -> Result<(), LogError> {
        let stop = end.max(position.saturating_add(self.window_bytes)).min(self.limit);
        let mut bytes = vec![0; to_usize(stop - position)];
        let read = self.file.read_at(&mut bytes, position).map_err(|e| LogError::new("read", self.file_name, e))?;
        bytes.truncate(read);
        self.window_start = position;
        self.window = bytes.into();
        Ok(())
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("bounded by one window, which fits memory")
}
