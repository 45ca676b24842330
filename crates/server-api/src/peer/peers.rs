//! The broker's way to the other servers. Owns what each question of the broker is on the wire; never what is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_broker::{
    Command, Heartbeat, HeartbeatAnswer, Join, JoinAnswer, PartitionMessage, PeerCall, PeerError, PeerInbox, Peers,
    ProposeAnswer, Publish, PublishError, PublishReply, ReplicaMessageBody as Body,
};
use liftbridge_proto::v1;
use liftbridge_proto::v1::link_message::Message;
use liftbridge_types::BrokerId;
use tonic::{Request, Status};

use crate::peer::convert::{self, Malformed};
use crate::peer::dial::{DialError, PeerConnection};
use crate::peer::inbox::Inbox;
use crate::peer::links::Links;
use crate::peer::local::LocalPeer;
use crate::peer::outbox::Lane;

/// How long an answer is waited for where the broker does not say: joining takes an agreement, a sign of life does not.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(1);

/// The other servers, over links. Cheap to clone; every clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct LinkedPeers {
    pub(crate) local: Arc<LocalPeer>,
    pub(crate) inbox: Inbox,
    pub(crate) links: Arc<Links>,
}

impl LinkedPeers {
    fn connection(&self, to: &BrokerId) -> Result<Arc<PeerConnection>, PeerError> {
        let not_sent =
            || PeerError::NotSent { peer: to.as_str().to_owned(), reason: "there is no connection".to_owned() };
        self.links.connection(to).ok_or_else(not_sent)
    }
}

impl Peers for LinkedPeers {
    fn introduce(&self, id: &BrokerId, cluster_id: Option<&str>) {
        self.local.introduce(id.clone());
        if let Some(cluster_id) = cluster_id {
            self.local.belongs_to(cluster_id.to_owned());
        }
    }

    fn open(&self, inbox: Arc<dyn PeerInbox>) {
        self.inbox.open(inbox);
    }

    fn set_peers(&self, peers: &BTreeMap<BrokerId, String>) {
        self.links.set_peers(peers);
    }

    fn send_metadata(&self, to: &BrokerId, message: Bytes) {
        self.links.send(to, Lane::Raft, v1::LinkMessage { message: Some(Message::Raft(message)) });
    }

    fn send(&self, to: &BrokerId, message: PartitionMessage) {
        let lane = lane(&message.message.body);
        let wire = convert::wire_partition_message(message);
        self.links.send(to, lane, v1::LinkMessage { message: Some(Message::Replication(wire)) });
    }

    fn is_linked(&self, to: &BrokerId) -> bool {
        self.links.connection(to).is_some()
    }

    fn propose(&self, to: &BrokerId, command: Command, patience: Duration) -> PeerCall<'_, ProposeAnswer> {
        let connection = self.connection(to);
        Box::pin(async move {
            let connection = connection?;
            let mut client = connection.client.clone();
            let request = v1::ProposeRequest { command: command.encode().into() };
            let answered = client.propose(patient(request, patience));
            let answer = within(patience, connection.id.as_str(), answered).await?;
            Ok(convert::propose_answer(answer.into_inner()))
        })
    }

    fn join(&self, address: &str, request: Join) -> PeerCall<'_, JoinAnswer> {
        let address = address.to_owned();
        Box::pin(async move {
            let dialed = self.links.dialer.dial(&address, None).await;
            let not_sent = |error: DialError| PeerError::NotSent { peer: address.clone(), reason: error.to_string() };
            let mut client = dialed.map_err(not_sent)?.client;
            let answered = client.join(patient(convert::wire_join(request), JOIN_PATIENCE));
            let answer = within(JOIN_PATIENCE, &address, answered).await?;
            convert::join_answer(answer.into_inner()).map_err(|malformed| odd(&address, malformed))
        })
    }

    fn heartbeat(&self, to: &BrokerId, heartbeat: Heartbeat) -> PeerCall<'_, HeartbeatAnswer> {
        let connection = self.connection(to);
        Box::pin(async move {
            let connection = connection?;
            let mut client = connection.client.clone();
            let request = convert::wire_heartbeat(&heartbeat);
            let answered = client.heartbeat(patient(request, HEARTBEAT_PATIENCE));
            let answer = within(HEARTBEAT_PATIENCE, connection.id.as_str(), answered).await?;
            convert::heartbeat_answer(&answer.into_inner()).map_err(|malformed| odd(connection.id.as_str(), malformed))
        })
    }

    fn publish(&self, to: &BrokerId, request: Publish, reply: PublishReply) {
        match self.links.get(to) {
            Some(link) => link.forwarder.publish(request, reply),
            None => reply.answer(Err(PublishError::NotLeader)),
        }
    }
}

/// A follower's words go before a leader's batches; what either says keeps its order, because it is one of the two.
fn lane(body: &Body) -> Lane {
    match body {
        Body::Position { .. } | Body::Progress { .. } | Body::Fenced | Body::Damaged { .. } => Lane::Answers,
        Body::Begin | Body::EpochEnd { .. } | Body::Reset { .. } | Body::Append { .. } | Body::Repair { .. } => {
            Lane::Batches
        }
    }
}

/// A request that tells how long its answer is waited for.
fn patient<T>(message: T, patience: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(patience);
    request
}

/// The answer to a call that was sent, or at least handed to a connection: without one nobody can say what became of it.
async fn within<T>(
    patience: Duration,
    peer: &str,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, PeerError> {
    let unknown = |reason: String| PeerError::Unknown { peer: peer.to_owned(), reason };
    match tokio::time::timeout(patience, call).await {
        Ok(answered) => answered.map_err(|status| unknown(status.message().to_owned())),
        Err(_) => Err(unknown(format!("there was none within {patience:?}"))),
    }
}

fn odd(peer: &str, malformed: Malformed) -> PeerError {
    PeerError::Unknown { peer: peer.to_owned(), reason: malformed.to_string() }
}
