//! Why the broker says no: one enum per operation. Owns the reasons; the edge turns them into status codes and texts.

use liftbridge_metadata_raft::Rejection;
use liftbridge_types::{BrokerId, Offset, PartitionId};
use thiserror::Error;

/// The agreed metadata could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetadataUnavailable {
    /// No controller is known yet; try again.
    #[error("no known metadata leader")]
    NoLeader,
    /// The metadata log refuses writes (for example its disk failed); restart the server after mending it.
    #[error("metadata log failed: {reason}")]
    LogFailed {
        /// What the storage said.
        reason: String,
    },
    /// The change is larger than one entry of the metadata log may be. No request that the edge lets in is.
    #[error("metadata change has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The server is stopping.
    #[error("server is shutting down")]
    ShuttingDown,
}

/// A stream could not be created.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CreateStreamError {
    /// Its name belongs to the server.
    #[error("Stream is reserved")]
    Reserved,
    /// A stream needs at least one partition.
    #[error("no partitions provided")]
    NoPartitions,
    /// More partitions than one stream may have.
    #[error("stream has {partitions} partitions, the limit is {limit}")]
    TooManyPartitions {
        /// How many were asked for.
        partitions: u32,
        /// The limit.
        limit: u32,
    },
    /// Fewer than one replica.
    #[error("Invalid replicationFactor {factor}")]
    NoReplicas {
        /// What was asked for.
        factor: i64,
    },
    /// More replicas than brokers.
    #[error("Invalid replicationFactor {factor}, cluster size {brokers}")]
    TooManyReplicas {
        /// What was asked for.
        factor: u32,
        /// How many brokers there are.
        brokers: u32,
    },
    /// The name is taken.
    #[error("stream already exists")]
    Exists,
    /// The stream asks for something this server cannot do yet.
    #[error("`{setting}` is not supported by this server yet")]
    Unsupported {
        /// The API's name of the setting.
        setting: &'static str,
    },
    /// The change was not agreed on.
    #[error("Failed to replicate partition: {0}")]
    Metadata(MetadataUnavailable),
}

/// An operation on existing partitions (delete, pause, read-only) was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeStreamError {
    /// Its name belongs to the server.
    #[error("Stream is reserved")]
    Reserved,
    /// No such stream, and every partition of it was meant.
    #[error("stream not found")]
    NotFoundForAll,
    /// No such stream.
    #[error("stream does not exist")]
    StreamNotFound,
    /// No such partition.
    #[error("partition does not exist")]
    PartitionNotFound,
    /// The change was not agreed on. The edge puts the operation's own prefix before it.
    #[error("{0}")]
    Metadata(MetadataUnavailable),
}

/// A message was not stored, or nobody can say whether it was; then the text ends with "it may have been stored", by which
/// clients know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The request named no stream.
    #[error("no stream provided")]
    NoStream,
    /// No such stream.
    #[error("no such stream: {stream}")]
    StreamNotFound {
        /// The name asked for.
        stream: String,
    },
    /// No such partition.
    #[error("no such partition: {partition}")]
    PartitionNotFound {
        /// The number asked for.
        partition: i32,
    },
    /// A subject to publish on must be literal and legal.
    #[error("Subject is invalid")]
    InvalidSubject,
    /// The partition refuses publishes.
    #[error("readonly partition: {partition}")]
    Readonly {
        /// Which one.
        partition: PartitionId,
    },
    /// A stream with optimistic concurrency control has to answer, so a policy that wants no answer makes no sense.
    #[error("stream with concurrency control must have AckPolicy set")]
    AckPolicyRequired,
    /// Resuming the paused partition failed.
    #[error("failed to resume stream: {0}")]
    Resume(MetadataUnavailable),
    /// The offset the publisher expected is not the one the message would get.
    #[error("incorrect expected offset")]
    IncorrectOffset {
        /// What it expected.
        expected: i64,
        /// What the message would have got.
        next: Offset,
    },
    /// The message is larger than a message may be.
    #[error("message exceeds max replication size")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A header's name or the number of headers cannot be stored.
    #[error("message has {headers} headers, the limit is {limit}")]
    TooManyHeaders {
        /// How many it has.
        headers: usize,
        /// The limit.
        limit: usize,
    },
    /// The disk is full. Reads go on; publishing works again when there is space.
    #[error("disk is full: free space on the volume of the data directory, then publish again")]
    DiskFull,
    /// No file can be opened. What is open goes on; publishing works again when files or connections were closed.
    #[error("no more files can be opened: raise the limit of open files or close connections, then publish again")]
    FilesExhausted,
    /// The partition is offline after a storage fault, until the server restarts; the text says which. The message was not stored.
    #[error("partition is offline: {reason}")]
    Offline {
        /// What the storage said.
        reason: String,
    },
    /// Fewer replicas are in sync than a message under `ALL` needs. One under `LEADER` would be stored.
    #[error("{in_sync_count} replicas are in sync, `ALL` needs {minimum}: publish again when there are more")]
    TooFewInSync {
        /// How many are.
        in_sync_count: usize,
        /// How many it takes.
        minimum: usize,
    },
    /// More is waiting to be stored than the server takes in; slow down and try again.
    #[error("server is overloaded: {waiting_bytes} bytes are waiting to be stored")]
    Overloaded {
        /// How much waits.
        waiting_bytes: usize,
    },
    /// This broker does not lead the partition, and forwarding is not possible.
    #[error("Server not partition leader")]
    NotLeader,
    /// Another broker leads, or nobody: whether what was pending stays is for the next leader to say.
    #[error("the partition's leadership moved before the message was acknowledged: it may have been stored")]
    LeadershipMoved,
    /// The partition was deleted or paused, or whoever was to answer is gone: whether the message was stored is unknown.
    #[error("partition was closed before the message was acknowledged: it may have been stored")]
    Closed,
    /// The partition went offline after a storage fault while the message was being stored: whether it was is unknown.
    #[error("partition went offline before the message was acknowledged, {reason}: it may have been stored")]
    WentOffline {
        /// What the storage said.
        reason: String,
    },
    /// The server stopped while the message was being stored: whether it was, or stays, is unknown.
    #[error("server shut down before the message was acknowledged: it may have been stored")]
    Stopped,
    /// The server is stopping, and the message was not stored.
    #[error("server is shutting down")]
    ShuttingDown,
}

/// A subscription was not begun.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// No such stream or partition.
    #[error("No such partition")]
    NotFound,
    /// Another broker leads the partition.
    #[error("Server not partition leader")]
    NotLeader,
    /// The partition is paused and the request does not resume it.
    #[error("commit log was closed")]
    Paused,
    /// Resuming the paused partition failed.
    #[error("Failed to resume stream: {0}")]
    Resume(MetadataUnavailable),
    /// The start timestamp or stop timestamp could not be looked up.
    #[error("Failed to lookup offset for timestamp: {reason}")]
    TimestampLookup {
        /// What went wrong.
        reason: String,
    },
    /// The stop timestamp is before the first record.
    #[error("Failed to lookup offset for timestamp: timestamp is before the beginning of the log")]
    BeforeBeginning,
    /// `STOP_LATEST` on a partition without records.
    #[error("Stream is empty")]
    Empty,
    /// The subscription would end before it begins.
    #[error("Stop offset is before start offset: {stop} < {start}")]
    StopBeforeStart {
        /// Where it would end.
        stop: i64,
        /// Where it would begin.
        start: i64,
    },
    /// The same for one that runs from newest to oldest.
    #[error("Stop offset is after start offset of a reverse subscription: {stop} > {start}")]
    StopAfterStart {
        /// Where it would end.
        stop: i64,
        /// Where it would begin.
        start: i64,
    },
    /// A reverse subscription would end at an offset that no record can have. No stop at all is -1.
    #[error("Stop offset is before the beginning of the log: {stop}")]
    StopNegative {
        /// Where it would end.
        stop: i64,
    },
    /// More subscriptions than the server holds at once.
    #[error("server has {limit} subscriptions already")]
    TooManySubscriptions {
        /// The limit.
        limit: usize,
    },
    /// The partition's files cannot be read.
    #[error("Failed to create stream reader: {reason}")]
    Reader {
        /// What the storage said.
        reason: String,
    },
    /// The server is stopping.
    #[error("server is shutting down")]
    ShuttingDown,
}

/// Why a running subscription ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubscriptionEnd {
    /// The last record asked for was delivered, or for a reverse one the oldest.
    #[error("Stop offset reached")]
    StopReached,
    /// Everything committed was read and nothing can follow.
    #[error("End of readonly partition")]
    ReadonlyEnd,
    /// The stream is gone.
    #[error("commit log was deleted")]
    Deleted,
    /// The partition was paused.
    #[error("commit log was closed")]
    Paused,
    /// Stored bytes do not match their checksum. Everything else still serves; subscribe again as `go_on` says.
    #[error(
        "data loss in stream `{stream}` partition {partition}: offsets {start} to {last} are damaged on disk; {go_on}"
    )]
    DataLoss {
        /// The stream.
        stream: String,
        /// The partition.
        partition: PartitionId,
        /// The first damaged offset.
        start: Offset,
        /// The last damaged offset.
        last: Offset,
        /// How to read what lies behind the damage.
        go_on: GoOn,
    },
    /// The partition's files could not be read.
    #[error("failed to read the log: {reason}")]
    Storage {
        /// What the storage said.
        reason: String,
    },
    /// The server is stopping.
    #[error("server is shutting down")]
    ShuttingDown,
}

/// How a subscription goes on that met damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GoOn {
    /// The first offset above the damage.
    #[error("subscribe from offset {0} to go on")]
    Upward(Offset),
    /// The first offset below it.
    #[error("subscribe in reverse from offset {0} to go on")]
    Downward(Offset),
    /// What the subscription asked for has nothing below the damage.
    #[error("nothing is left to read below them")]
    Nowhere,
}

/// A member was not removed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RemoveMemberError {
    /// No such member.
    #[error("no member `{id}`")]
    NotFound {
        /// The id asked for.
        id: String,
    },
    /// The cluster decided against it.
    #[error(transparent)]
    Refused(Rejection),
    /// The change was not agreed on.
    #[error("{0}")]
    Metadata(MetadataUnavailable),
}

/// A partition could not be explained.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExplainError {
    /// No such stream or partition.
    #[error("partition not found")]
    NotFound,
    /// Another broker leads it.
    #[error("partition is led by `{leader}`{}: ask there", at(address.as_deref()))]
    NotLeader {
        /// Which one.
        leader: BrokerId,
        /// Where clients reach it, if that is known.
        address: Option<String>,
    },
}

fn at(address: Option<&str>) -> String {
    address.map(|address| format!(" at {address}")).unwrap_or_default()
}

/// A partition could not be described.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DescribeError {
    /// No such stream or partition.
    #[error("partition not found")]
    NotFound,
    /// This broker does not lead it.
    #[error("The request should be sent to partition leader")]
    NotLeader,
}
