//! The agreed state as readers and raft's thread share it. Owns that state and index go together; never what either means.

use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};

use crate::cluster_state::ClusterState;
use crate::log_index::LogIndex;

/// A state and the last entry it contains.
#[derive(Debug)]
struct Agreed {
    state: ClusterState,
    index: LogIndex,
}

/// The state everybody reads and only raft's thread changes.
#[derive(Debug)]
pub(crate) struct AgreedState(RwLock<Agreed>);

impl AgreedState {
    /// The state that contains everything up to `index`.
    pub(crate) fn new(state: ClusterState, index: LogIndex) -> Self {
        Self(RwLock::new(Agreed { state, index }))
    }

    /// The state. Nothing is applied while the answer is held.
    pub(crate) fn read(&self) -> MappedRwLockReadGuard<'_, ClusterState> {
        RwLockReadGuard::map(self.0.read(), |agreed| &agreed.state)
    }

    /// What `look` finds in the state, and the last entry that state contains.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&ClusterState) -> T) -> (LogIndex, T) {
        let agreed = self.0.read();
        (agreed.index, look(&agreed.state))
    }

    /// Changes the state by what stands at `index`, but for its digest.
    pub(crate) fn change<T>(&self, index: LogIndex, change: impl FnOnce(&mut ClusterState) -> T) -> T {
        let mut agreed = self.0.write();
        agreed.index = index;
        change(&mut agreed.state)
    }
}
