//! What raft remembers: hard state, membership, entries since the newest snapshot, snapshots. Owns that memory and medium agree;
//! never what an entry means.
//!
//! Opening it tells these cases apart:
//!
//! | case | snapshots | log | what happens |
//! |---|---|---|---|
//! | `missing` | none | empty | refused when there is data that a new cluster would know nothing of |
//! | `founding` | none | empty | a snapshot at index 1 and term 1 is written: the cluster is founded |
//! | `resuming` | newest whole | continues it | it is used |
//! | `falling back` | newest damaged, an older one whole | continues the older one | the older one is used, with a warning |
//! | `unreachable` | none whole that the log continues | any | refused: what was agreed on cannot be known |
//! | `forgetful` | beyond index 1, or there is data | without a hard state | refused: this server could vote twice in one term |

use std::collections::VecDeque;

use liftbridge_commitlog::{LogError, Volume};
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use thiserror::Error;

use crate::cluster_state::ClusterState;
use crate::codec::{DecodeError, SnapshotContents, decode_snapshot, encode_snapshot};
use crate::log_index::LogIndex;
use crate::raft_log::{PersistError, RaftLog, RaftLogError, Replayed};
use crate::reserve::Reserve;
use crate::snapshot_store::{SnapshotReadError, SnapshotStore};

/// Where the raft log is on the volume, and the reserve with it.
const LOG_DIRECTORY: &str = "raft";
/// Where the snapshots are.
const SNAPSHOT_DIRECTORY: &str = "raft/snapshots";
/// The raft number of the server that founds a cluster.
pub(crate) const FOUNDER: u64 = 1;
/// The first log index holds no entry but the founding snapshot, so that whoever joins later is sent a snapshot with the
/// membership in it and never replays a membership change without one.
const FOUNDING_INDEX: LogIndex = LogIndex::new(1);
const FOUNDING_TERM: u64 = 1;

/// The metadata could not be opened.
#[derive(Debug, Error)]
pub enum OpenMetadataError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] LogError),
    /// The raft log could not be opened or read.
    #[error("raft log: {0}")]
    Log(#[from] RaftLogError),
    /// A snapshot could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotReadError),
    /// A snapshot or an entry with a good checksum makes no sense here.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is nothing, though there should be.
    #[error(
        "the directory `raft` is missing or empty though there is data; restore it from a backup, or move the data away"
    )]
    Missing,
    /// No whole snapshot is continued by the log.
    #[error(
        "what was agreed on cannot be read back: no whole snapshot in `raft/snapshots` is continued by the log in `raft`; \
         restore the directory `raft` from a backup"
    )]
    Unreachable,
    /// The latest vote is gone.
    #[error("the log in `raft` lost its hard state; restore the directory `raft` from a backup")]
    Forgetful,
    /// Raft refuses what was read, or could not commit what the log holds.
    #[error("raft: {reason}")]
    Raft {
        /// Why.
        reason: String,
    },
}

/// What raft remembers.
#[derive(Debug)]
pub(crate) struct RaftStorage {
    log: RaftLog,
    reserve: Reserve,
    snapshots: SnapshotStore,
    /// The entries after `snapshot_index`, contiguous.
    entries: VecDeque<Entry>,
    hard_state: HardState,
    membership: ConfState,
    snapshot_index: LogIndex,
    snapshot_term: u64,
}

/// A storage that was opened, and the state its newest usable snapshot holds.
#[derive(Debug)]
pub(crate) struct OpenedStorage {
    pub(crate) storage: RaftStorage,
    pub(crate) state: ClusterState,
    /// Whether the cluster was founded just now.
    pub(crate) founded: bool,
}

impl RaftStorage {
    /// Opens what is on the volume, or founds the cluster called `new_cluster_id` if it may be founded.
    pub(crate) fn open(
        volume: &dyn Volume,
        snapshot_retain: usize,
        new_cluster_id: Option<&String>,
    ) -> Result<OpenedStorage, OpenMetadataError> {
        let mut snapshots = SnapshotStore::open(volume.directory(SNAPSHOT_DIRECTORY), snapshot_retain)?;
        let (log, replayed) = RaftLog::open(volume.directory(LOG_DIRECTORY))?;
        let founded = snapshots.kept().is_empty() && log.is_empty();
        if founded {
            let cluster_id = new_cluster_id.ok_or(OpenMetadataError::Missing)?;
            let state = ClusterState::founded(cluster_id.clone());
            snapshots
                .write(FOUNDING_INDEX, &encode_snapshot(FOUNDING_INDEX, FOUNDING_TERM, &[FOUNDER], &[], &state))?;
        }
        let contents = newest_usable(&snapshots, &replayed)?;
        let hard_state = match replayed.hard_state {
            Some(state) => state,
            // Nothing was ever agreed on, which only a volume without data can bear out.
            None if contents.index == FOUNDING_INDEX && replayed.entries.is_empty() && new_cluster_id.is_some() => {
                HardState::default()
            }
            None => return Err(OpenMetadataError::Forgetful),
        };
        let entries = replayed.entries.into_iter().filter(|entry| entry.index > contents.index.get()).collect();
        let storage = Self {
            log,
            reserve: Reserve::open(volume.directory(LOG_DIRECTORY)),
            snapshots,
            entries,
            hard_state: not_behind(hard_state, &contents),
            membership: ConfState::from((contents.voters, contents.learners)),
            snapshot_index: contents.index,
            snapshot_term: contents.term,
        };
        Ok(OpenedStorage { storage, state: contents.state, founded })
    }

    /// The last entry the newest snapshot contains.
    pub(crate) fn snapshot_index(&self) -> LogIndex {
        self.snapshot_index
    }

    /// Stores entries and, if it changed, the hard state; durable on return. On a full disk it makes use of the reserve.
    pub(crate) fn persist(&mut self, entries: &[Entry], hard_state: Option<&HardState>) -> Result<(), PersistError> {
        if entries.is_empty() && hard_state.is_none() {
            return Ok(());
        }
        loop {
            match self.log.append(entries, hard_state) {
                Err(error) if error.is_disk_full() && self.reserve.give_up_slice() => {}
                appended => break appended?,
            }
        }
        if entries.iter().any(|entry| !entry.data.is_empty()) {
            // The first command of a life is the server's registration, with which it has started.
            self.reserve.keep_for_starts();
        }
        if let Some(first) = entries.first() {
            while self.entries.back().is_some_and(|last| last.index >= first.index) {
                self.entries.pop_back();
            }
            self.entries.extend(entries.iter().cloned());
        }
        if let Some(state) = hard_state {
            self.hard_state = state.clone();
        }
        Ok(())
    }

    /// Makes the reserve whole again, as far as there is room.
    pub(crate) fn replenish_reserve(&mut self) {
        self.reserve.replenish();
    }

    /// Notes how far is committed. It reaches the medium with the next entries: what is in the log is committed again after
    /// a restart.
    pub(crate) fn set_commit(&mut self, commit: u64) {
        self.hard_state.commit = commit;
    }

    /// The snapshot of `state`, which is the one after the entry at `index`.
    pub(crate) fn encode_snapshot(&self, index: LogIndex, term: u64, state: &ClusterState) -> Vec<u8> {
        encode_snapshot(index, term, &self.membership.voters, &self.membership.learners, state)
    }

    /// Writes a snapshot and lets go of what it makes superfluous: entries in memory, older snapshots, and log records
    /// that not even the oldest snapshot kept needs.
    pub(crate) fn install_snapshot(
        &mut self,
        index: LogIndex,
        term: u64,
        body: &[u8],
    ) -> Result<(), InstallSnapshotError> {
        self.snapshots.write(index, body)?;
        while self.entries.front().is_some_and(|entry| entry.index <= index.get()) {
            self.entries.pop_front();
        }
        self.snapshot_index = index;
        self.snapshot_term = term;
        if let Some(oldest) = self.snapshots.prune()? {
            self.log.compact(oldest.next().get(), &self.hard_state)?;
        }
        Ok(())
    }

    /// Leaves clean files behind, and how far is committed with them, so that the next start notices if anything is missing.
    pub(crate) fn close(&mut self) -> Result<(), PersistError> {
        self.log.append(&[], Some(&self.hard_state))?;
        Ok(self.log.close()?)
    }

    fn first(&self) -> u64 {
        self.snapshot_index.next().get()
    }

    fn last(&self) -> u64 {
        self.entries.back().map_or(self.snapshot_index.get(), |entry| entry.index)
    }

    fn position(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.first())?).ok()
    }
}

/// A snapshot could not be written, or what it made superfluous not be removed.
#[derive(Debug, Error)]
pub(crate) enum InstallSnapshotError {
    #[error(transparent)]
    Storage(#[from] LogError),
    #[error(transparent)]
    Log(#[from] PersistError),
}

impl Storage for RaftStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.membership.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.first() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let (Some(start), Some(end)) = (self.position(low), self.position(high)) else {
            return Err(raft::Error::Store(StorageError::Unavailable));
        };
        if start > end || end > self.entries.len() {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let mut entries: Vec<Entry> = self.entries.range(start..end).cloned().collect();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.snapshot_index.get() {
            return Ok(self.snapshot_term);
        }
        let Some(position) = self.position(index) else {
            return Err(raft::Error::Store(StorageError::Compacted));
        };
        self.entries.get(position).map(|entry| entry.term).ok_or(raft::Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let temporarily = || raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable);
        if request_index > self.snapshot_index.get() {
            return Err(temporarily());
        }
        let body = self.snapshots.read(self.snapshot_index).map_err(|_| temporarily())?;
        let mut snapshot = Snapshot::default();
        snapshot.set_data(body.into());
        let metadata = snapshot.mut_metadata();
        metadata.index = self.snapshot_index.get();
        metadata.term = self.snapshot_term;
        metadata.set_conf_state(self.membership.clone());
        Ok(snapshot)
    }
}

/// The newest snapshot that is whole and that the log continues. One with a good checksum that cannot be understood is no
/// damage: it is refused, not passed over.
fn newest_usable(snapshots: &SnapshotStore, replayed: &Replayed) -> Result<SnapshotContents, OpenMetadataError> {
    for index in snapshots.kept().iter().rev() {
        match snapshots.read(*index) {
            Ok(body) => {
                let contents = decode_snapshot(&body)?;
                return if is_continued(contents.index, replayed) {
                    Ok(contents)
                } else {
                    Err(OpenMetadataError::Unreachable)
                };
            }
            Err(SnapshotReadError::Damaged { file }) => {
                tracing::warn!(file, "metadata snapshot is damaged, trying the one before");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(OpenMetadataError::Unreachable)
}

/// Whether nothing is missing between the snapshot's last entry and the log, up to what is known to be committed.
fn is_continued(snapshot: LogIndex, replayed: &Replayed) -> bool {
    let commit = replayed.hard_state.as_ref().map_or(0, |state| state.commit);
    let last = replayed.entries.last().map_or(0, |entry| entry.index);
    let connected = match replayed.entries.first() {
        Some(first) => first.index <= snapshot.next().get(),
        None => true,
    };
    connected && commit <= last.max(snapshot.get())
}

/// The hard state reaches the medium later than the snapshot's entries may have been committed, never the other way round
/// in what they mean: whatever a snapshot contains is committed in its term at least.
fn not_behind(mut state: HardState, contents: &SnapshotContents) -> HardState {
    state.commit = state.commit.max(contents.index.get());
    if state.term < contents.term {
        state.term = contents.term;
        state.vote = 0;
    }
    state
}

#[cfg(test)]
mod tests;
