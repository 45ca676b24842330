//! Who takes part in the agreement. The changes are raft's own entries, which change raft's quorum and this table at the same
//! index.

use liftbridge_types::BrokerId;

use crate::cluster_event::ClusterEvent;
use crate::cluster_state::ClusterState;
use crate::command::Member;
use crate::node_id::{DirectoryId, RaftId};
use crate::rejection::Rejection;
use crate::state::Node;

/// A change of who takes part; one is made at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MembershipChange {
    /// A server takes part and listens; it votes later, when it has what the others have.
    Add {
        /// Raft's number for it.
        id: RaftId,
        /// The broker it is.
        broker: BrokerId,
        /// Its data directory.
        directory: DirectoryId,
        /// Where other servers reach it.
        peer_address: String,
    },
    /// A server that listened votes from now on.
    Promote(RaftId),
    /// A server takes no part any more.
    Remove(RaftId),
}

impl MembershipChange {
    /// Whom it is about.
    pub(crate) fn id(&self) -> RaftId {
        match self {
            Self::Add { id, .. } | Self::Promote(id) | Self::Remove(id) => *id,
        }
    }
}

impl ClusterState {
    /// Applies a change of who takes part, which raft has agreed on.
    pub(crate) fn change_membership(&mut self, change: MembershipChange) -> Vec<ClusterEvent> {
        match change {
            MembershipChange::Add { id, broker, directory, peer_address } => {
                let peer_address = Some(peer_address);
                let node = Node { broker, directory, peer_address, voter: false, leaving: false };
                self.nodes.insert(id, node.clone());
                vec![ClusterEvent::NodeChanged { id, node }]
            }
            MembershipChange::Promote(id) => {
                let Some(node) = self.nodes.get_mut(id) else { return Vec::new() };
                node.voter = true;
                vec![ClusterEvent::NodeChanged { id, node: node.clone() }]
            }
            MembershipChange::Remove(id) => {
                let Some(node) = self.nodes.remove(id) else { return Vec::new() };
                vec![ClusterEvent::NodeRemoved { id, broker: node.broker }]
            }
        }
    }

    /// Checks that a broker speaks from a data directory that takes part, and notes where it is reached. The founder takes
    /// part without having been added.
    pub(crate) fn register_node(
        &mut self,
        broker: &BrokerId,
        member: &Member,
    ) -> Result<Option<ClusterEvent>, Rejection> {
        let Member { raft_id, directory, peer_address, .. } = member;
        let founder = *raft_id == RaftId::FOUNDER && self.nodes.iter().len() == 0;
        let known = self.nodes.get(*raft_id);
        let is_known =
            known.is_some_and(|node| node.broker == *broker && node.directory == *directory && !node.leaving);
        if !is_known && !founder {
            return Err(Rejection::NotAMember { id: broker.clone() });
        }
        let node = Node {
            broker: broker.clone(),
            directory: directory.clone(),
            peer_address: peer_address.clone(),
            voter: known.is_none_or(|node| node.voter),
            leaving: false,
        };
        if known == Some(&node) {
            return Ok(None);
        }
        self.nodes.insert(*raft_id, node.clone());
        Ok(Some(ClusterEvent::NodeChanged { id: *raft_id, node }))
    }

    /// Marks a removed broker's server as one that has to go; `None` when there is none, or it is marked.
    pub(crate) fn mark_leaving(&mut self, broker: &BrokerId) -> Option<ClusterEvent> {
        let (id, _) = self.nodes.of_broker(broker)?;
        let node = self.nodes.get_mut(id).filter(|node| !node.leaving)?;
        node.leaving = true;
        Some(ClusterEvent::NodeChanged { id, node: node.clone() })
    }
}
