//! What raft remembers: hard state, membership, entries since the newest snapshot, snapshots. Owns that memory and medium agree;
//! never what an entry means.
//!
//! Opening it tells these cases apart:
//!
//! | case | snapshots | log | what happens |
//! |---|---|---|---|
//! | `missing` | none | empty | refused when there is data that a new cluster would know nothing of |
//! | `founding` | none | empty | a snapshot at index 1 and term 1 is written: the cluster is founded |
//! | `joined` | none, and a number that a cluster gave | no entry | it begins with nothing, and is sent a snapshot |
//! | `resuming` | newest whole | continues it | it is used |
//! | `falling back` | newest damaged, an older one whole | continues the older one | the older one is used, with a warning |
//! | `sent` | newest whole, sent by another server | another entry at its index | the log is void, the snapshot is used |
//! | `unreachable` | none whole that the log continues | any | refused: what was agreed on cannot be known |
//! | `forgetful` | beyond index 1, or there is data | without a hard state | refused: this server could vote twice in one term |

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use liftbridge_commitlog::{LogError, Shortage, Volume};
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use thiserror::Error;

use crate::cluster_state::ClusterState;
use crate::codec::{DecodeError, JoinedMember, SnapshotContents, decode_snapshot, encode_snapshot};
use crate::framed_file::FramedReadError;
use crate::log_index::LogIndex;
use crate::member_file;
use crate::node_id::RaftId;
use crate::raft_log::{PersistError, RaftLog, RaftLogError, Replayed};
use crate::reserve::Reserve;
use crate::snapshot_store::SnapshotStore;

/// Where the raft log is on the volume, and the reserve with it.
pub(crate) const LOG_DIRECTORY: &str = "raft";
/// Where the snapshots are.
pub(crate) const SNAPSHOT_DIRECTORY: &str = "raft/snapshots";
/// The first log index holds no entry but the founding snapshot, so that whoever joins later is sent a snapshot with the
/// membership in it and never replays a membership change without one.
const FOUNDING_INDEX: LogIndex = LogIndex::new(1);
const FOUNDING_TERM: u64 = 1;
/// Before every entry: what a server has that joined and was sent nothing yet.
const NOTHING_YET: LogIndex = LogIndex::new(0);

/// The way out for one of several servers, whose peers have everything.
pub(crate) const REJOIN: &str = "where the server is one of several, run `liftbridge-admin cluster remove` for it and let it \
    join again with an empty data directory, never with an older copy of this one; where it is the only one, restore the \
    directory `raft` from a backup";

/// The metadata could not be opened.
#[derive(Debug, Error)]
pub enum OpenMetadataError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] LogError),
    /// The raft log could not be opened or read.
    #[error("raft log: {0}")]
    Log(#[from] RaftLogError),
    /// A snapshot or the file `raft/member` could not be read.
    #[error(transparent)]
    Snapshot(#[from] FramedReadError),
    /// A snapshot or an entry with a good checksum makes no sense here.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// What the cluster told this server when it let it in cannot be read.
    #[error("`raft/member`, which says as which member of its cluster this server takes part, is damaged; {REJOIN}")]
    Member,
    /// There is nothing, though there should be.
    #[error("the directory `raft` is missing or empty though there is data; {REJOIN}")]
    Missing,
    /// No whole snapshot is continued by the log.
    #[error(
        "what was agreed on cannot be read back: no whole snapshot in `raft/snapshots` is continued by the log in `raft`; \
         {REJOIN}"
    )]
    Unreachable,
    /// The latest vote is gone.
    #[error("the log in `raft` lost its hard state; {REJOIN}")]
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
    /// Who takes part as of the last entry that was applied.
    membership: ConfState,
    snapshot_index: LogIndex,
    snapshot_term: u64,
    /// Who took part as of the newest snapshot.
    snapshot_membership: ConfState,
    /// Raft's number for this server.
    raft_id: RaftId,
    /// A newer snapshot than the one on the medium, for servers that do not take part in that one yet.
    for_others: Option<Snapshot>,
    /// Whether somebody needs a newer snapshot than there is.
    newer_wanted: AtomicBool,
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
        let (mut log, replayed) = RaftLog::open(volume.directory(LOG_DIRECTORY))?;
        let joined = member_file::load(&*volume.directory(LOG_DIRECTORY))?;
        let founded = joined.is_none() && snapshots.kept().is_empty() && log.is_empty();
        if founded {
            let cluster_id = new_cluster_id.ok_or(OpenMetadataError::Missing)?;
            let state = ClusterState::founded(cluster_id.clone());
            let founder = [RaftId::FOUNDER.get()];
            snapshots.write(FOUNDING_INDEX, &encode_snapshot(FOUNDING_INDEX, FOUNDING_TERM, &founder, &[], &state))?;
        }
        let contents = match &joined {
            Some(member) if snapshots.kept().is_empty() => nothing_yet(member, &replayed)?,
            _ => newest_usable(&snapshots, &replayed)?,
        };
        let has_nothing = contents.index == NOTHING_YET;
        let hard_state = match replayed.hard_state {
            Some(state) => state,
            // Nothing was ever agreed on, which only a volume without data can bear out.
            None if contents.index == FOUNDING_INDEX && replayed.entries.is_empty() && new_cluster_id.is_some() => {
                HardState::default()
            }
            // A vote of this number was never asked for.
            None if has_nothing && log.is_empty() => HardState::default(),
            None => return Err(OpenMetadataError::Forgetful),
        };
        let hard_state = not_behind(hard_state, &contents);
        let is_void = is_void(&replayed.entries, &contents);
        if is_void {
            let finished = log.reset(contents.index, &hard_state);
            finished.map_err(|error| OpenMetadataError::Raft { reason: error.to_string() })?;
        }
        let followers = replayed.entries.into_iter().filter(|entry| !is_void && entry.index > contents.index.get());
        let entries = followers.collect();
        let membership = ConfState::from((contents.voters.clone(), contents.learners.clone()));
        let storage = Self {
            log,
            reserve: Reserve::open(volume.directory(LOG_DIRECTORY)),
            snapshots,
            entries,
            hard_state,
            snapshot_membership: membership.clone(),
            membership,
            snapshot_index: contents.index,
            snapshot_term: contents.term,
            raft_id: joined.map_or(RaftId::FOUNDER, |member| member.raft_id),
            for_others: None,
            newer_wanted: AtomicBool::new(false),
        };
        Ok(OpenedStorage { storage, state: contents.state, founded })
    }

    /// Raft's number for this server.
    pub(crate) fn raft_id(&self) -> RaftId {
        self.raft_id
    }

    /// Who takes part as of the last entry that was applied.
    pub(crate) fn membership(&self) -> &ConfState {
        &self.membership
    }

    /// Notes who takes part from now on.
    pub(crate) fn set_membership(&mut self, membership: ConfState) {
        self.membership = membership;
    }

    /// Whether somebody has asked for a newer snapshot than there is, since this was asked last.
    pub(crate) fn take_newer_wanted(&mut self) -> bool {
        std::mem::take(self.newer_wanted.get_mut())
    }

    /// Keeps a snapshot for others: the state after the entry at `index`, which was applied last.
    pub(crate) fn offer(&mut self, index: LogIndex, term: u64, state: &ClusterState) {
        let body = self.encode_snapshot(index, term, state);
        self.for_others = Some(raft_snapshot(index, term, &self.membership, body));
    }

    /// Takes in a snapshot that another server sent: durable on return, with the hard state that goes with it.
    ///
    /// The vote comes first, and as far committed as before; then the snapshot; then the word that the log is void. What a
    /// crash leaves in between is told apart when the log is opened (`sent`).
    pub(crate) fn take_in(&mut self, snapshot: &Snapshot, hard_state: &HardState) -> Result<(), InstallSnapshotError> {
        let metadata = snapshot.get_metadata();
        let index = LogIndex::new(metadata.index);
        let vote = HardState { commit: self.hard_state.commit, ..hard_state.clone() };
        self.persist(&[], Some(&vote))?;
        self.snapshots.write(index, &snapshot.data)?;
        let hard_state = HardState { commit: metadata.index, ..vote };
        self.log.reset(index, &hard_state)?;
        self.hard_state = hard_state;
        self.entries.clear();
        (self.snapshot_index, self.snapshot_term) = (index, metadata.term);
        self.snapshot_membership = metadata.get_conf_state().clone();
        self.membership = self.snapshot_membership.clone();
        self.for_others = None;
        self.snapshots.prune()?;
        Ok(())
    }

    /// The last entry the newest snapshot contains.
    pub(crate) fn snapshot_index(&self) -> LogIndex {
        self.snapshot_index
    }

    /// Stores entries and, if it changed, the hard state; durable on return. On a full disk it makes use of the reserve.
    ///
    /// How far is committed is noted only as far as there are entries here: a follower may know of more than it has stored, and
    /// a log that ends before what it calls committed would be taken for damaged.
    pub(crate) fn persist(&mut self, entries: &[Entry], hard_state: Option<&HardState>) -> Result<(), PersistError> {
        if entries.is_empty() && hard_state.is_none() {
            return Ok(());
        }
        let last = entries.last().map_or(self.last(), |entry| entry.index);
        let hard_state = hard_state.map(|state| HardState { commit: state.commit.min(last), ..state.clone() });
        loop {
            match self.log.append(entries, hard_state.as_ref()) {
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
            self.hard_state = state;
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
        membership: ConfState,
        body: &[u8],
    ) -> Result<(), InstallSnapshotError> {
        self.snapshots.write(index, body)?;
        while self.entries.front().is_some_and(|entry| entry.index <= index.get()) {
            self.entries.pop_front();
        }
        self.snapshot_index = index;
        self.snapshot_term = term;
        self.snapshot_membership = membership;
        self.for_others = None;
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

impl InstallSnapshotError {
    /// What there was too little of, if nothing is broken and the same may succeed later.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        match self {
            Self::Storage(error) => error.shortage(),
            Self::Log(error) => error.shortage(),
        }
    }
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

    /// The newest snapshot that `to` takes part in: a server ignores one that it does not occur in.
    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let takes_part = |membership: &ConfState| membership.voters.contains(&to) || membership.learners.contains(&to);
        if let Some(offered) = &self.for_others {
            let metadata = offered.get_metadata();
            if metadata.index >= request_index && takes_part(metadata.get_conf_state()) {
                return Ok(offered.clone());
            }
        }
        if request_index <= self.snapshot_index.get() && takes_part(&self.snapshot_membership) {
            let read = self.snapshots.read(self.snapshot_index);
            let snapshot =
                |body| raft_snapshot(self.snapshot_index, self.snapshot_term, &self.snapshot_membership, body);
            if let Ok(body) = read {
                return Ok(snapshot(body));
            }
        }
        self.newer_wanted.store(true, Ordering::Relaxed);
        Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

fn raft_snapshot(index: LogIndex, term: u64, membership: &ConfState, body: Vec<u8>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.set_data(body.into());
    let metadata = snapshot.mut_metadata();
    (metadata.index, metadata.term) = (index.get(), term);
    metadata.set_conf_state(membership.clone());
    snapshot
}

/// What a directory holds that joined a cluster and was sent nothing yet.
fn nothing_yet(member: &JoinedMember, replayed: &Replayed) -> Result<SnapshotContents, OpenMetadataError> {
    if !replayed.entries.is_empty() {
        return Err(OpenMetadataError::Unreachable);
    }
    let state = ClusterState { digest: None, ..ClusterState::founded(member.cluster_id.clone()) };
    Ok(SnapshotContents { index: NOTHING_YET, term: 0, voters: Vec::new(), learners: Vec::new(), state })
}

/// Whether the log has another entry at the snapshot's index: then the snapshot was sent by another server to take the log's
/// place, and a crash came before the log was said to be void.
fn is_void(entries: &[Entry], snapshot: &SnapshotContents) -> bool {
    entries.iter().any(|entry| entry.index == snapshot.index.get() && entry.term != snapshot.term)
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
            Err(FramedReadError::Damaged { file }) => {
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
