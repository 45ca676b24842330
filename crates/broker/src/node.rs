//! What a broker is made of: its metadata, its partitions and the tables that lead to them. Owns how agreed streams become
//! partitions on this node; never the requests made of them.

use std::fmt;
use std::sync::Arc;

use liftbridge_commitlog::Volume;
use liftbridge_metadata_raft::{Metadata, Partition as AgreedPartition, Stream};
use liftbridge_replication::{Assignment, BrokerLife};
use liftbridge_types::{BrokerId, PartitionId, StreamSettings, Subject};

use crate::agreement::Agreement;
use crate::clock::Clock;
use crate::directories;
use crate::partition::{PartitionHost, PartitionSpec};
use crate::requests::PartitionRoute;
use crate::shutdown::Life;
use crate::streams_here::{LocalPartition, LocalStream, StreamsHere};
use crate::subjects::{Attachment, Subjects};

/// One running broker's insides, shared by every handle on it.
pub(crate) struct Node {
    pub(crate) id: BrokerId,
    pub(crate) volume: Arc<dyn Volume>,
    pub(crate) stream_defaults: StreamSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metadata: Metadata,
    pub(crate) agreement: Agreement,
    pub(crate) host: Arc<PartitionHost>,
    pub(crate) streams: StreamsHere,
    pub(crate) subjects: Subjects<Arc<LocalPartition>>,
    pub(crate) life: Life,
}

impl Node {
    /// Opens those partitions of a stream that this broker leads. Blocks on file I/O.
    pub(crate) fn open_stream(&self, stream: &Stream) -> Arc<LocalStream> {
        let settings = self.stream_defaults.with_overrides(&stream.overrides);
        let open = |(id, partition): (PartitionId, &AgreedPartition)| {
            let led_here = partition.leader.as_ref() == Some(&self.id);
            led_here.then(|| self.open_partition(stream, id, partition, &settings))
        };
        Arc::new(LocalStream {
            id: stream.id,
            name: stream.name.clone(),
            group: stream.group.clone(),
            expects_offsets: settings.optimistic_concurrency_control,
            partitions: stream.numbered_partitions().map(open).collect(),
            resuming: tokio::sync::Mutex::new(()),
        })
    }

    /// Makes an opened stream known: from here on it is published to and read.
    pub(crate) fn adopt(&self, stream: Arc<LocalStream>) {
        for partition in stream.here() {
            self.subjects.attach(attachment(&stream, partition.subject()), Arc::clone(partition));
        }
        self.streams.insert(stream);
    }

    /// Makes a stream unknown again; its partitions are still open.
    pub(crate) fn forget(&self, stream: &LocalStream) {
        self.streams.remove(&stream.name, stream.id);
        for partition in stream.here() {
            self.subjects.detach(attachment(stream, partition.subject()), partition);
        }
    }

    fn open_partition(
        &self,
        stream: &Stream,
        id: PartitionId,
        agreed: &AgreedPartition,
        settings: &StreamSettings,
    ) -> Arc<LocalPartition> {
        let route = PartitionRoute {
            stream: stream.name.clone(),
            partition: id,
            stream_subject: stream.subject.clone(),
            partition_subject: stream.subject.of_partition(id),
        };
        let handle = self.host.open(PartitionSpec {
            route: Arc::new(route),
            directory: directories::of_partition(stream.id, &stream.name, id),
            stream_id: stream.id,
            broker_id: self.id.clone(),
            incarnation: None,
            assignment: self.assignment(agreed),
            settings: settings.clone(),
            readonly: agreed.readonly,
            paused: agreed.paused,
        });
        LocalPartition::new(handle, agreed.readonly)
    }

    /// What was agreed about a partition, in the words of the replicas.
    fn assignment(&self, agreed: &AgreedPartition) -> Assignment {
        Assignment {
            leader: agreed.leader.clone(),
            leader_epoch: agreed.leader_epoch,
            epoch: agreed.epoch,
            replicas: agreed.replicas.iter().map(|id| self.life_of(id)).collect(),
            in_sync: agreed.isr.to_vec(),
            in_sync_min: None,
        }
    }

    /// A broker in the life the metadata knows it in.
    fn life_of(&self, id: &BrokerId) -> BrokerLife {
        let incarnation = self.metadata.state().brokers().get(id).map(|broker| broker.incarnation);
        BrokerLife { id: id.clone(), incarnation: incarnation.unwrap_or_default() }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id).field("life", &self.life).finish_non_exhaustive()
    }
}

fn attachment<'a>(stream: &'a LocalStream, subject: &'a Subject) -> Attachment<'a> {
    Attachment { subject, group: stream.group.as_deref() }
}
