//! The servers that take part in the agreement. Owns which raft number belongs to which broker and data directory, and that
//! no number is given out twice; never who leads.

use std::collections::BTreeMap;

use liftbridge_types::BrokerId;

use crate::node_id::{DirectoryId, RaftId};

/// One server that takes part in the agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The broker it is.
    pub broker: BrokerId,
    /// Its data directory.
    pub directory: DirectoryId,
    /// Where other servers reach it.
    pub peer_address: Option<String>,
    /// Whether its vote counts; a learner only listens.
    pub voter: bool,
    /// Whether its broker was removed, so that it has to go, too.
    pub leaving: bool,
}

/// Every server that takes part, by raft's numbers.
///
/// Invariant: no number above [`Nodes::last_id`] was ever given out, and none is given out twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    by_id: BTreeMap<RaftId, Node>,
    last_id: RaftId,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), last_id: RaftId::FOUNDER }
    }
}

impl Nodes {
    /// The server with this number.
    pub fn get(&self, id: RaftId) -> Option<&Node> {
        self.by_id.get(&id)
    }

    /// The server that is this broker.
    pub fn of_broker(&self, broker: &BrokerId) -> Option<(RaftId, &Node)> {
        self.iter().find(|(_, node)| node.broker == *broker)
    }

    /// Every server with its number, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (RaftId, &Node)> {
        self.by_id.iter().map(|(id, node)| (*id, node))
    }

    /// The last number that was given out.
    pub fn last_id(&self) -> RaftId {
        self.last_id
    }

    pub(crate) fn insert(&mut self, id: RaftId, node: Node) {
        self.last_id = self.last_id.max(id);
        self.by_id.insert(id, node);
    }

    pub(crate) fn get_mut(&mut self, id: RaftId) -> Option<&mut Node> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: RaftId) -> Option<Node> {
        self.by_id.remove(&id)
    }

    /// Notes that this number was given out, though nobody has it any more.
    pub(crate) fn note_given_out(&mut self, id: RaftId) {
        self.last_id = self.last_id.max(id);
    }
}
