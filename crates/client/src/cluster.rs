//! What the client knows of the cluster, and how it reaches it.
//!
//! Owns brokers, streams and partitions as servers describe them, connections, and which broker is asked what. It never knows
//! what a call is for.

mod address;
mod connections;
mod metadata_cache;
mod routing;

use liftbridge_types::{Offset, PartitionId, Timestamp};

pub(crate) use address::Address;
pub(crate) use connections::{ApiClient, Connections};
pub(crate) use metadata_cache::MetadataCache;
pub(crate) use routing::{Read, Router};

/// A cluster as one of its brokers described it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterMetadata {
    /// The brokers that answered; one that is down is missing.
    pub brokers: Vec<BrokerInfo>,
    /// The streams asked for, ordered by name.
    pub streams: Vec<StreamInfo>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Its id.
    pub id: String,
    /// The host clients reach it at.
    pub host: String,
    /// The port clients reach it at.
    pub port: u16,
    /// How many partitions it keeps that are not paused.
    pub partition_count: u32,
    /// How many of them it leads.
    pub leader_count: u32,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub name: String,
    /// The subject it is attached to.
    pub subject: String,
    /// When it was created; `None` from servers that do not say.
    pub created_at: Option<Timestamp>,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionInfo>,
}

impl StreamInfo {
    /// The partition of this number.
    pub fn partition(&self, id: PartitionId) -> Option<&PartitionInfo> {
        self.partitions.iter().find(|partition| partition.id == id)
    }
}

/// A partition. Its offsets are those of the copy of the broker that answered, 0 where that broker has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its number.
    pub id: PartitionId,
    /// The broker that leads it; `None` while nobody does.
    pub leader: Option<String>,
    /// The brokers that keep it, ordered by id.
    pub replicas: Vec<String>,
    /// Those of them that have everything committed, ordered by id.
    pub isr: Vec<String>,
    /// The end of what is committed: the offset after the newest message that subscribers get.
    pub high_watermark: Offset,
    /// The end of what is written: the offset the next message gets.
    pub log_end: Offset,
    /// Whether it sleeps until the next publish.
    pub paused: bool,
    /// Whether it refuses publishes.
    pub readonly: bool,
    /// When messages came in.
    pub messages_received: EventTimes,
    /// When it was paused or woken.
    pub pause_changes: EventTimes,
    /// When it was made read-only or writable.
    pub readonly_changes: EventTimes,
}

/// The first and the latest time something happened; `None` = never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventTimes {
    /// The first time.
    pub first: Option<Timestamp>,
    /// The latest time.
    pub latest: Option<Timestamp>,
}
