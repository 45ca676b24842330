//! Saying why a partition commits or does not: what is agreed, and what its leader knows. Owns how the two are put together;
//! never the reasons, which are the leader's.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_auth::Authorized;
use liftbridge_metadata_raft::{Partition as AgreedPartition, Stream};
use liftbridge_replication::{Explanation, Wait};
use liftbridge_types::{BrokerId, PartitionId, minimum_in_sync};

use crate::administration::{
    ExplainedFollower, ExplainedLog, ExplainedReplica, Obstacle, PartitionExplanation, ReplicaStorage,
};
use crate::broker::Broker;
use crate::errors::ExplainError;
use crate::partition::{Partition, RunState};

/// How long a leader's worker may take to answer before it counts as stuck.
const WORKER_PATIENCE: Duration = Duration::from_secs(2);

impl Broker {
    /// Why a partition commits or does not. Its leader says so; what is only agreed on, and everything about a partition that
    /// nobody leads, any broker.
    ///
    /// # Errors
    /// When there is none, or another broker leads it and more than what is agreed on is wanted.
    pub async fn explain_partition(
        &self,
        _request: &Authorized<()>,
        stream: &str,
        partition: i32,
        agreed_only: bool,
    ) -> Result<PartitionExplanation, ExplainError> {
        let stream = self.agreed(stream).ok_or(ExplainError::NotFound)?;
        let id = PartitionId::from_wire(partition).ok_or(ExplainError::NotFound)?;
        let agreed = stream.partition(id).ok_or(ExplainError::NotFound)?;
        let mut explanation = self.explain_agreed(&stream, id, agreed);
        let replica = self.node.streams.replica(stream.id, id);
        explanation.storage = replica.as_ref().map(|replica| replica.storage()).unwrap_or_default();
        match &agreed.leader {
            Some(leader) if *leader == self.node.id && !agreed_only && !agreed.paused => {
                explanation.add_leaders(self.explain_led(replica).await);
            }
            Some(leader) if *leader != self.node.id && !agreed_only => {
                return Err(ExplainError::NotLeader { leader: leader.clone(), address: self.address_of(leader) });
            }
            Some(_) | None => {}
        }
        Ok(explanation)
    }

    /// What is agreed on.
    fn explain_agreed(&self, stream: &Stream, id: PartitionId, agreed: &AgreedPartition) -> PartitionExplanation {
        let state = self.node.metadata.state();
        let replica = |id: &BrokerId| ExplainedReplica {
            id: id.clone(),
            is_in_sync: agreed.isr.contains(id),
            is_proposed: false,
            is_eligible: agreed.eligible.contains(id),
            is_fenced: state.brokers().get(id).is_none_or(|broker| broker.fenced),
            durable_end: None,
            following: None,
        };
        let in_sync_min = minimum_in_sync(agreed.replicas.len(), self.node.min_isr(stream));
        let in_sync_count = agreed.isr.len();
        let electable = || agreed.isr.iter().chain(agreed.eligible.iter()).cloned().collect();
        let no_leader = agreed.leader.is_none().then(|| Obstacle::NoLeader { electable: electable() });
        let too_few = Obstacle::Leader(Wait::TooFewInSync { in_sync_count, minimum: in_sync_min });
        let obstacles =
            [no_leader, agreed.paused.then_some(Obstacle::Paused), (in_sync_count < in_sync_min).then_some(too_few)];
        PartitionExplanation {
            stream: stream.name.clone(),
            partition: id,
            answered_by: self.node.id.clone(),
            leader: agreed.leader.clone(),
            leader_epoch: agreed.leader_epoch,
            epoch: agreed.epoch,
            paused: agreed.paused,
            readonly: agreed.readonly,
            in_sync_min,
            replicas: agreed.replicas.iter().map(replica).collect(),
            log: None,
            storage: ReplicaStorage::default(),
            obstacles: obstacles.into_iter().flatten().collect(),
        }
    }

    /// What the leader says, which is here.
    async fn explain_led(&self, replica: Option<Arc<Partition>>) -> Result<(ExplainedLog, Explanation), Obstacle> {
        let replica = replica.ok_or(Obstacle::NotBegun)?;
        let status = replica.status();
        if let RunState::Offline { reason } = status.state {
            return Err(Obstacle::Offline { reason });
        }
        let asked = tokio::time::timeout(WORKER_PATIENCE, replica.explain());
        let said = asked.await.map_err(|_| Obstacle::Busy)?.ok_or(Obstacle::NotBegun)?;
        let Explanation { high_watermark, log_end, .. } = said;
        Ok((ExplainedLog { log_start: status.log_start, high_watermark, log_end }, said))
    }

    /// Where clients reach a broker.
    fn address_of(&self, id: &BrokerId) -> Option<String> {
        let state = self.node.metadata.state();
        state.brokers().get(id).map(|broker| format!("{}:{}", broker.host, broker.port))
    }
}

impl PartitionExplanation {
    /// Adds what the leader says, or why it says nothing. Its reasons are newer than those that follow from what is agreed on.
    fn add_leaders(&mut self, said: Result<(ExplainedLog, Explanation), Obstacle>) {
        let (log, said) = match said {
            Ok(said) => said,
            Err(obstacle) => return self.obstacles.insert(0, obstacle),
        };
        self.log = Some(log);
        self.obstacles = said.waits.into_iter().map(Obstacle::Leader).collect();
        for replica in &mut self.replicas {
            replica.is_proposed = said.proposed.contains(&replica.id);
            if replica.id == self.answered_by {
                replica.durable_end = Some(said.durable_end);
            } else if let Some(follower) = said.followers.iter().find(|follower| follower.id == replica.id) {
                replica.durable_end = follower.durable_end;
                replica.following = Some(ExplainedFollower {
                    behind_for: follower.behind_for,
                    silent_for: follower.silent_for,
                    is_linked: follower.is_linked,
                    is_damaged: follower.is_damaged,
                    is_full: follower.is_full,
                });
            }
        }
    }
}
