//! Saying what there is: agreed facts from the metadata, positions from the partitions here. Owns how the two are put
//! together; never who may know.

use std::sync::Arc;

use liftbridge_auth::Authorized;
use liftbridge_metadata_raft as metadata;
use liftbridge_metadata_raft::{ChangeTimes, Partition as AgreedPartition, Stream};
use liftbridge_types::{BrokerId, PartitionId};

use crate::broker::Broker;
use crate::errors::DescribeError;
use crate::partition::RunState;
use crate::requests::{BrokerDescription, EventTimes, PartitionDescription, StreamDescription};
use crate::streams_here::LocalStream;

impl Broker {
    /// The brokers of the cluster that are heard of, this one first.
    pub fn describe_brokers(&self, _request: &Authorized<()>) -> Vec<BrokerDescription> {
        let state = self.node.metadata.state();
        let describe = |(id, broker): (&BrokerId, &metadata::Broker)| BrokerDescription {
            id: id.clone(),
            host: broker.host.clone(),
            port: broker.port,
            partition_count: broker.load.hosted,
            leader_count: broker.load.led,
        };
        let is_there = |(id, broker): &(&BrokerId, &metadata::Broker)| !broker.fenced || **id == self.node.id;
        let mut brokers: Vec<BrokerDescription> = state.brokers().iter().filter(is_there).map(describe).collect();
        brokers.sort_by_key(|broker| broker.id != self.node.id);
        brokers
    }

    /// Every stream, reserved ones included, by name.
    pub fn describe_all_streams(&self, _request: &Authorized<()>) -> Vec<StreamDescription> {
        // Taken first and described afterwards: the state is not held on to.
        let streams: Vec<Arc<Stream>> = self.node.metadata.state().streams().iter().cloned().collect();
        streams.iter().map(|stream| self.describe(stream)).collect()
    }

    /// One stream; `None` when there is none of that name.
    pub fn describe_stream(&self, _request: &Authorized<()>, name: &str) -> Option<StreamDescription> {
        let stream = self.agreed(name)?;
        Some(self.describe(&stream))
    }

    /// One partition, from its leader.
    ///
    /// # Errors
    /// When there is none, or this broker does not lead it at the moment: a paused partition is led by nobody.
    pub fn describe_partition(
        &self,
        _request: &Authorized<()>,
        stream: &str,
        partition: i32,
    ) -> Result<PartitionDescription, DescribeError> {
        let stream = self.agreed(stream).ok_or(DescribeError::NotFound)?;
        let id = PartitionId::from_wire(partition).ok_or(DescribeError::NotFound)?;
        let agreed = stream.partition(id).ok_or(DescribeError::NotFound)?;
        let here = self.node.streams.get_life(&stream.name, stream.id).ok_or(DescribeError::NotLeader)?;
        let leading = here.partition(id).and_then(|partition| partition.leading_replica());
        match leading.ok_or(DescribeError::NotLeader)?.status().state {
            RunState::Open | RunState::Offline { .. } => Ok(describe_partition(id, agreed, Some(&here))),
            RunState::Paused | RunState::Deleted | RunState::Stopped => Err(DescribeError::NotLeader),
        }
    }

    pub(crate) fn agreed(&self, name: &str) -> Option<Arc<Stream>> {
        self.node.metadata.state().streams().get(name).cloned()
    }

    fn describe(&self, stream: &Stream) -> StreamDescription {
        let here = self.node.streams.get_life(&stream.name, stream.id);
        let partitions = stream.numbered_partitions();
        StreamDescription {
            name: stream.name.clone(),
            subject: stream.subject.clone(),
            created_at: stream.created_at,
            partitions: partitions.map(|(id, agreed)| describe_partition(id, agreed, here.as_deref())).collect(),
        }
    }
}

fn describe_partition(id: PartitionId, agreed: &AgreedPartition, here: Option<&LocalStream>) -> PartitionDescription {
    let replica = here.and_then(|stream| stream.partition(id)).and_then(|partition| partition.replica());
    let status = replica.map(|replica| replica.status());
    PartitionDescription {
        id,
        leader: agreed.leader.clone(),
        replicas: agreed.replicas.to_vec(),
        isr: agreed.isr.to_vec(),
        high_watermark: status.as_ref().map(|status| status.high_watermark),
        log_end: status.as_ref().map(|status| status.log_end),
        paused: agreed.paused,
        readonly: agreed.readonly,
        messages_received: status.map_or_else(EventTimes::default, |status| status.messages_received),
        pause_changes: event_times(agreed.pause_changes),
        readonly_changes: event_times(agreed.readonly_changes),
    }
}

fn event_times(times: Option<ChangeTimes>) -> EventTimes {
    EventTimes { first: times.map(|times| times.first), latest: times.map(|times| times.latest) }
}
