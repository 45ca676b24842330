//! What can be asked of the broker and what it answers, in the domain's words. Owns the requests; never a wire format.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::Record;
use liftbridge_types::{
    AckPolicy, BrokerId, Message, Offset, PartitionId, SettingOverrides, StreamName, Subject, Timestamp,
};

/// How many replicas a stream is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationFactor {
    /// One on every broker of the cluster.
    Max,
    /// This many; a request for 0 has already become 1 at the edge.
    Count(u32),
}

/// Create a stream.
#[derive(Clone, Debug)]
pub struct CreateStream {
    /// Its name.
    pub name: StreamName,
    /// The subject it is attached to; wildcards are legal.
    pub subject: Subject,
    /// Streams with the same group share the messages that reach more than one of them; `None` gets all.
    pub group: Option<String>,
    /// How many partitions, at least 1.
    pub partitions: u32,
    /// How many replicas of each.
    pub replication_factor: ReplicationFactor,
    /// Settings that differ from the server's.
    pub overrides: SettingOverrides,
}

/// Delete a stream. The name may be any text: one that cannot exist is simply not found.
#[derive(Clone, Debug)]
pub struct DeleteStream {
    /// Its name.
    pub name: String,
}

/// Pause partitions: their files are closed until somebody publishes to them or subscribes with `resume`.
#[derive(Clone, Debug)]
pub struct PauseStream {
    /// The stream's name.
    pub name: String,
    /// Which partitions, as the API numbers them; empty = all.
    pub partitions: Vec<i32>,
    /// Whether resuming one of them resumes every paused partition of the stream.
    pub resume_all: bool,
}

/// Make partitions read-only or writable.
#[derive(Clone, Debug)]
pub struct SetStreamReadonly {
    /// The stream's name.
    pub name: String,
    /// Which partitions, as the API numbers them; empty = all.
    pub partitions: Vec<i32>,
    /// Whether they become read-only.
    pub readonly: bool,
}

/// Store one message in one partition.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The stream's name.
    pub stream: Arc<str>,
    /// The partition, as the API numbers it.
    pub partition: i32,
    /// What to store.
    pub message: Message,
    /// The literal subject it was published to, when it was and that is not the partition's own.
    pub arrived_on: Option<Subject>,
    /// What to wait for.
    pub ack_policy: AckPolicy,
    /// The offset the message must get on a stream with optimistic concurrency control; -1 = any. Other streams ignore it.
    pub expected_offset: i64,
}

/// Store one message in every partition whose subject matches.
#[derive(Clone, Debug)]
pub struct PublishToSubject {
    /// The literal subject it is published on.
    pub subject: String,
    /// What to store.
    pub message: Message,
    /// What to wait for.
    pub ack_policy: AckPolicy,
}

/// Which partition a record went to or came from, shared by everything said about it.
#[derive(Debug, PartialEq, Eq)]
pub struct PartitionRoute {
    /// The stream's name.
    pub stream: StreamName,
    /// The partition within it.
    pub partition: PartitionId,
    /// The stream's subject, without the partition's suffix.
    pub stream_subject: Subject,
    /// The subject the partition itself listens on (`<subject>` or `<subject>.<partition>`).
    pub partition_subject: Subject,
}

/// A message was stored to the degree its policy asked for.
#[derive(Clone, Debug)]
pub struct Acked {
    /// Where it went.
    pub route: Arc<PartitionRoute>,
    /// Its offset.
    pub offset: Offset,
    /// The time it was stored under.
    pub received_at: Timestamp,
    /// The time this acknowledgement was given.
    pub acked_at: Timestamp,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPosition {
    /// After the newest record.
    NewOnly,
    /// At this offset; a negative one means 0.
    Offset(i64),
    /// At the oldest record.
    Earliest,
    /// At the newest record.
    Latest,
    /// At the first record stored at or after this time.
    Timestamp(Timestamp),
}

/// Where a subscription ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopPosition {
    /// When the subscriber leaves.
    OnCancel,
    /// After this offset; -1 = when the subscriber leaves.
    Offset(i64),
    /// After the newest record there is at subscribe time.
    Latest,
    /// After the last record stored at or before this time.
    Timestamp(Timestamp),
}

/// Read one partition.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// The stream's name.
    pub stream: String,
    /// The partition, as the API numbers it.
    pub partition: i32,
    /// Where to begin.
    pub start: StartPosition,
    /// Where to end.
    pub stop: StopPosition,
    /// Newest to oldest.
    pub reverse: bool,
    /// Whether a paused partition is resumed first.
    pub resume: bool,
    /// Whether any in-sync replica may serve it, not only the leader.
    pub read_isr_replica: bool,
}

/// Records of one partition on their way to a subscriber, in delivery order, never empty.
pub type Delivery = Vec<Record>;

/// What is known of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerDescription {
    /// Its id.
    pub id: BrokerId,
    /// The host clients reach it at.
    pub host: String,
    /// The port clients reach it at.
    pub port: u16,
    /// How many unpaused partitions it keeps.
    pub partition_count: u32,
    /// How many of them it leads.
    pub leader_count: u32,
}

/// The first and the latest time something happened to a partition; `None` = never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventTimes {
    /// The first time.
    pub first: Option<Timestamp>,
    /// The latest time.
    pub latest: Option<Timestamp>,
}

/// What is known of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub id: PartitionId,
    /// The broker that leads it; `None` while nobody does.
    pub leader: Option<BrokerId>,
    /// The brokers that keep it.
    pub replicas: Vec<BrokerId>,
    /// Those of them that have everything committed.
    pub isr: Vec<BrokerId>,
    /// The end of what is committed; `None` when this broker has no copy.
    pub high_watermark: Option<Offset>,
    /// The end of what is written; `None` when this broker has no copy.
    pub log_end: Option<Offset>,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it refuses publishes.
    pub readonly: bool,
    /// When messages were received.
    pub messages_received: EventTimes,
    /// When it was paused or resumed.
    pub pause_changes: EventTimes,
    /// When it was made read-only or writable.
    pub readonly_changes: EventTimes,
}

/// What is known of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub name: StreamName,
    /// Its subject.
    pub subject: Subject,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// How the broker is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Refuse new work, finish what was accepted within this time, leave clean files behind.
    Graceful(Duration),
    /// Stop now; recovery sorts it out.
    Fast,
}
