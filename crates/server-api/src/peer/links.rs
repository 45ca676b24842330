//! The links to every peer. Owns which there are, and that each is one; never what goes over them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use liftbridge_proto::v1;
use liftbridge_types::BrokerId;
use metrics::counter;
use parking_lot::RwLock;

use crate::metrics::PEER_MESSAGES_DROPPED;
use crate::peer::dial::{Dialer, PeerConnection};
use crate::peer::link::Link;
use crate::peer::outbox::{Lane, NotTaken};
use crate::peer::pairs::Pairs;

/// What a message takes beside its payload, about.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

/// The links to every peer.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) dialer: Dialer,
    pairs: Arc<Pairs>,
    links: RwLock<BTreeMap<BrokerId, Arc<Link>>>,
}

impl Links {
    /// No links yet; `pairs` gets to know of those to come.
    pub(crate) fn new(dialer: Dialer, pairs: Arc<Pairs>) -> Self {
        Self { dialer, pairs, links: RwLock::default() }
    }

    /// From now on these are the peers, each at its address: links are begun, moved and ended as it takes.
    pub(crate) fn set_peers(&self, peers: &BTreeMap<BrokerId, String>) {
        let stopping = &self.dialer.lifetime.stopping;
        let mut links = self.links.write();
        links.retain(|peer, link| {
            let stays = peers.contains_key(peer);
            if !stays {
                link.end();
            }
            stays
        });
        for (peer, address) in peers {
            match links.get(peer) {
                Some(link) => link.move_to(address),
                None => {
                    let link = Arc::new(Link::new(peer.clone(), address.clone(), stopping.child_token()));
                    let running = Arc::clone(&link).run(self.dialer.clone(), Arc::clone(&self.pairs));
                    self.dialer.lifetime.tasks.spawn(running);
                    links.insert(peer.clone(), link);
                }
            }
        }
    }

    /// Sends a message, or drops it when it cannot be sent now. Never waits.
    pub(crate) fn send(&self, to: &BrokerId, lane: Lane, message: v1::LinkMessage) {
        let bytes = payload_bytes(&message) + MESSAGE_OVERHEAD_BYTES;
        let taken = match self.links.read().get(to) {
            Some(link) => link.outbox.push(lane, message, bytes),
            None => Err(NotTaken::Down),
        };
        if let Err(reason) = taken {
            let reason = match reason {
                NotTaken::Down => "down",
                NotTaken::Full => "full",
            };
            counter!(PEER_MESSAGES_DROPPED, "reason" => reason).increment(1);
        }
    }

    /// The link to this peer.
    pub(crate) fn get(&self, to: &BrokerId) -> Option<Arc<Link>> {
        self.links.read().get(to).cloned()
    }

    /// The connection to make calls to this peer on; `None` while there is none.
    pub(crate) fn connection(&self, to: &BrokerId) -> Option<Arc<PeerConnection>> {
        self.links.read().get(to)?.connection()
    }

    /// This peer was heard of.
    pub(crate) fn heard(&self, peer: &BrokerId) {
        if let Some(link) = self.links.read().get(peer) {
            link.heard();
        }
    }
}

fn payload_bytes(message: &v1::LinkMessage) -> usize {
    use v1::link_message::Message;
    use v1::replication_message::Body;
    let total = |batches: &[Bytes]| batches.iter().map(Bytes::len).sum();
    match &message.message {
        Some(Message::Raft(bytes)) => bytes.len(),
        Some(Message::Replication(message)) => match &message.body {
            Some(Body::Append(append)) => total(&append.batches),
            Some(Body::Repair(repair)) => total(&repair.batches),
            _ => 0,
        },
        None => 0,
    }
}
