//! What other servers say, on its way into the broker. Owns the translation between their calls and the metadata's; never
//! how they travel or what is decided.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use liftbridge_metadata_raft as metadata;
use liftbridge_metadata_raft::{
    BrokerLife, CallReply, Command, DirectoryId, ProposalReply, ProposeError, Unanswered, Unavailable,
};
use liftbridge_types::BrokerId;
use tokio::sync::oneshot;

use crate::broker::Broker;
use crate::errors::PublishError;
use crate::node::Node;
use crate::peers::{
    Heartbeat, HeartbeatAnswer, Join, JoinAnswer, PartitionMessage, PeerAnswer, PeerInbox, ProposeAnswer,
};
use crate::publish_reply::PublishReply;
use crate::requests::Publish;

/// Where what other servers say goes.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Not owned: the links outlive the broker for a moment.
    node: Weak<Node>,
    namespace: String,
}

impl Inbox {
    pub(crate) fn new(node: &Arc<Node>, namespace: String) -> Arc<Self> {
        Arc::new(Self { node: Arc::downgrade(node), namespace })
    }
}

impl PeerInbox for Inbox {
    fn on_partition_message(&self, from: &BrokerId, message: PartitionMessage) {
        if let Some(node) = self.node.upgrade() {
            node.on_partition_message(from, message);
        }
    }

    fn on_metadata_message(&self, from: &BrokerId, message: Bytes) {
        if let Some(node) = self.node.upgrade() {
            node.metadata.receive(from.clone(), message);
        }
    }

    fn on_link(&self, peer: &BrokerId, is_up: bool) {
        if let Some(node) = self.node.upgrade() {
            node.on_link(peer, is_up);
        }
    }

    fn join(&self, request: Join) -> PeerAnswer<'_, JoinAnswer> {
        Box::pin(async move {
            let Join { broker_id, directory_id, peer_address, namespace, cluster_id, raft_id, feature_levels } =
                request;
            if namespace != self.namespace {
                let reason = format!("this is namespace `{}`: set `clustering.namespace` to it", self.namespace);
                return JoinAnswer::Refused { reason };
            }
            let directory = match DirectoryId::new(&directory_id) {
                Ok(directory) => directory,
                Err(error) => return JoinAnswer::Refused { reason: error.to_string() },
            };
            let raft_id = raft_id.and_then(metadata::RaftId::new);
            let broker = broker_id;
            let join = metadata::Join { broker, directory, peer_address, cluster_id, raft_id, feature_levels };
            let Some(node) = self.node.upgrade() else { return JoinAnswer::NoController };
            answered(|reply| node.metadata.join(join, reply)).await.into()
        })
    }

    fn heartbeat(&self, heartbeat: Heartbeat) -> PeerAnswer<'_, HeartbeatAnswer> {
        Box::pin(async move {
            let Some(node) = self.node.upgrade() else { return HeartbeatAnswer::NotController };
            hear(&node, heartbeat).await
        })
    }

    fn propose(&self, command: Command) -> PeerAnswer<'_, ProposeAnswer> {
        Box::pin(async move {
            let Some(node) = self.node.upgrade() else { return ProposeAnswer::NotController };
            let (sender, receiver) = oneshot::channel();
            node.metadata.propose(command, ProposalReply::new(move |outcome| drop(sender.send(outcome))));
            match receiver.await {
                Ok(Ok(index)) => ProposeAnswer::Agreed(index),
                Ok(Err(ProposeError::Rejected(rejection))) => ProposeAnswer::Rejected(rejection),
                Ok(Err(ProposeError::Unavailable(reason))) => match reason {
                    Unavailable::NotController { .. } => ProposeAnswer::NotController,
                    Unavailable::Busy | Unavailable::TooLarge { .. } | Unavailable::LogFailed { .. } => {
                        ProposeAnswer::Refused { reason: reason.to_string() }
                    }
                    Unavailable::LeadershipLost | Unavailable::Closed => ProposeAnswer::Unknown,
                },
                Err(_dropped) => ProposeAnswer::Unknown,
            }
        })
    }

    fn publish(&self, request: Publish, reply: PublishReply) -> PeerAnswer<'_, ()> {
        Box::pin(async move {
            match self.node.upgrade() {
                // Whoever forwards it has asked whether its client may.
                Some(node) => Broker { node }.publish_here(request, reply).await,
                None => reply.answer(Err(PublishError::ShuttingDown)),
            }
        })
    }
}

/// Has this server's metadata hear a broker.
pub(crate) async fn hear(node: &Node, heartbeat: Heartbeat) -> HeartbeatAnswer {
    let Heartbeat { broker_id: id, incarnation, applied } = heartbeat;
    let beat = metadata::Heartbeat { life: BrokerLife { id, incarnation }, applied };
    match answered(|reply| node.metadata.heartbeat(beat, reply)).await {
        metadata::HeartbeatAnswer::Alive => HeartbeatAnswer::Alive,
        metadata::HeartbeatAnswer::Fenced => HeartbeatAnswer::Fenced,
        metadata::HeartbeatAnswer::Superseded => HeartbeatAnswer::Superseded,
        metadata::HeartbeatAnswer::Removed => HeartbeatAnswer::Removed,
        metadata::HeartbeatAnswer::NotController => HeartbeatAnswer::NotController,
    }
}

impl From<metadata::JoinAnswer> for JoinAnswer {
    fn from(answer: metadata::JoinAnswer) -> Self {
        match answer {
            metadata::JoinAnswer::Admitted(admitted) => Self::Accepted {
                raft_id: admitted.raft_id.get(),
                cluster_id: admitted.cluster_id,
                peers: admitted.peers.into_iter().collect(),
            },
            metadata::JoinAnswer::Refused(refusal) => Self::Refused { reason: refusal.to_string() },
            metadata::JoinAnswer::Removed => Self::Removed,
            metadata::JoinAnswer::NotController(controller) => match controller.peer_address {
                Some(address) => Self::AskController { address },
                None => Self::NoController,
            },
            metadata::JoinAnswer::Later => Self::NoController,
        }
    }
}

/// Makes a call that answers through a reply, and waits for the answer.
async fn answered<T: Unanswered + Send + 'static>(call: impl FnOnce(CallReply<T>)) -> T {
    let (sender, receiver) = oneshot::channel();
    call(CallReply::new(move |answer| drop(sender.send(answer))));
    // The reply answers even when it is dropped.
    receiver.await.unwrap_or_else(|_| T::unanswered())
}
