//! Saying who is in the cluster and which partitions are in trouble, and taking a server out. Owns how members and nodes become
//! one list; never who may know.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use liftbridge_auth::Authorized;
use liftbridge_metadata_raft as metadata;
use liftbridge_metadata_raft::{Command, Node as MetadataNode, Part, ProposeError, Rejection, Stream};
use liftbridge_types::BrokerId;

use crate::administration::{
    ClusterDescription, MemberDescription, MemberRegistration, MemberState, PartitionCounts, PartitionTrouble,
    RemoveMember, TroubledPage, TroubledPartition,
};
use crate::agreement::unavailable;
use crate::broker::Broker;
use crate::errors::{MetadataUnavailable, RemoveMemberError};
use crate::node::Node;

impl Broker {
    /// The cluster's members, which of its partitions are in trouble, and what is wrong with the files here.
    pub fn describe_cluster(&self, _request: &Authorized<()>, page: TroubledPage) -> ClusterDescription {
        let node = &self.node;
        let (cluster_id, feature_level, members, streams) = {
            let state = node.metadata.state();
            let streams: Vec<Arc<Stream>> = state.streams().iter().cloned().collect();
            (state.cluster_id().to_owned(), state.feature_level(), members(&state), streams)
        };
        let (counts, mut troubled) = node.troubled(&streams);
        // A stable sort: among equals the order is by stream and number.
        troubled.sort_by_key(|partition| partition.trouble.rank());
        ClusterDescription {
            cluster_id,
            feature_level,
            answered_by: node.id.clone(),
            controller: node.controller(),
            is_cut_off: node.is_cut_off(),
            members,
            counts,
            troubled: troubled.into_iter().skip(page.skipped).take(page.count_max).collect(),
            storage: node.storage_troubles(page),
        }
    }

    /// Takes a server out of the cluster that will never come back: others keep what it kept.
    ///
    /// # Errors
    /// See [`RemoveMemberError`].
    pub async fn remove_member(&self, request: Authorized<RemoveMember>) -> Result<(), RemoveMemberError> {
        let RemoveMember { id, forced } = request.into_request();
        if !self.node.life.is_running() {
            return Err(RemoveMemberError::Metadata(MetadataUnavailable::ShuttingDown));
        }
        let not_found = RemoveMemberError::NotFound { id: id.clone() };
        let Ok(id) = BrokerId::new(&id) else { return Err(not_found) };
        let command = Command::RemoveBroker(metadata::RemoveBroker { id, forced });
        self.node.agreement.reach(command).await.map_err(|error| match error {
            ProposeError::Rejected(Rejection::BrokerNotFound) => not_found,
            ProposeError::Rejected(rejection) => RemoveMemberError::Refused(rejection),
            ProposeError::Unavailable(reason) => RemoveMemberError::Metadata(unavailable(reason)),
        })
    }
}

impl Node {
    /// The member that decides, as far as this one knows.
    pub(crate) fn controller(&self) -> Option<BrokerId> {
        let standing = self.standing.borrow();
        match standing.part {
            Part::Controller => Some(self.id.clone()),
            Part::Member | Part::Removed => standing.controller.as_ref().map(|controller| controller.broker.clone()),
        }
    }

    /// Whether there are others, and the controller among them is not heard.
    fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed) && !self.standing.borrow().alone
    }

    fn troubled(&self, streams: &[Arc<Stream>]) -> (PartitionCounts, Vec<TroubledPartition>) {
        let mut counts = PartitionCounts { streams: streams.len(), ..PartitionCounts::default() };
        let mut troubled = Vec::new();
        for stream in streams {
            let min_isr = self.min_isr(stream);
            for (partition, agreed) in stream.numbered_partitions() {
                let trouble = PartitionTrouble::of(agreed, stream.replicas_wanted(), min_isr);
                counts.add(agreed, trouble);
                if trouble.is_any() {
                    troubled.push(TroubledPartition {
                        stream: stream.name.clone(),
                        partition,
                        trouble,
                        leader: agreed.leader.clone(),
                        replicas: agreed.replicas.to_vec(),
                        in_sync: agreed.isr.to_vec(),
                        in_sync_min: liftbridge_types::minimum_in_sync(agreed.replicas.len(), min_isr),
                    });
                }
            }
        }
        (counts, troubled)
    }

    /// How many in-sync replicas a stream's creator, or else this server's configuration, wants.
    pub(crate) fn min_isr(&self, stream: &Stream) -> Option<u32> {
        stream.overrides.min_isr.or(self.stream_defaults.min_isr)
    }
}

/// Everybody who takes part, as a broker or in the agreement.
fn members(state: &metadata::ClusterState) -> Vec<MemberDescription> {
    // Until its first registration by this software a cluster of one has no table of nodes.
    let is_alone = state.nodes().iter().len() == 0;
    let registered = state.brokers().iter().map(|(id, broker)| {
        let node = state.nodes().of_broker(id).map(|(_, node)| node);
        MemberDescription {
            id: id.clone(),
            state: if broker.fenced { MemberState::Fenced } else { MemberState::Live },
            is_voter: node.map_or(is_alone, |node| node.voter),
            peer_address: node.and_then(|node| node.peer_address.clone()),
            registration: Some(registration(broker)),
        }
    });
    let is_unregistered = |node: &&MetadataNode| state.brokers().get(&node.broker).is_none();
    let unregistered =
        state.nodes().iter().map(|(_, node)| node).filter(is_unregistered).map(|node| MemberDescription {
            id: node.broker.clone(),
            state: if node.leaving { MemberState::Leaving } else { MemberState::Joining },
            is_voter: node.voter,
            peer_address: node.peer_address.clone(),
            registration: None,
        });
    let mut members: Vec<MemberDescription> = registered.chain(unregistered).collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    members
}

fn registration(broker: &metadata::Broker) -> MemberRegistration {
    MemberRegistration {
        host: broker.host.clone(),
        port: broker.port,
        rack: broker.rack.clone(),
        incarnation: broker.incarnation,
        feature_level_max: broker.feature_level,
        hosted_count: broker.load.hosted,
        led_count: broker.load.led,
    }
}
