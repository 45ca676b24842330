//! Where what other servers say goes, once there is a broker to take it. Owns what they are told before; never what the
//! broker does.

use std::fmt;
use std::sync::{Arc, OnceLock};

use liftbridge_broker::{HeartbeatAnswer, JoinAnswer, PeerInbox, ProposeAnswer, Publish, PublishError, PublishReply};
use liftbridge_proto::v1;
use liftbridge_types::BrokerId;
use metrics::counter;
use tracing::debug;

use crate::metrics::PEER_MESSAGES_MALFORMED;
use crate::peer::convert::{self, Malformed};
use crate::peer::pairs::LinkEvent;

/// The broker's inbox, as far as it is open. Cheap to clone; every clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<OnceLock<Arc<dyn PeerInbox>>>);

impl Inbox {
    /// From now on what comes in goes there. What was opened first stays open.
    pub(crate) fn open(&self, inbox: Arc<dyn PeerInbox>) {
        self.0.get_or_init(|| inbox);
    }

    /// A message on a link. One that nobody takes, or that makes no sense, is lost like any that the network loses.
    pub(crate) fn on_message(&self, from: &BrokerId, message: v1::LinkMessage) {
        use v1::link_message::Message;
        let Some(inbox) = self.0.get() else { return };
        let malformed = match message.message {
            Some(Message::Raft(bytes)) => return inbox.on_metadata_message(from, bytes),
            Some(Message::Replication(message)) => match convert::partition_message(message) {
                Ok(message) => return inbox.on_partition_message(from, message),
                Err(malformed) => malformed,
            },
            None => Malformed { field: "message" },
        };
        counter!(PEER_MESSAGES_MALFORMED).increment(1);
        debug!(%from, %malformed, "a message of another server makes no sense");
    }

    /// Whether messages get through.
    pub(crate) fn on_link(&self, peer: &BrokerId, event: LinkEvent) {
        if let Some(inbox) = self.0.get() {
            inbox.on_link(peer, event == LinkEvent::Up);
        }
    }

    /// A server asks to be let in.
    pub(crate) async fn join(&self, from: &BrokerId, request: v1::JoinRequest) -> v1::JoinAnswer {
        let answer = match (self.0.get(), convert::join(from, request)) {
            (None, _) => JoinAnswer::Starting,
            (Some(inbox), Ok(join)) => inbox.join(join).await,
            (Some(_), Err(malformed)) => JoinAnswer::Refused { reason: malformed.to_string() },
        };
        convert::wire_join_answer(answer)
    }

    /// A broker gives a sign of life.
    pub(crate) async fn heartbeat(&self, from: &BrokerId, request: &v1::HeartbeatRequest) -> v1::HeartbeatAnswer {
        let answer = match (self.0.get(), convert::heartbeat(from, request)) {
            (Some(inbox), Ok(heartbeat)) => inbox.heartbeat(heartbeat).await,
            (None, _) | (_, Err(_)) => HeartbeatAnswer::NotController,
        };
        convert::wire_heartbeat_answer(answer)
    }

    /// Another server has something proposed.
    pub(crate) async fn propose(&self, request: v1::ProposeRequest) -> v1::ProposeAnswer {
        let answer = match (self.0.get(), liftbridge_broker::Command::decode(&request.command)) {
            (None, _) => ProposeAnswer::NotController,
            (Some(inbox), Ok(command)) => inbox.propose(command).await,
            (Some(_), Err(error)) => ProposeAnswer::Refused { reason: error.to_string() },
        };
        convert::wire_propose_answer(answer)
    }

    /// Another server hands a message over.
    pub(crate) async fn publish(&self, request: Publish, reply: PublishReply) {
        match self.0.get() {
            Some(inbox) => inbox.publish(request, reply).await,
            None => reply.answer(Err(PublishError::NotLeader)),
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("open", &self.0.get().is_some()).finish()
    }
}
