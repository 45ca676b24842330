//! Other leaders, other replicas, other lives of brokers: what they mean for the replicas here.

use std::sync::Arc;

use liftbridge_metadata_raft::{Partition as AgreedPartition, ReassignedPartitions};
use liftbridge_types::BrokerId;

use crate::node::{Node, seats};
use crate::partition::Completion;
use crate::streams_here::{LocalPartition, LocalStream};

/// Carries out that partitions of one stream have other leaders, replicas or in-sync replicas. Each replica takes its place as
/// soon as it gets to it, which nobody waits for: one that is storing something must not keep a thousand others from leading.
pub(super) async fn reassign(node: &Arc<Node>, reassigned: ReassignedPartitions) {
    let Some(stream) = node.streams.get_life(&reassigned.name, reassigned.stream) else { return };
    for (id, agreed) in &reassigned.partitions {
        if let Some(partition) = stream.partition(*id) {
            drop(place(node, &stream, partition, agreed).await);
        }
    }
}

/// Notes who has which place in a partition, and has the replica here take its own, opening one if there is to be one.
pub(super) async fn place(
    node: &Arc<Node>,
    stream: &Arc<LocalStream>,
    partition: &Arc<LocalPartition>,
    agreed: &AgreedPartition,
) -> Option<Completion> {
    if let Some(replica) = partition.replica() {
        let taken = replica.set_assignment(node.assignment(agreed), node.incarnation.get().copied());
        partition.note_seats(seats(agreed));
        return Some(taken);
    }
    if agreed.replicas.contains(&node.id) {
        let (opener, of, route, as_agreed) =
            (Arc::clone(node), Arc::clone(stream), Arc::clone(partition.route()), agreed.clone());
        let opened = tokio::task::spawn_blocking(move || opener.open_replica(&of, &route, &as_agreed)).await;
        match opened {
            Ok(replica) => partition.keep(replica),
            Err(error) => tracing::error!(%error, "a replica was not opened"),
        }
    }
    partition.note_seats(seats(agreed));
    None
}

/// A broker lives anew: those who share partitions with it must know which of its lives speaks.
pub(super) fn renew_life(node: &Arc<Node>, id: &BrokerId) {
    let (_, agreed) = node.metadata.streams();
    for stream in agreed {
        let Some(here) = node.streams.get_life(&stream.name, stream.id) else { continue };
        for (partition, agreed) in here.partitions.iter().zip(&stream.partitions) {
            if let Some(replica) = partition.replica().filter(|_| agreed.replicas.contains(id)) {
                // In the background: nobody waits for it, and the assignment itself stays what it was.
                drop(replica.set_assignment(node.assignment(agreed), node.incarnation.get().copied()));
            }
        }
    }
}
