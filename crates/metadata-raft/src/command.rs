//! What can be decided about the cluster. Owns the commands and their bounds; never how they travel or what they change.
//!
//! A command carries everything its effect depends on, the time included, because every server applies it on its own and
//! all must come to the same state.

use liftbridge_types::{BrokerId, PartitionId, SettingOverrides, StreamName, Subject, Timestamp};

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
