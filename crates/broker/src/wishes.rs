//! What partitions want the cluster to agree on: other in-sync replicas, another leader. Owns that it is proposed, and that a
//! partition hears of a refusal that lasts; never what is wanted or why.
//!
//! What is known here to be refused is not proposed: a replica that keeps up while its broker is fenced would be asked for
//! every second, and each time the servers would store that.
//!
//! A wish that gets lost is wished again by its partition when it is time. So nothing here is tried twice.

use std::sync::{Arc, Weak};

use liftbridge_metadata_raft::{
    BrokerLife, ChangeInSync, ClusterState, Command, MoveLeader, PartitionName, ProposeError, Rejection,
};
use liftbridge_replication::InSyncChange;
use liftbridge_types::BrokerId;
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
        Wish::ChangeInSync(InSyncChange { leader_epoch, epoch, in_sync, damaged }) => {
            let in_sync = in_sync.into_iter().map(|life| BrokerLife { id: life.id, incarnation: life.incarnation });
            let in_sync = in_sync.collect();
            (Command::ChangeInSync(ChangeInSync { partition, leader_epoch, epoch, in_sync, damaged }), Some(epoch))
        }
        Wish::MoveLeader { epoch, to, leaves } => {
            (Command::MoveLeader(MoveLeader { partition, epoch, to, leaves }), None)
        }
    };
    let unfit = unfit_in(&node.metadata.state(), &command);
    let agreed = match unfit {
        Some(id) => Err(Rejection::NotEligible { id }.into()),
        None => node.agreement.agree(command).await,
    };
    if let Err(error) = agreed {
        tracing::debug!(stream = %route.stream, partition = %route.partition, %error, "a partition's wish came to nothing");
        let lasts = matches!(error, ProposeError::Rejected(Rejection::NotEligible { .. }));
        if let Some(epoch) = in_sync_epoch.filter(|_| lasts)
            && let Some(replica) = node.streams.replica(stream, route.partition)
        {
            replica.hear(PeerEvent::InSyncRefused { epoch });
        }
    }
}

/// A broker that is to be in sync, or to lead, and cannot, as far as is known here.
fn unfit_in(state: &ClusterState, command: &Command) -> Option<BrokerId> {
    match command {
        Command::ChangeInSync(change) => {
            change.in_sync.iter().find(|life| state.brokers().is_unfit(life)).map(|life| life.id.clone())
        }
        Command::MoveLeader(change) => Some(&change.to).filter(|to| !state.brokers().is_serving(to)).cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_commitlog::MemoryVolume;
    use liftbridge_metadata_raft::{LogIndex, RegisterBroker};
    use liftbridge_types::{
        BrokerIncarnation, LeaderEpoch, PartitionEpoch, PartitionId, StreamId, StreamName, Subject,
    };

    use super::*;
    use crate::broker::Broker;
    use crate::config::BrokerConfig;
    use crate::requests::{PartitionRoute, Shutdown};

    #[tokio::test]
    async fn a_fenced_broker_is_not_asked_for_again_and_again() {
        let volume = Arc::new(MemoryVolume::default());
        let me = BrokerId::new("a").unwrap();
        let broker = Broker::start(BrokerConfig::new(volume, me.clone())).await.unwrap();
        let node = &broker.node;
        let other = BrokerId::new("b").unwrap();
        let registration = RegisterBroker { id: other.clone(), host: "h".to_owned(), port: 1, member: None };
        let registered = node.agreement.agree(Command::RegisterBroker(registration.clone())).await.unwrap();
        let fenced = BrokerLife { id: other.clone(), incarnation: BrokerIncarnation::new(registered.get()) };
        let before = node.agreement.agree(Command::FenceBroker(fenced.clone())).await.unwrap();

        let life = |id, incarnation| liftbridge_replication::BrokerLife { id, incarnation };
        let in_sync = vec![life(me, node.incarnation()), life(other, fenced.incarnation)];
        let (leader_epoch, epoch) = (LeaderEpoch::new(1), PartitionEpoch::new(1));
        let (stream, partition) = (StreamName::new("s").unwrap(), PartitionId::new(0).unwrap());
        let subject = Subject::new("s").unwrap();
        let (stream_subject, partition_subject) = (subject.clone(), subject);
        let route = Arc::new(PartitionRoute { stream, partition, stream_subject, partition_subject });
        let wish = Wish::ChangeInSync(InSyncChange { leader_epoch, epoch, in_sync, damaged: Vec::new() });
        carry_out(node, Wished { route, stream: StreamId::new(1), wish }).await;

        let after = node.agreement.agree(Command::RegisterBroker(registration)).await.unwrap();
        assert_eq!(after, LogIndex::new(before.get() + 1), "nothing was proposed in between");
        broker.shutdown(Shutdown::Fast).await;
    }
}
