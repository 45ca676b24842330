//! One partition as the cluster agreed on it. Owns its agreed facts; never its data or how far a replica is.

use std::sync::Arc;

use liftbridge_types::{BrokerId, LeaderEpoch, PartitionEpoch, Timestamp};

/// The first and the latest time of something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeTimes {
    /// The first time.
    pub first: Timestamp,
    /// The latest time.
    pub latest: Timestamp,
}

impl ChangeTimes {
    /// The times once it has happened again at `at`.
    pub(crate) fn noting(earlier: Option<Self>, at: Timestamp) -> Option<Self> {
        Some(Self { first: earlier.map_or(at, |times| times.first), latest: at })
    }
}

/// What is agreed about one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The broker that leads it; `None` while nobody can.
    pub leader: Option<BrokerId>,
    /// The brokers that keep it.
    pub replicas: Arc<[BrokerId]>,
    /// Those of them that decide what is committed, and so have everything that is.
    pub isr: Arc<[BrokerId]>,
    /// The others that have everything committed: since they left, too few are in sync for anything to be committed, or
    /// nobody leads (eligible leader replicas, Kafka KIP-966). They may lead.
    pub eligible: Arc<[BrokerId]>,
    /// Which leadership this is.
    pub leader_epoch: LeaderEpoch,
    /// Which version of leader and in-sync replicas this is.
    pub epoch: PartitionEpoch,
    /// Whether it is closed until somebody needs it.
    pub paused: bool,
    /// Whether it refuses publishes.
    pub readonly: bool,
    /// When it was paused or resumed; `None` = never.
    pub pause_changes: Option<ChangeTimes>,
    /// When it was made read-only or writable; `None` = never.
    pub readonly_changes: Option<ChangeTimes>,
}
