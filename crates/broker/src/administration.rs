//! What people who run a cluster can ask of the broker, and what they are told. Owns the words; never a wire format.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use liftbridge_replication::Wait;
use liftbridge_types::{BrokerId, BrokerIncarnation, LeaderEpoch, Offset, PartitionEpoch, PartitionId, StreamName};

/// Take a server out of the cluster. The id may be any text: one that cannot exist is simply not found.
#[derive(Clone, Debug)]
pub struct RemoveMember {
    /// Its id.
    pub id: String,
    /// Whether it goes even if it alone has everything committed of some partitions.
    pub forced: bool,
}

/// Which of the partitions in trouble are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TroubledPage {
    /// How many come before the first that is wanted.
    pub skipped: usize,
    /// How many are wanted at most.
    pub count_max: usize,
}

/// The cluster, as this broker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Which cluster it is.
    pub cluster_id: String,
    /// The commands and formats every member may use.
    pub feature_level: u32,
    /// This broker.
    pub answered_by: BrokerId,
    /// The member that decides, if this broker knows one.
    pub controller: Option<BrokerId>,
    /// Whether this broker has not heard from the controller for a session timeout.
    pub is_cut_off: bool,
    /// The members, by id.
    pub members: Vec<MemberDescription>,
    /// How many partitions are how.
    pub counts: PartitionCounts,
    /// The wanted ones of those in trouble, the worst first.
    pub troubled: Vec<TroubledPartition>,
    /// What is wrong with what this broker itself keeps.
    pub storage: StorageTroubles,
}

/// What is wrong with what one broker keeps, which only it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageTroubles {
    /// Why its metadata log failed: nothing can be agreed on through it until it is restarted.
    pub metadata_failure: Option<String>,
    /// How many partitions it keeps in which nothing can be stored.
    pub offline_count: usize,
    /// How many partitions it keeps of which some offsets are known to be unreadable.
    pub damaged_count: usize,
    /// The wanted ones of these, offline ones first.
    pub replicas: Vec<TroubledReplica>,
}

/// A partition as one broker keeps it, and what is wrong with that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubledReplica {
    /// Its stream.
    pub stream: StreamName,
    /// Its number.
    pub partition: PartitionId,
    /// What is wrong.
    pub storage: ReplicaStorage,
}

/// How a partition's files are where they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaStorage {
    /// Why nothing can be stored; `None` when that is not so.
    pub offline: Option<String>,
    /// Offsets known to be unreadable, ascending; of many ranges the first.
    pub damaged: Vec<Range<Offset>>,
    /// How many ranges there are.
    pub damaged_range_count: usize,
}

/// A server of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub id: BrokerId,
    /// How it is.
    pub state: MemberState,
    /// Whether its vote on metadata counts.
    pub is_voter: bool,
    /// Where other servers reach it, if it listens to any.
    pub peer_address: Option<String>,
    /// What it said when it registered; `None` when it has not.
    pub registration: Option<MemberRegistration>,
}

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It is heard of.
    Live,
    /// It is not heard of, or not for long enough: it leads nothing.
    Fenced,
    /// It was let in, and has not registered yet.
    Joining,
    /// It was removed, and takes part for a moment more.
    Leaving,
}

/// What a member said when it registered, and what it has got since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRegistration {
    /// The host clients reach it at.
    pub host: String,
    /// The port clients reach it at.
    pub port: u16,
    /// The place it shares its fate with, if that is known.
    pub rack: Option<String>,
    /// Which life of its process the cluster knows.
    pub incarnation: BrokerIncarnation,
    /// The newest feature level it understands.
    pub feature_level_max: u32,
    /// How many unpaused partitions it keeps.
    pub hosted_count: u32,
    /// How many of them it leads.
    pub led_count: u32,
}

/// How many partitions of the cluster are how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionCounts {
    /// Streams.
    pub streams: usize,
    /// Partitions of all of them.
    pub partitions: usize,
    /// Those that are paused.
    pub paused: usize,
    /// Those that refuse publishes.
    pub readonly: usize,
    /// Those that nobody leads.
    pub leaderless: usize,
    /// Those that refuse messages under `ALL`, or would with one in-sync replica less.
    pub at_minimum: usize,
    /// Those with fewer in-sync replicas than replicas.
    pub under_replicated: usize,
}

/// What is wrong with a partition, as far as the cluster has agreed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionTrouble {
    /// Nobody leads it.
    pub is_leaderless: bool,
    /// Messages under `ALL` are refused, or would be with one in-sync replica less though there are more replicas than that takes.
    pub is_at_minimum: bool,
    /// Fewer replicas are in sync than there are.
    pub is_under_replicated: bool,
}

/// A partition in trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubledPartition {
    /// Its stream.
    pub stream: StreamName,
    /// Its number.
    pub partition: PartitionId,
    /// What is wrong.
    pub trouble: PartitionTrouble,
    /// Who leads it.
    pub leader: Option<BrokerId>,
    /// Who keeps it.
    pub replicas: Vec<BrokerId>,
    /// Who of them has everything committed.
    pub in_sync: Vec<BrokerId>,
    /// How many in-sync replicas a message under `ALL` needs.
    pub in_sync_min: usize,
}

/// A partition, and why it commits or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionExplanation {
    /// Its stream.
    pub stream: StreamName,
    /// Its number.
    pub partition: PartitionId,
    /// This broker.
    pub answered_by: BrokerId,
    /// Who leads it.
    pub leader: Option<BrokerId>,
    /// Which leadership that is.
    pub leader_epoch: LeaderEpoch,
    /// Which version of leader and in-sync replicas is agreed on.
    pub epoch: PartitionEpoch,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it refuses publishes.
    pub readonly: bool,
    /// How many in-sync replicas a message under `ALL` needs.
    pub in_sync_min: usize,
    /// Its replicas, in order of preference.
    pub replicas: Vec<ExplainedReplica>,
    /// The leader's log, where the leader answers.
    pub log: Option<ExplainedLog>,
    /// How this broker's own files of it are; nothing is wrong with those it does not keep.
    pub storage: ReplicaStorage,
    /// What committing waits for.
    pub obstacles: Vec<Obstacle>,
}

/// One replica of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedReplica {
    /// The broker.
    pub id: BrokerId,
    /// Whether it has everything committed, as agreed on.
    pub is_in_sync: bool,
    /// Whether it is in an in-sync set that was asked for and is not answered.
    pub is_proposed: bool,
    /// Whether it is out of sync, and known to have everything committed.
    pub is_eligible: bool,
    /// Whether the cluster does not hear of it.
    pub is_fenced: bool,
    /// The end of what it has on stable storage, if its leader knows.
    pub durable_end: Option<Offset>,
    /// What its leader knows of it besides; `None` for the leader itself.
    pub following: Option<ExplainedFollower>,
}

/// What a leader knows of a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainedFollower {
    /// How long it has not had everything the leader has.
    pub behind_for: Duration,
    /// How long nothing was heard from it; `None` = nothing in this leadership.
    pub silent_for: Option<Duration>,
    /// Whether there is a link to it.
    pub is_linked: bool,
    /// Whether it said that what it has is damaged.
    pub is_damaged: bool,
    /// Whether it said that its disk is full.
    pub is_full: bool,
}

/// The log of a partition's leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainedLog {
    /// The oldest offset that is kept.
    pub log_start: Offset,
    /// The end of what is committed.
    pub high_watermark: Offset,
    /// The end of what is written.
    pub log_end: Offset,
}

/// What committing waits for, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Nobody leads the partition; these have everything committed.
    NoLeader {
        /// The replicas that may lead it, in sync or eligible, none of which is heard of.
        electable: Vec<BrokerId>,
    },
    /// It is paused.
    Paused,
    /// Its storage failed where it is led.
    Offline {
        /// What the storage said.
        reason: String,
    },
    /// Its leader was told to lead it, and has not begun.
    NotBegun,
    /// Its leader's worker has not come to an answer.
    Busy,
    /// What its leader says.
    Leader(Wait),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeader { electable } if electable.is_empty() => {
                write!(f, "nobody leads it, and no replica is known to have everything that was committed")
            }
            Self::NoLeader { electable } => {
                let names: Vec<&str> = electable.iter().map(BrokerId::as_str).collect();
                write!(
                    f,
                    "nobody leads it: bring back `{}`, which has everything that was committed",
                    names.join("` or `")
                )
            }
            Self::Paused => write!(f, "it is paused: the next publish to it opens it again"),
            Self::Offline { reason } => {
                write!(f, "its files failed at the leader, until that server is restarted: {reason}")
            }
            Self::NotBegun => write!(f, "its leader has been told to lead it and is about to begin"),
            Self::Busy => write!(f, "its leader is busy writing: the disk of that server is slow or stuck"),
            Self::Leader(wait) => write!(f, "{wait}"),
        }
    }
}
