//! What can be decided about the cluster. Owns the commands and their bounds; never how they travel or what they change.
//!
//! A command carries everything its effect depends on, the time included, because every server applies it on its own and
//! all must come to the same state.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::time::Duration;

use liftbridge_types::{
    BrokerId, BrokerIncarnation, LeaderEpoch, PartitionEpoch, PartitionId, SettingOverrides, StreamId, StreamName,
    Subject, Timestamp,
};

use crate::node_id::{DirectoryId, RaftId};

/// The most partitions one stream may have.
pub const PARTITIONS_PER_STREAM_MAX: u32 = 10_000;

/// A decision to be agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A broker started.
    RegisterBroker(RegisterBroker),
    /// Make a stream and place its partitions.
    CreateStream(CreateStream),
    /// Forget a stream and its data.
    DeleteStream(DeleteStream),
    /// Close partitions until somebody needs them.
    PauseStream(PauseStream),
    /// Open paused partitions again.
    ResumeStream(ResumeStream),
    /// Make partitions read-only or writable.
    SetReadonly(SetReadonly),
    /// A broker is not heard of any more, or takes its leave.
    FenceBroker(BrokerLife),
    /// A broker is heard of again.
    UnfenceBroker(BrokerLife),
    /// Other replicas than before have everything committed.
    ChangeInSync(ChangeInSync),
    /// Another in-sync replica leads.
    MoveLeader(MoveLeader),
    /// A replica leads though it may not have everything committed, because nobody is left who has.
    ElectUnclean(ElectUnclean),
    /// A broker will never come back.
    RemoveBroker(RemoveBroker),
    /// Commands and formats up to this level may be used: every server understands them.
    SetFeatureLevel(u32),
}

impl Command {
    /// The feature level the cluster must have agreed on before this is used.
    pub fn feature_level(&self) -> u32 {
        match self {
            // It is how a level is reached, proposed only when every server understands it.
            Self::SetFeatureLevel(_) => 1,
            Self::RegisterBroker(_)
            | Self::CreateStream(_)
            | Self::DeleteStream(_)
            | Self::PauseStream(_)
            | Self::ResumeStream(_)
            | Self::SetReadonly(_) => 1,
            Self::FenceBroker(_)
            | Self::UnfenceBroker(_)
            | Self::ChangeInSync(_)
            | Self::MoveLeader(_)
            | Self::ElectUnclean(_)
            | Self::RemoveBroker(_) => 2,
        }
    }
}

/// A broker started, with a new incarnation: the index at which this is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker {
    /// Its id.
    pub id: BrokerId,
    /// The host clients reach it at.
    pub host: String,
    /// The port clients reach it at.
    pub port: u16,
    /// What a server of a cluster says besides; `None` from software of feature level 1, which knew no others.
    pub member: Option<Member>,
}

/// What a broker says about itself as one of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Raft's number for its data directory.
    pub raft_id: RaftId,
    /// Its data directory.
    pub directory: DirectoryId,
    /// Where other servers reach it; `None` when it listens to none.
    pub peer_address: Option<String>,
    /// The place it shares its fate with, if that is known.
    pub rack: Option<String>,
    /// The newest feature level it understands.
    pub feature_level: u32,
    /// Whether everything that it ever reported as durable is still there, but for what is `lost`.
    pub kept_log: bool,
    /// Fewest in-sync replicas that may commit in partitions it leads, where the stream does not say; `None` = a majority.
    pub in_sync_min: Option<NonZero<u32>>,
    /// How long it trusts an answer to a sign of life, at most [`SESSION_TIMEOUT_MAX`](crate::SESSION_TIMEOUT_MAX); `None` = as
    /// long as the controller is configured with.
    pub session_timeout: Option<Duration>,
    /// Partitions whose files were there once and are not there any more; at most [`LOST_PARTITIONS_MAX`].
    pub lost: BTreeSet<(StreamId, PartitionId)>,
}

/// The most partitions a broker names as lost. Whoever has lost more has kept nothing.
pub const LOST_PARTITIONS_MAX: usize = 10_000;

/// One life of a broker's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerLife {
    /// The broker.
    pub id: BrokerId,
    /// Which of its lives.
    pub incarnation: BrokerIncarnation,
}

/// Which partition is meant, in which life of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionName {
    /// The stream's name.
    pub stream: StreamName,
    /// The stream's id.
    pub stream_id: StreamId,
    /// The partition.
    pub partition: PartitionId,
}

/// Other replicas than before have everything committed: what a leader proposes, compared with what is agreed on and then
/// set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeInSync {
    /// The partition.
    pub partition: PartitionName,
    /// Which leadership proposes it.
    pub leader_epoch: LeaderEpoch,
    /// Which version of leader and in-sync replicas this follows.
    pub epoch: PartitionEpoch,
    /// The in-sync replicas from now on, with those of their lives that were seen to have everything.
    pub in_sync: Vec<BrokerLife>,
    /// Replicas that cannot read all they had, and so are not eligible either.
    pub damaged: Vec<BrokerId>,
}

/// Another in-sync replica leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveLeader {
    /// The partition.
    pub partition: PartitionName,
    /// Which version of leader and in-sync replicas this follows.
    pub epoch: PartitionEpoch,
    /// The leader from now on.
    pub to: BrokerId,
    /// Whether the leader so far leaves the in-sync replicas: it cannot store what comes next. Else it would be given the
    /// leadership back before it has said so to the new one.
    pub leaves: bool,
}

/// A replica leads though it may not have everything committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectUnclean {
    /// The partition, which nobody leads.
    pub partition: PartitionName,
    /// Who shall lead; `None` = any replica that is heard of.
    pub to: Option<BrokerId>,
}

/// A broker will never come back: others keep what it kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveBroker {
    /// The broker, which must be fenced.
    pub id: BrokerId,
    /// Whether it goes even if only it has everything committed of some partition, which loses that.
    pub forced: bool,
}

/// How many replicas each partition of a stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaCount {
    /// One on every broker.
    EveryBroker,
    /// This many.
    Exactly(u32),
}

/// Make a stream; its id is the index at which this is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateStream {
    /// Its name.
    pub name: StreamName,
    /// The subject it is attached to.
    pub subject: Subject,
    /// Its load-balance group, if it is in one.
    pub group: Option<String>,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas of each.
    pub replicas: ReplicaCount,
    /// Settings that differ from the server's.
    pub overrides: SettingOverrides,
    /// When it was asked for.
    pub at: Timestamp,
}

/// Forget a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteStream {
    /// Its name.
    pub name: StreamName,
}

/// Close partitions until somebody needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseStream {
    /// The stream.
    pub name: StreamName,
    /// Which partitions; empty = all.
    pub partitions: Vec<PartitionId>,
    /// Whether resuming one of them resumes every paused partition of the stream.
    pub resume_all: bool,
    /// When it was asked for.
    pub at: Timestamp,
}

/// Open paused partitions again. Those that are not paused stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeStream {
    /// The stream.
    pub name: StreamName,
    /// Which partitions are needed.
    pub partitions: Vec<PartitionId>,
    /// When it was asked for.
    pub at: Timestamp,
}

/// Make partitions read-only or writable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetReadonly {
    /// The stream.
    pub name: StreamName,
    /// Which partitions; empty = all.
    pub partitions: Vec<PartitionId>,
    /// Whether they become read-only.
    pub readonly: bool,
    /// When it was asked for.
    pub at: Timestamp,
}
