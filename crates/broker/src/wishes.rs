//! What partitions want the cluster to agree on: other in-sync replicas, another leader. Owns that it is proposed, and that a
//! partition hears of a refusal that lasts; never what is wanted or why.
//!
//! A wish that gets lost is wished again by its partition when it is time. So nothing here is tried twice.

use std::sync::{Arc, Weak};

use liftbridge_metadata_raft::{BrokerLife, ChangeInSync, Command, MoveLeader, PartitionName, ProposeError, Rejection};
use liftbridge_replication::InSyncChange;
use tokio::sync::{Semaphore, mpsc};

use crate::node::Node;
use crate::partition::{PeerEvent, Wish, Wished};

/// Wishes under way to the controller at once.
const UNDER_WAY_MAX: usize = 256;

/// Carries out wishes until nobody can wish any more or the node is gone.
pub(crate) async fn carry_out_wishes(node: Weak<Node>, mut wishes: mpsc::UnboundedReceiver<Wished>) {
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    while let Some(wished) = wishes.recv().await {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Some(node) = node.upgrade() else { return };
        tokio::spawn(async move {
            carry_out(&node, wished).await;
            drop(permit);
        });
    }
}

async fn carry_out(node: &Node, Wished { route, stream, wish }: Wished) {
    let partition = PartitionName { stream: route.stream.clone(), stream_id: stream, partition: route.partition };
    let (command, in_sync_epoch) = match wish {
        Wish::ChangeInSync(InSyncChange { leader_epoch, epoch, in_sync }) => {
            let in_sync = in_sync.into_iter().map(|life| BrokerLife { id: life.id, incarnation: life.incarnation });
            let in_sync = in_sync.collect();
            (Command::ChangeInSync(ChangeInSync { partition, leader_epoch, epoch, in_sync }), Some(epoch))
        }
        Wish::MoveLeader { epoch, to, leaves } => {
            (Command::MoveLeader(MoveLeader { partition, epoch, to, leaves }), None)
        }
    };
    match node.agreement.agree(command).await {
        Ok(_) => {}
        Err(error) => {
            tracing::debug!(stream = %route.stream, partition = %route.partition, %error, "a partition's wish came to nothing");
            let lasts = matches!(error, ProposeError::Rejected(Rejection::NotEligible { .. }));
            if let Some(epoch) = in_sync_epoch.filter(|_| lasts)
                && let Some(replica) = node.streams.replica(stream, route.partition)
            {
                replica.hear(PeerEvent::InSyncRefused { epoch });
            }
        }
    }
}
