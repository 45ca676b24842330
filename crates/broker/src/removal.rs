//! Finding out that this server was removed from its cluster while nobody could tell it: it was down or cut off, and now no
//! other server speaks to it. Owns whom it asks; never who was removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_metadata_raft::{DirectoryId, RaftId};
use tokio::task::JoinSet;

use crate::cluster_config::ClusterConfig;
use crate::join_cluster::request_of;
use crate::node::Node;
use crate::peers::JoinAnswer;

/// What is said when there is no place for this server.
pub(crate) const REMOVED: &str =
    "this server was removed from its cluster; to let it in again, start it with an empty data directory";
/// How long others may take to answer: they only look at what they know.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the others are asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    config: ClusterConfig,
    directory: DirectoryId,
    raft_id: RaftId,
}

impl Question {
    /// Whether the server with this number and data directory was removed.
    pub(crate) fn new(config: ClusterConfig, directory: DirectoryId, raft_id: RaftId) -> Self {
        Self { config, directory, raft_id }
    }
}

/// Asks every server this one knows of whether it was removed, and expels it when one of them knows that it was.
pub(crate) async fn ask_whether_removed(node: &Arc<Node>, question: &Question) {
    let Question { config, directory, raft_id } = question;
    let Some(own_address) = &config.peer_address else { return };
    let mut addresses: BTreeSet<String> = config.join.iter().cloned().collect();
    let mut request = request_of(config, &node.id, directory, own_address);
    {
        let state = node.metadata.state();
        addresses.extend(state.nodes().iter().filter_map(|(_, node)| node.peer_address.clone()));
        request.cluster_id = Some(state.cluster_id().to_owned());
        request.raft_id = Some(raft_id.get());
    }
    addresses.remove(own_address);
    let mut asked = JoinSet::new();
    for address in addresses {
        let (peers, request) = (Arc::clone(&node.peers), request.clone());
        asked.spawn(async move { tokio::time::timeout(PATIENCE, peers.join(&address, request)).await });
    }
    while let Some(answer) = asked.join_next().await {
        if matches!(answer, Ok(Ok(Ok(JoinAnswer::Removed)))) {
            return node.expel(REMOVED.to_owned());
        }
    }
}
