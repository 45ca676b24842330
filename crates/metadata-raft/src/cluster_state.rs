//! What the cluster has agreed on, as a pure state machine. Owns what there is and that a command means the same everywhere
//! (what each means is in `apply`, by noun); never orders commands, stores them or carries them out.
//!
//! Invariant: the state after a command depends on the state before it, the command and its index, and nothing else: no
//! clock, randomness or unordered iteration. Each server applies the same log and comes to the same state.

use crate::cluster_event::ClusterEvent;
use crate::command::Command;
use crate::digest::Digest;
use crate::log_index::LogIndex;
use crate::rejection::Rejection;
use crate::state::{Brokers, Nodes, Streams};

/// The newest feature level this software understands. A state at a higher one was written by a newer version.
///
/// Level 1 is a cluster of one server. Level 2 has several: members, fencing, in-sync sets that change.
pub const FEATURE_LEVEL: u32 = 2;

/// Everything agreed on up to one index of the metadata log.
///
/// Invariants:
/// - A partition's leader is one of its in-sync replicas, which are some of its replicas, which are brokers.
/// - A leader is not fenced. Of several in-sync replicas none is; the last one may be.
/// - Eligible replicas are replicas and not in sync; where enough are in sync under a leader there are none.
/// - A leader epoch belongs to one leader of its partition for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterState {
    pub(crate) cluster_id: String,
    /// Of everything that led here; `None` where software that knew no digests took a snapshot on the way.
    pub(crate) digest: Option<Digest>,
    pub(crate) feature_level: u32,
    pub(crate) nodes: Nodes,
    pub(crate) brokers: Brokers,
    pub(crate) streams: Streams,
}

impl ClusterState {
    /// The state of a cluster that was just founded.
    pub fn founded(cluster_id: String) -> Self {
        Self {
            digest: Some(Digest::founded(&cluster_id)),
            cluster_id,
            feature_level: FEATURE_LEVEL,
            nodes: Nodes::default(),
            brokers: Brokers::default(),
            streams: Streams::default(),
        }
    }

    /// A state put together again from its parts; the brokers' loads are counted anew.
    pub(crate) fn restored(
        cluster_id: String,
        digest: Option<Digest>,
        feature_level: u32,
        nodes: Nodes,
        mut brokers: Brokers,
        streams: Streams,
    ) -> Self {
        for partition in streams.iter().flat_map(|stream| &stream.partitions).filter(|partition| !partition.paused) {
            brokers.count_open(partition);
        }
        Self { cluster_id, digest, feature_level, nodes, brokers, streams }
    }

    /// Which cluster this is.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The commands the cluster has agreed to use: raised once every server understands more.
    pub fn feature_level(&self) -> u32 {
        self.feature_level
    }

    /// The servers that take part in the agreement.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The brokers.
    pub fn brokers(&self) -> &Brokers {
        &self.brokers
    }

    /// The streams.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Takes the bytes that stand at `index` into the digest, whatever becomes of what they say.
    pub(crate) fn digest(&mut self, index: LogIndex, bytes: &[u8]) {
        self.digest = self.digest.map(|digest| digest.then(index, bytes));
    }

    /// Applies the command that stands at `index`.
    ///
    /// # Errors
    /// When what it presupposes is not so; then nothing has changed.
    pub fn apply(&mut self, index: LogIndex, command: Command) -> Result<Vec<ClusterEvent>, Rejection> {
        let (needed, agreed) = (command.feature_level(), self.feature_level);
        if needed > agreed {
            return Err(Rejection::FeatureLevel { needed, agreed });
        }
        match command {
            Command::RegisterBroker(command) => self.register_broker(index, command),
            Command::CreateStream(command) => self.create_stream(index, command),
            Command::DeleteStream(command) => self.delete_stream(&command),
            Command::PauseStream(command) => self.pause_stream(command),
            Command::ResumeStream(command) => self.resume_stream(command),
            Command::SetReadonly(command) => self.set_readonly(command),
            Command::FenceBroker(life) => self.fence_broker(index, life),
            Command::UnfenceBroker(life) => self.unfence_broker(index, life),
            Command::ChangeInSync(command) => self.change_in_sync(index, command),
            Command::MoveLeader(command) => self.move_leader(index, command),
            Command::ElectUnclean(command) => self.elect_unclean(index, &command),
            Command::RemoveBroker(command) => self.remove_broker(index, command),
            Command::SetFeatureLevel(level) => self.set_feature_level(level),
        }
    }
}

#[cfg(test)]
mod tests;
