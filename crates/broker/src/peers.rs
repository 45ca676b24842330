//! The way to the other servers of the cluster, as this broker wants it. Owns the questions and answers; never sockets or
//! how a message is encoded: whoever implements [`Peers`] knows these.
//!
//! What comes in from others enters the broker through the [`PeerInbox`] it opens.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_metadata_raft::{Command, LogIndex, Rejection};
use liftbridge_replication::Message;
use liftbridge_types::{BrokerId, BrokerIncarnation, PartitionId, StreamId};
use thiserror::Error;

use crate::errors::PublishError;
use crate::publish_reply::PublishReply;
use crate::requests::Publish;

/// The answer to a call of another server, some time. Dropping it is always safe: what was asked may happen all the same.
pub type PeerCall<'a, T> = Pin<Box<dyn Future<Output = Result<T, PeerError>> + Send + 'a>>;

/// What this broker answers to a call of another server, some time. Dropped when the caller waits no longer.
pub type PeerAnswer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A message between the leader and a follower of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMessage {
    /// The stream, in this life of its name.
    pub stream: StreamId,
    /// The partition.
    pub partition: PartitionId,
    /// What is said.
    pub message: Message,
}

/// A call did not come to an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerError {
    /// It was not sent: asking again does no harm.
    #[error("cannot reach `{peer}`: {reason}")]
    NotSent {
        /// Whom it was for: a broker or an address.
        peer: String,
        /// Why not.
        reason: String,
    },
    /// It was sent, and nobody can say what became of it.
    #[error("no answer from `{peer}`: {reason}")]
    Unknown {
        /// Whom it was for: a broker or an address.
        peer: String,
        /// Why there is no answer.
        reason: String,
    },
}

/// A server asks to be let into the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its id.
    pub broker_id: BrokerId,
    /// Its data directory.
    pub directory_id: String,
    /// Where the others reach it.
    pub peer_address: String,
    /// Its namespace, which must be that of the cluster.
    pub namespace: String,
    /// The cluster it belongs to, if it knows.
    pub cluster_id: Option<String>,
    /// Its number in the metadata's raft group, if a cluster gave it one.
    pub raft_id: Option<u64>,
    /// The feature levels it understands.
    pub feature_levels: RangeInclusive<u32>,
}

/// What a server is told that asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinAnswer {
    /// It is a member.
    Accepted {
        /// Its number in the metadata's raft group.
        raft_id: u64,
        /// The cluster.
        cluster_id: String,
        /// The other members that can be reached, and where.
        peers: BTreeMap<BrokerId, String>,
    },
    /// It is not let in: why, and what to do.
    Refused {
        /// The reason.
        reason: String,
    },
    /// It was a member, and was removed.
    Removed,
    /// Another server decides: ask there.
    AskController {
        /// Where.
        address: String,
    },
    /// Nobody decides at the moment: ask again later.
    NoController,
    /// Whoever was asked is no member itself: it starts.
    Starting,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Whose.
    pub broker_id: BrokerId,
    /// Which of its lives.
    pub incarnation: BrokerIncarnation,
    /// How much of the metadata it has carried out.
    pub applied: LogIndex,
}

/// What a controller says to a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAnswer {
    /// The session goes on, for its timeout from when this sign of life was given.
    Alive,
    /// It is heard, but fenced: it leads nothing until it is not.
    Fenced,
    /// There is a later life of this broker.
    Superseded,
    /// It is no member any more.
    Removed,
    /// Whoever was asked is not the controller.
    NotController,
}

/// What became of a command that another server proposed for this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposeAnswer {
    /// It is agreed on, at this index.
    Agreed(LogIndex),
    /// It is agreed that it cannot be carried out.
    Rejected(Rejection),
    /// Whoever was asked is not the controller; nothing was proposed.
    NotController,
    /// Nothing was proposed, for want of room or of a majority.
    Refused {
        /// The reason.
        reason: String,
    },
    /// It was proposed, and nobody can say what became of it.
    Unknown,
}

/// The other servers.
///
/// Nothing here waits but the calls that return a future. A link to a peer comes up and goes down by itself; each change is
/// told to the broker through [`PeerInbox::on_link`].
pub trait Peers: fmt::Debug + Send + Sync + 'static {
    /// Says who this broker is, and which cluster it belongs to as soon as it belongs to one. Nobody is called and nobody is
    /// answered before. What was said first stays.
    fn introduce(&self, id: &BrokerId, cluster_id: Option<&str>);

    /// From now on what other servers say goes to `inbox`. Before, they are told to ask again.
    fn open(&self, inbox: Arc<dyn PeerInbox>);

    /// From now on these are the other servers, each at its address: links to them are begun, moved and ended as it takes.
    fn set_peers(&self, peers: &BTreeMap<BrokerId, String>);

    /// Sends a message of the metadata's raft group, ahead of any other. It may be lost.
    fn send_metadata(&self, to: &BrokerId, message: Bytes);

    /// Sends a message. It may be lost, and more so if the peer is slow or its link is down: whoever needs to know asks again.
    /// Messages of one partition to one peer that arrive do so in the order they were sent.
    fn send(&self, to: &BrokerId, message: PartitionMessage);

    /// Whether there is a link to the peer.
    fn is_linked(&self, to: &BrokerId) -> bool;

    /// Has the metadata's controller `to` propose a command.
    fn propose(&self, to: &BrokerId, command: Command, patience: Duration) -> PeerCall<'_, ProposeAnswer>;

    /// Asks the server at `address` to be let into the cluster.
    fn join(&self, address: &str, request: Join) -> PeerCall<'_, JoinAnswer>;

    /// Gives the controller `to` a sign of life.
    fn heartbeat(&self, to: &BrokerId, heartbeat: Heartbeat) -> PeerCall<'_, HeartbeatAnswer>;

    /// Hands a message to the broker that leads its partition. Whoever cannot be reached refuses with `NotLeader`.
    fn publish(&self, to: &BrokerId, request: Publish, reply: PublishReply);
}

/// Where what other servers say goes. They have proven who they are.
pub trait PeerInbox: Send + Sync + 'static {
    /// A message about a partition. Must not wait for anything.
    fn on_partition_message(&self, from: &BrokerId, message: PartitionMessage);

    /// A message of the metadata's raft group. Must not wait for anything.
    fn on_metadata_message(&self, from: &BrokerId, message: Bytes);

    /// From now on messages get through to and from a peer (what was said before may be lost), or they do not. The two
    /// alternate. Must not wait for anything.
    fn on_link(&self, peer: &BrokerId, is_up: bool);

    /// A server asks to be let into the cluster.
    fn join(&self, request: Join) -> PeerAnswer<'_, JoinAnswer>;

    /// A broker gives a sign of life.
    fn heartbeat(&self, heartbeat: Heartbeat) -> PeerAnswer<'_, HeartbeatAnswer>;

    /// Another server has a command proposed.
    fn propose(&self, command: Command) -> PeerAnswer<'_, ProposeAnswer>;

    /// Another server hands over a message for a partition that is led here, and never on to a third. Waits only while
    /// nothing is let in.
    fn publish(&self, request: Publish, reply: PublishReply) -> PeerAnswer<'_, ()>;
}

/// No other servers: a cluster of one.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

impl NoPeers {
    fn unreachable<T: Send + 'static>(peer: &str) -> PeerCall<'static, T> {
        let error = PeerError::NotSent { peer: peer.to_owned(), reason: "this server has no peers".to_owned() };
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Peers for NoPeers {
    fn introduce(&self, _id: &BrokerId, _cluster_id: Option<&str>) {}

    fn open(&self, _inbox: Arc<dyn PeerInbox>) {}

    fn set_peers(&self, _peers: &BTreeMap<BrokerId, String>) {}

    fn send_metadata(&self, _to: &BrokerId, _message: Bytes) {}

    fn send(&self, _to: &BrokerId, _message: PartitionMessage) {}

    fn is_linked(&self, _to: &BrokerId) -> bool {
        false
    }

    fn propose(&self, to: &BrokerId, _command: Command, _patience: Duration) -> PeerCall<'_, ProposeAnswer> {
        Self::unreachable(to.as_str())
    }

    fn join(&self, address: &str, _request: Join) -> PeerCall<'_, JoinAnswer> {
        Self::unreachable(address)
    }

    fn heartbeat(&self, to: &BrokerId, _heartbeat: Heartbeat) -> PeerCall<'_, HeartbeatAnswer> {
        Self::unreachable(to.as_str())
    }

    fn publish(&self, _to: &BrokerId, _request: Publish, reply: PublishReply) {
        reply.answer(Err(PublishError::NotLeader));
    }
}
