//! The words that servers, network and checkers of a simulated cluster share: what is sent, what is told. Owns no behaviour.

use std::fmt;
use std::ops::Range;

use liftbridge_metadata_raft::{
    Applied, Command, Heartbeat, HeartbeatAnswer, Join, JoinAnswer, PartitionName, ProposalOutcome,
};
use liftbridge_replication::Message;
use liftbridge_types::{AckPolicy, BrokerId, BrokerIncarnation, LeaderEpoch, Offset, PartitionId, StreamId};

/// One partition of one life of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionKey {
    pub(super) stream: StreamId,
    pub(super) partition: PartitionId,
}

impl PartitionKey {
    /// The partition the metadata means.
    pub(super) fn of(name: &PartitionName) -> Self {
        Self { stream: name.stream_id, partition: name.partition }
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.partition)
    }
}

/// A server's number as its broker's id.
pub(super) fn broker(server: u64) -> BrokerId {
    BrokerId::new(&server.to_string()).expect("digits are a legal name")
}

/// The server that is this broker.
pub(super) fn server(broker: &BrokerId) -> u64 {
    broker.as_str().parse().expect("brokers are called by numbers here")
}

/// What one server sends another.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Raft(Vec<u8>),
    Partition(PartitionKey, Message),
    /// A call, answered with the same number.
    Call(u64, Call),
    Answer(u64, Answer),
}

/// What one server asks of another.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Propose(Command),
    Heartbeat(Heartbeat),
    Join(Join),
}

/// What it is told.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Proposed(ProposalOutcome),
    Heard(HeartbeatAnswer),
    Joined(JoinAnswer),
}

/// A message on its way into a partition.
#[derive(Clone, Debug)]
pub(super) struct Publish {
    pub(super) value: Vec<u8>,
    pub(super) ack_policy: AckPolicy,
    pub(super) expected_offset: Option<Offset>,
}

/// Which leadership, in which life of which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leadership {
    pub(super) epoch: LeaderEpoch,
    pub(super) server: u64,
    pub(super) incarnation: BrokerIncarnation,
}

/// What a server says, to others or to whoever watches. Nothing is said by a server whose power is off.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Packet {
        to: u64,
        packet: Packet,
    },
    /// To a publisher: stored as its policy wants, at this offset.
    Acked {
        partition: PartitionKey,
        leadership: Leadership,
        publish: Publish,
        offset: Offset,
    },
    /// To a publisher: not stored, or nobody knows.
    Refused,
    /// To readers: everything before this is committed.
    Committed {
        partition: PartitionKey,
        end: Offset,
        durable_end: Offset,
    },
    /// It takes the lead of a partition.
    Leads {
        partition: PartitionKey,
        leadership: Leadership,
    },
    /// A partition goes offline here.
    Offline {
        partition: PartitionKey,
        reason: String,
    },
    /// It cuts its log of a partition, which ended at `log.end`, to `log.start`.
    Cut {
        partition: PartitionKey,
        log: Range<Offset>,
    },
    /// It applied what was agreed on.
    Applied(Applied),
    /// To whoever asked for a change of the metadata.
    Decided {
        request: u64,
        outcome: ProposalOutcome,
    },
    /// It ends, because the cluster has no place for it.
    Expelled,
    /// It ends, because a later life of it is the present one.
    Superseded,
}
