//! Raft's entries and hard state in a commit log. Owns how they become records and which records are still needed; never
//! what raft decides.
//!
//! The commit log's offsets count records, raft's indexes count entries. They differ, because hard states are records too and
//! because raft may take an entry back, which an append-only log does not:
//! - An entry takes the place of any earlier entry with its index, and of everything after that one. So a conflicting suffix is
//!   not cut off but overruled by what is appended, in one write, and a crash leaves either the old suffix or the new.
//! - A snapshot that came from another server takes the place of every entry. A record says so behind it.
//! - The latest hard state counts. It is repeated whenever older segments are about to go.
//! - Everything before the entry that follows the oldest snapshot kept may go: whole segments, by the log's retention.
//! - Damage in the middle takes away what stands before it: which entries it overruled is unknown. A snapshot has to cover
//!   that, and the hard state has to stand behind it, or the metadata does not start.
//! - Damage at the end, with no entry behind it, is never taken for "nothing was agreed on": the metadata does not start.
//!
//! Times and leader epochs of the commit log mean nothing here; raft's terms are in the entries.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use liftbridge_commitlog::{
    AppendError, BatchBuilder, BatchError, CommitLog, LogOptions, OpenError, ReadError, Record, RecordTooLarge,
    RetentionLimits, Shortage, Storage, SyncPolicy,
};
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};
use raft::eraftpb::{Entry, HardState};
use thiserror::Error;

use crate::codec::{DecodeError, RaftRecord, decode_record, encode_entry, encode_hard_state, encode_reset};
use crate::log_index::LogIndex;
use crate::raft_storage::REJOIN;

/// Size of a segment, and so the step in which old records go.
const SEGMENT_BYTES_MAX: u64 = 1024 * 1024;
/// Records are put into batches of about this size at most; a larger record has a batch of its own.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How much is read at once at start.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// The raft log could not be opened or read.
#[derive(Debug, Error)]
pub enum RaftLogError {
    /// The commit log could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The commit log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The newest records are damaged or gone, so that nobody can know what was agreed on last.
    #[error(
        "the newest records of `raft` are damaged or missing (records {start} to {end}), so what was agreed on last is \
         unknown; {REJOIN}"
    )]
    NewestDamaged {
        /// The first damaged record.
        start: Offset,
        /// The record after the last damaged one.
        end: Offset,
    },
    /// A batch with a good checksum is not made of records.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A record is not what it should be.
    #[error("record {offset}: {source}")]
    Record {
        /// Which record.
        offset: Offset,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// Entries or a hard state could not be stored.
#[derive(Debug, Error)]
pub(crate) enum PersistError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    TooLarge(#[from] RecordTooLarge),
}

impl PersistError {
    /// Whether nothing is broken but the medium is full, so that the same may succeed later.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.shortage() == Some(Shortage::Space)
    }

    /// What there was too little of, if nothing is broken and the same may succeed later.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        match self {
            Self::Append(AppendError::Storage(error)) => error.shortage(),
            Self::Append(_) | Self::TooLarge(_) => None,
        }
    }
}

/// What a log held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The entries that were not overruled, contiguous.
    pub(crate) entries: Vec<Entry>,
    /// The latest hard state.
    pub(crate) hard_state: Option<HardState>,
}

/// Where the records are that are still needed.
#[derive(Debug, Default)]
struct Positions {
    /// The offset of each entry, contiguous and ascending in index.
    entries: VecDeque<(u64, Offset)>,
    hard_state: Option<Offset>,
}

/// The durable side of raft's storage.
#[derive(Debug)]
pub(crate) struct RaftLog {
    log: CommitLog,
    builder: BatchBuilder,
    positions: Positions,
}

impl RaftLog {
    /// Opens the log and replays it.
    pub(crate) fn open(storage: Arc<dyn Storage>) -> Result<(Self, Replayed), RaftLogError> {
        let options = LogOptions {
            segment_bytes_max: SEGMENT_BYTES_MAX,
            tail_bytes_max: 0,
            sync: SyncPolicy::Commit,
            refuse_damaged_end: true,
            // Any sealed segment may go; which ones do is said each time by how far `clean` may go.
            retention: RetentionLimits { bytes: Some(1), ..RetentionLimits::default() },
            ..LogOptions::default()
        };
        let (log, report) = CommitLog::open(storage, options).map_err(|error| match error {
            OpenError::EndDamaged { start, end } => RaftLogError::NewestDamaged { start, end },
            other => RaftLogError::Open(other),
        })?;
        if !report.clean && log.log_end() > log.log_start() {
            tracing::info!(cut = report.bytes_cut, "metadata log was not closed cleanly and was recovered");
        }
        let mut opened = Self { log, builder: BatchBuilder::new(), positions: Positions::default() };
        let (replayed, damage_met) = opened.replay()?;
        let newest_damage = report.damaged.into_iter().chain(damage_met).max_by_key(|damaged| damaged.end);
        let first_entry = opened.positions.entries.front().map(|(_, offset)| *offset);
        match newest_damage {
            Some(Range { start, end }) if first_entry.is_none_or(|offset| offset < end) => {
                return Err(RaftLogError::NewestDamaged { start, end });
            }
            _ => {}
        }
        Ok((opened, replayed))
    }

    /// Whether it never held anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.log.log_end() == Offset::ZERO
    }

    /// Appends entries and then a hard state, durably. After an error the same may be tried again: what was written of it
    /// is overruled.
    pub(crate) fn append(&mut self, entries: &[Entry], hard_state: Option<&HardState>) -> Result<(), PersistError> {
        self.builder.clear();
        for entry in entries {
            let offset = self.push(&encode_entry(entry))?;
            self.positions.overrule(entry.index, offset);
        }
        if let Some(state) = hard_state {
            self.positions.hard_state = Some(self.push(&encode_hard_state(state))?);
        }
        self.write_batch()?;
        self.log.sync()?;
        Ok(())
    }

    /// Voids every entry, durably: a snapshot that was written already takes their place, and the next entry follows it.
    pub(crate) fn reset(&mut self, snapshot: LogIndex, hard_state: &HardState) -> Result<(), PersistError> {
        self.builder.clear();
        self.push(&encode_reset(snapshot))?;
        self.positions.entries.clear();
        self.positions.hard_state = Some(self.push(&encode_hard_state(hard_state))?);
        self.write_batch()?;
        self.log.sync()?;
        Ok(())
    }

    /// Lets go of what stands before the entry at `first_needed`, as far as whole segments hold nothing else.
    pub(crate) fn compact(&mut self, first_needed: u64, hard_state: &HardState) -> Result<(), PersistError> {
        self.append(&[], Some(hard_state))?;
        while self.positions.entries.front().is_some_and(|(index, _)| *index < first_needed) {
            self.positions.entries.pop_front();
        }
        let needed_from = self.positions.first_needed().unwrap_or(self.log.log_end());
        self.log.clean(Timestamp::EPOCH, needed_from)?;
        self.log.remove_released().map_err(AppendError::Storage)?;
        self.log.checkpoint(self.log.durable_end())?;
        Ok(())
    }

    /// Leaves clean files behind.
    pub(crate) fn close(&mut self) -> Result<(), AppendError> {
        self.log.park(self.log.durable_end())
    }

    /// Puts a record into the batch and says which offset it will have.
    fn push(&mut self, record: &[u8]) -> Result<Offset, PersistError> {
        if !self.builder.is_empty() && self.builder.bytes() + record.len() > BATCH_BYTES_MAX {
            self.write_batch()?;
        }
        let offset = self.log.log_end().plus(u64::from(self.builder.record_count()));
        self.builder.push(None, record, &[])?;
        Ok(offset)
    }

    fn write_batch(&mut self) -> Result<(), AppendError> {
        if !self.builder.is_empty() {
            self.log.append(&mut self.builder, LeaderEpoch::new(0), Timestamp::EPOCH)?;
        }
        Ok(())
    }

    /// What can be read, and the last damage that was met on the way.
    fn replay(&mut self) -> Result<(Replayed, Option<Range<Offset>>), RaftLogError> {
        let mut replayed = Replayed::default();
        let mut damage_met = None;
        let mut reader = self.log.view().reader(self.log.log_start());
        loop {
            match reader.read(self.log.log_end(), READ_BYTES_MAX) {
                Ok(batches) if batches.is_empty() => return Ok((replayed, damage_met)),
                Ok(batches) => {
                    for batch in &batches {
                        for record in batch.records() {
                            self.replay_record(&mut replayed, record?)?;
                        }
                    }
                }
                Err(ReadError::Damaged { offsets, file, file_position }) => {
                    let (start, end) = (offsets.start, offsets.end);
                    tracing::error!(%start, %end, file, file_position, "metadata log is damaged");
                    replayed = Replayed::default();
                    self.positions = Positions::default();
                    damage_met = Some(offsets);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn replay_record(&mut self, replayed: &mut Replayed, record: Record) -> Result<(), RaftLogError> {
        let Record { offset, value, .. } = record;
        match decode(value, offset)? {
            RaftRecord::HardState(state) => {
                replayed.hard_state = Some(state);
                self.positions.hard_state = Some(offset);
            }
            RaftRecord::Reset(_) => {
                self.positions.entries.clear();
                replayed.entries.clear();
            }
            RaftRecord::Entry(entry) => {
                self.positions.overrule(entry.index, offset);
                replayed.entries.truncate(self.positions.entries.len().saturating_sub(1));
                replayed.entries.push(entry);
            }
        }
        Ok(())
    }
}

impl Positions {
    /// Notes that the entry at `index` is now the record at `offset`, and that none follows it. What stands before a gap,
    /// which only damage or a segment that went can leave, is of no use any more.
    fn overrule(&mut self, index: u64, offset: Offset) {
        let contiguous = self.entries.back().is_some_and(|(last, _)| index <= last.saturating_add(1));
        if !contiguous {
            self.entries.clear();
        }
        while self.entries.back().is_some_and(|(last, _)| *last >= index) {
            self.entries.pop_back();
        }
        self.entries.push_back((index, offset));
    }

    /// The offset of the first record that is still needed.
    fn first_needed(&self) -> Option<Offset> {
        let entry = self.entries.front().map(|(_, offset)| *offset);
        entry.into_iter().chain(self.hard_state).min()
    }
}

fn decode(value: Bytes, offset: Offset) -> Result<RaftRecord, RaftLogError> {
    decode_record(value).map_err(|source| RaftLogError::Record { offset, source })
}

#[cfg(test)]
mod tests;
