//! Servers of a cluster in this process, on real sockets, whose handlers only note down what they get.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_broker::{
    Command, Heartbeat, HeartbeatAnswer, Join, JoinAnswer, PartitionMessage, PeerAnswer, PeerInbox, Peers,
    ProposeAnswer, Publish, PublishError, PublishReply, Rejection,
};
use liftbridge_proto::v1;
use liftbridge_types::BrokerId;
use tokio::sync::{Mutex, mpsc};

use crate::peer::convert;
use crate::peer::outbox::Lane;
use crate::peer::pairs::LinkEvent;
use crate::peer::peers::LinkedPeers;
use crate::peer::{ClusterSecret, PeerConfig, PeerNetwork, PeerTls};

/// Longer than anything in a test takes, shorter than a test's author waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits what must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

pub(crate) fn id(text: &str) -> BrokerId {
    BrokerId::new(text).unwrap()
}

/// A message of raft.
pub(crate) fn raft(bytes: impl Into<Bytes>) -> v1::LinkMessage {
    v1::LinkMessage { message: Some(v1::link_message::Message::Raft(bytes.into())) }
}

/// Batches of a leader.
pub(crate) fn append(batches: Vec<Bytes>) -> v1::LinkMessage {
    let body = v1::replication_message::Body::Append(v1::ReplicationAppend {
        previous: Some(v1::LogTail::default()),
        batches,
        ..Default::default()
    });
    replication(v1::ReplicationMessage { body: Some(body), ..Default::default() })
}

fn replication(message: v1::ReplicationMessage) -> v1::LinkMessage {
    v1::LinkMessage { message: Some(v1::link_message::Message::Replication(message)) }
}

/// What a server got.
#[derive(Debug)]
pub(crate) enum Got {
    Message(BrokerId, v1::LinkMessage),
    Link(BrokerId, LinkEvent),
}

#[derive(Debug)]
struct Notebook {
    got: mpsc::UnboundedSender<Got>,
    unanswered: parking_lot::Mutex<Vec<PublishReply>>,
}

impl PeerInbox for Notebook {
    fn on_partition_message(&self, from: &BrokerId, message: PartitionMessage) {
        let _ = self.got.send(Got::Message(from.clone(), replication(convert::wire_partition_message(message))));
    }

    fn on_metadata_message(&self, from: &BrokerId, message: Bytes) {
        let _ = self.got.send(Got::Message(from.clone(), raft(message)));
    }

    fn on_link(&self, peer: &BrokerId, is_up: bool) {
        let event = if is_up { LinkEvent::Up } else { LinkEvent::Down };
        let _ = self.got.send(Got::Link(peer.clone(), event));
    }

    fn join(&self, request: Join) -> PeerAnswer<'_, JoinAnswer> {
        let reason = format!("no, {}", request.broker_id);
        Box::pin(std::future::ready(JoinAnswer::Refused { reason }))
    }

    fn heartbeat(&self, _: Heartbeat) -> PeerAnswer<'_, HeartbeatAnswer> {
        Box::pin(std::future::ready(HeartbeatAnswer::Alive))
    }

    /// Never answers about feature levels, and at once about all else.
    fn propose(&self, command: Command) -> PeerAnswer<'_, ProposeAnswer> {
        match command {
            Command::SetFeatureLevel(_) => Box::pin(std::future::pending()),
            _ => Box::pin(std::future::ready(ProposeAnswer::Rejected(Rejection::StreamExists))),
        }
    }

    /// Refuses with the message's own words, but for those without any, which it never answers.
    fn publish(&self, request: Publish, reply: PublishReply) -> PeerAnswer<'_, ()> {
        match String::from_utf8(request.message.value.to_vec()).unwrap() {
            silence if silence.is_empty() => self.unanswered.lock().push(reply),
            reason => reply.answer(Err(PublishError::Offline { reason })),
        }
        Box::pin(std::future::ready(()))
    }
}

/// How servers of a test trust each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Means {
    pub(crate) secret: Option<ClusterSecret>,
    pub(crate) tls: Option<Arc<PeerTls>>,
}

impl Means {
    pub(crate) fn secret(text: &str) -> Self {
        Self { secret: Some(ClusterSecret::new(text).unwrap()), tls: None }
    }
}

/// One server.
pub(crate) struct Node {
    pub(crate) network: PeerNetwork,
    pub(crate) peers: LinkedPeers,
    got: Mutex<mpsc::UnboundedReceiver<Got>>,
}

impl Node {
    pub(crate) async fn start(name: &str, means: Means) -> Self {
        Self::start_at("127.0.0.1:0", name, means).await
    }

    pub(crate) async fn start_at(address: &str, name: &str, means: Means) -> Self {
        let config = PeerConfig {
            address: address.to_owned(),
            namespace: "namespace".to_owned(),
            secret: means.secret,
            tls: means.tls,
        };
        let network = PeerNetwork::bind(config).await.unwrap();
        let peers = network.peers.clone();
        peers.introduce(&id(name), None);
        let (sender, receiver) = mpsc::unbounded_channel();
        peers.open(Arc::new(Notebook { got: sender, unanswered: Default::default() }));
        Self { network, peers, got: Mutex::new(receiver) }
    }

    /// A network whose broker has not said anything yet.
    pub(crate) async fn unready() -> PeerNetwork {
        let (address, namespace) = ("127.0.0.1:0".to_owned(), "namespace".to_owned());
        PeerNetwork::bind(PeerConfig { address, namespace, secret: None, tls: None }).await.unwrap()
    }

    pub(crate) fn address(&self) -> String {
        self.network.address().to_string()
    }

    /// From now on these are its peers.
    pub(crate) fn know(&self, peers: &[(&str, &Node)]) {
        let peers = peers.iter().map(|(name, node)| (id(name), node.address()));
        self.peers.set_peers(&peers.collect::<BTreeMap<_, _>>());
    }

    pub(crate) fn send(&self, to: &str, lane: Lane, message: v1::LinkMessage) {
        self.peers.links.send(&id(to), lane, message);
    }

    /// The next thing it gets.
    pub(crate) async fn next(&self) -> Got {
        within("something to get", async { self.got.lock().await.recv().await }).await.unwrap()
    }

    /// The next message it gets.
    pub(crate) async fn next_message(&self) -> v1::LinkMessage {
        loop {
            if let Got::Message(_, message) = self.next().await {
                return message;
            }
        }
    }

    /// Waits until this happens between it and a peer.
    pub(crate) async fn until(&self, peer: &str, event: LinkEvent) {
        loop {
            if matches!(self.next().await, Got::Link(of, happened) if of == id(peer) && happened == event) {
                return;
            }
        }
    }

    /// Stops at once, as a killed process does to others.
    pub(crate) async fn stop(self) {
        within("the end of a network", self.network.stop(Duration::ZERO)).await;
    }
}

/// Two servers that know each other, linked.
pub(crate) async fn pair(means: Means) -> (Node, Node) {
    let (a, b) = (Node::start("a", means.clone()).await, Node::start("b", means).await);
    a.know(&[("b", &b)]);
    b.know(&[("a", &a)]);
    a.until("b", LinkEvent::Up).await;
    b.until("a", LinkEvent::Up).await;
    (a, b)
}
