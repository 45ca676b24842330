//! Servers of a cluster in this process, on real sockets, whose handlers only note down what they get.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_broker::{PublishError, QueuedOutcome};
use liftbridge_proto::v1;
use liftbridge_types::{AckPolicy, BrokerId};
use tokio::sync::{Mutex, mpsc};

use crate::peer::handler::Handler;
use crate::peer::links::Links;
use crate::peer::outbox::Lane;
use crate::peer::pairs::LinkEvent;
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
    let body = v1::replication_message::Body::Append(v1::ReplicationAppend { batches, ..Default::default() });
    let message = v1::ReplicationMessage { body: Some(body), ..Default::default() };
    v1::LinkMessage { message: Some(v1::link_message::Message::Replication(message)) }
}

/// What a server got.
#[derive(Debug)]
pub(crate) enum Got {
    Message(BrokerId, v1::LinkMessage),
    Link(BrokerId, LinkEvent),
}

#[derive(Debug)]
struct Notebook(mpsc::UnboundedSender<Got>);

#[tonic::async_trait]
impl Handler for Notebook {
    fn on_message(&self, from: &BrokerId, message: v1::LinkMessage) {
        let _ = self.0.send(Got::Message(from.clone(), message));
    }

    fn on_link(&self, peer: &BrokerId, event: LinkEvent) {
        let _ = self.0.send(Got::Link(peer.clone(), event));
    }

    async fn join(&self, from: &BrokerId, _: v1::JoinRequest) -> v1::JoinAnswer {
        let answer = v1::join_answer::Answer::Refused(format!("no, {from}"));
        v1::JoinAnswer { answer: Some(answer) }
    }

    async fn heartbeat(&self, _: &BrokerId, _: v1::HeartbeatRequest) -> v1::HeartbeatAnswer {
        v1::HeartbeatAnswer { answer: Some(v1::heartbeat_answer::Answer::Alive(v1::Empty {})) }
    }

    /// Answers never.
    async fn propose(&self, _: &BrokerId, _: v1::ProposeRequest) -> v1::ProposeAnswer {
        std::future::pending().await
    }

    /// Refuses with the message's own words, but for those without any, which it never answers.
    async fn publish(&self, message: v1::ForwardedPublish, outcomes: &mpsc::UnboundedSender<QueuedOutcome>) {
        if message.value.is_empty() {
            return std::mem::forget(outcomes.clone());
        }
        let reason = String::from_utf8(message.value.to_vec()).unwrap();
        let correlation_id = message.correlation.to_string();
        let outcome = Err(PublishError::Offline { reason });
        let _ = outcomes.send(QueuedOutcome { correlation_id, ack_policy: AckPolicy::All, outcome });
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
    pub(crate) links: Arc<Links>,
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
        let mut network = PeerNetwork::bind(config).await.unwrap();
        network.dialer.local.introduce(id(name));
        let (sender, got) = mpsc::unbounded_channel();
        let links = network.serve(Arc::new(Notebook(sender))).unwrap();
        Self { network, links, got: Mutex::new(got) }
    }

    pub(crate) fn address(&self) -> String {
        self.network.address().to_string()
    }

    /// From now on these are its peers.
    pub(crate) fn know(&self, peers: &[(&str, &Node)]) {
        let peers = peers.iter().map(|(name, node)| (id(name), node.address()));
        self.links.set_peers(&peers.collect::<BTreeMap<_, _>>());
    }

    pub(crate) fn send(&self, to: &str, lane: Lane, message: v1::LinkMessage) {
        self.links.send(&id(to), lane, message);
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
