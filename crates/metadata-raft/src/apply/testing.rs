//! A small cluster to apply commands to.

use liftbridge_types::BrokerId;

use crate::cluster_event::ClusterEvent;
use crate::cluster_state::ClusterState;
use crate::command::{BrokerLife, ChangeInSync, Command, ReplicaCount};
use crate::log_index::LogIndex;
use crate::rejection::Rejection;
use crate::state::Partition;
use crate::test_commands::*;

/// Servers `1`, `2`, ... that are heard of, and the index of the last command.
pub(crate) struct Cluster {
    pub(crate) state: ClusterState,
    pub(crate) index: u64,
}

impl Cluster {
    pub(crate) fn of(servers: u64) -> Self {
        let mut cluster = Self { state: ClusterState::founded("test".to_owned()), index: 1 };
        cluster.done(start(1));
        for number in 2..=servers {
            cluster.index += 1;
            cluster.state.change_membership(added(number));
            cluster.done(start(number));
            cluster.unfence(&number.to_string());
        }
        cluster
    }

    pub(crate) fn apply(&mut self, command: Command) -> Result<Vec<ClusterEvent>, Rejection> {
        self.index += 1;
        self.state.apply(LogIndex::new(self.index), command)
    }

    #[track_caller]
    pub(crate) fn done(&mut self, command: Command) -> Vec<ClusterEvent> {
        self.apply(command).unwrap()
    }

    #[track_caller]
    pub(crate) fn create(&mut self, stream: &str, partitions: u32, replicas: u32) {
        self.done(create(stream, partitions, ReplicaCount::Exactly(replicas)));
    }

    /// A stream of one partition in which one in-sync replica may commit.
    #[track_caller]
    pub(crate) fn create_committing_alone(&mut self, stream: &str, replicas: u32) {
        let Command::CreateStream(mut command) = create(stream, 1, ReplicaCount::Exactly(replicas)) else {
            unreachable!("that is what it makes")
        };
        command.overrides.min_isr = Some(1);
        self.done(Command::CreateStream(command));
    }

    pub(crate) fn life(&self, id: &str) -> BrokerLife {
        life(id, self.state.brokers.get(&broker(id)).unwrap().incarnation.get())
    }

    pub(crate) fn fence(&mut self, id: &str) -> Vec<ClusterEvent> {
        self.done(Command::FenceBroker(self.life(id)))
    }

    pub(crate) fn unfence(&mut self, id: &str) -> Vec<ClusterEvent> {
        self.done(Command::UnfenceBroker(self.life(id)))
    }

    /// What the partition's leader would propose.
    pub(crate) fn in_sync(&self, stream: &str, number: u32, ids: &[&str]) -> ChangeInSync {
        let id = self.state.streams.get(stream).unwrap().id.get();
        let partition = self.partition(stream, number);
        ChangeInSync {
            partition: partition_name(stream, id, number),
            leader_epoch: partition.leader_epoch,
            epoch: partition.epoch,
            in_sync: ids.iter().map(|id| self.life(id)).collect(),
            damaged: Vec::new(),
        }
    }

    pub(crate) fn partition(&self, stream: &str, number: u32) -> &Partition {
        self.state.streams.get(stream).unwrap().partitions.get(usize::try_from(number).unwrap()).unwrap()
    }

    /// Partition 0 as `leader: replicas / in-sync replicas`, and ` + eligible ones` where there are any.
    #[track_caller]
    pub(crate) fn check(&self, stream: &str, expected: &str) {
        let partition = self.partition(stream, 0);
        let list = |ids: &[BrokerId]| ids.iter().map(BrokerId::as_str).collect::<Vec<_>>().join(" ");
        let leader = partition.leader.as_ref().map_or("-", BrokerId::as_str);
        let eligible = match list(&partition.eligible) {
            none if none.is_empty() => none,
            some => format!(" + {some}"),
        };
        assert_eq!(format!("{leader}: {} / {}{eligible}", list(&partition.replicas), list(&partition.isr)), expected);
    }
}
