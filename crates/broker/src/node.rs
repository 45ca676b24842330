//! What a broker is made of: its metadata, its partitions and the tables that lead to them. Owns how agreed streams become
//! partitions on this node; never the requests made of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use liftbridge_commitlog::Volume;
use liftbridge_metadata_raft::{Metadata, Partition as AgreedPartition, Standing, Stream};
use liftbridge_replication::{Assignment, BrokerLife};
use liftbridge_types::{BrokerId, BrokerIncarnation, PartitionId, StreamSettings, Subject};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::agreement::Agreement;
use crate::clock::Clock;
use crate::directories;
use crate::partition::{Partition, PartitionHost, PartitionSpec};
use crate::peers::Peers;
use crate::requests::PartitionRoute;
use crate::shutdown::Life;
use crate::streams_here::{LocalPartition, LocalStream, Seats, StreamsHere};
use crate::subjects::{Attachment, Subjects};

/// How long a stream that is not known is waited for. Longer than news takes from one server to another, and too short for
/// anybody to mind who has mistaken a name.
const HEARSAY_PATIENCE: Duration = Duration::from_millis(200);

/// One running broker's insides, shared by every handle on it.
pub(crate) struct Node {
    pub(crate) id: BrokerId,
    pub(crate) volume: Arc<dyn Volume>,
    pub(crate) stream_defaults: StreamSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metadata: Metadata,
    pub(crate) agreement: Agreement,
    pub(crate) peers: Arc<dyn Peers>,
    /// Where tasks are spawned by those who run elsewhere: answers are given by log workers, too.
    pub(crate) runtime: Handle,
    /// This server's part among the others.
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) host: Arc<PartitionHost>,
    pub(crate) streams: StreamsHere,
    pub(crate) subjects: Subjects<Arc<LocalPartition>>,
    pub(crate) life: Life,
    /// Which life of the broker this is, once the cluster has said so.
    pub(crate) incarnation: OnceLock<BrokerIncarnation>,
    /// Whether the session with the controller has lapsed.
    pub(crate) lapsed: AtomicBool,
    /// Whether the controller has not answered at all for a session timeout.
    pub(crate) cut_off: AtomicBool,
    /// Whether it takes its leave, and gives no signs of life any more.
    pub(crate) leaving: AtomicBool,
    /// Whether it lets nothing in, because others are about to lead what it leads.
    pub(crate) handing_over: watch::Sender<bool>,
    /// Why the cluster has no place for this server, once that is so.
    pub(crate) expulsion: watch::Sender<Option<String>>,
}

impl Node {
    /// Makes a stream's partitions known, and opens those that this broker keeps. Blocks on file I/O.
    pub(crate) fn open_stream(&self, stream: &Stream) -> Arc<LocalStream> {
        let settings = self.stream_defaults.with_overrides(&stream.overrides);
        let open = |(id, agreed): (PartitionId, &AgreedPartition)| {
            let route = Arc::new(PartitionRoute {
                stream: stream.name.clone(),
                partition: id,
                stream_subject: stream.subject.clone(),
                partition_subject: stream.subject.of_partition(id),
            });
            LocalPartition::new(self.id.clone(), route, seats(agreed), agreed.readonly, agreed.paused)
        };
        let opened = LocalStream {
            id: stream.id,
            name: stream.name.clone(),
            group: stream.group.clone(),
            expects_offsets: settings.optimistic_concurrency_control,
            partitions: stream.numbered_partitions().map(open).collect(),
            settings,
            resuming: tokio::sync::Mutex::new(()),
        };
        for (partition, agreed) in opened.partitions.iter().zip(&stream.partitions) {
            if agreed.replicas.contains(&self.id) {
                partition.keep(self.open_replica(&opened, partition.route(), agreed));
            }
        }
        Arc::new(opened)
    }

    /// Makes an opened stream known: from here on it is published to and read.
    pub(crate) fn adopt(&self, stream: Arc<LocalStream>) {
        for partition in &stream.partitions {
            self.subjects.attach(attachment(&stream, partition.subject()), Arc::clone(partition));
        }
        self.streams.insert(stream);
    }

    /// Makes a stream unknown again; its partitions are still open.
    pub(crate) fn forget(&self, stream: &LocalStream) {
        self.streams.remove(&stream.name, stream.id);
        for partition in &stream.partitions {
            self.subjects.detach(attachment(stream, partition.subject()), partition);
        }
    }

    /// Opens the replica of a partition that this broker keeps. Blocks on file I/O.
    pub(crate) fn open_replica(
        &self,
        stream: &LocalStream,
        route: &Arc<PartitionRoute>,
        agreed: &AgreedPartition,
    ) -> Arc<Partition> {
        self.host.open(PartitionSpec {
            route: Arc::clone(route),
            directory: directories::of_partition(stream.id, &stream.name, route.partition),
            stream_id: stream.id,
            broker_id: self.id.clone(),
            incarnation: self.incarnation.get().copied(),
            assignment: self.assignment(agreed),
            settings: stream.settings.clone(),
            readonly: agreed.readonly,
            paused: agreed.paused,
        })
    }

    /// What was agreed about a partition, in the words of the replicas.
    pub(crate) fn assignment(&self, agreed: &AgreedPartition) -> Assignment {
        let state = self.metadata.state();
        let life = |id: &BrokerId| {
            let incarnation = state.brokers().get(id).map(|broker| broker.incarnation);
            BrokerLife { id: id.clone(), incarnation: incarnation.unwrap_or_default() }
        };
        Assignment {
            leader: agreed.leader.clone(),
            leader_epoch: agreed.leader_epoch,
            epoch: agreed.epoch,
            replicas: agreed.replicas.iter().map(life).collect(),
            in_sync: agreed.isr.to_vec(),
            eligible: agreed.eligible.to_vec(),
            in_sync_min: None,
        }
    }

    /// This life of the broker; before the cluster has given it a number, one that nobody has.
    pub(crate) fn incarnation(&self) -> BrokerIncarnation {
        self.incarnation.get().copied().unwrap_or_default()
    }

    /// The session with the controller has lapsed: what is led here together with others may be led elsewhere by now.
    pub(crate) fn lapse(&self, why: &str) {
        if !self.lapsed.swap(true, Ordering::AcqRel) {
            tracing::info!(why, "partitions with replicas elsewhere take no publishes here");
            self.on_session(true);
        }
    }

    /// The session with the controller goes on.
    pub(crate) fn renew_lease(&self) {
        if self.lapsed.swap(false, Ordering::AcqRel) {
            tracing::info!("the controller knows this broker: partitions led here take publishes");
            self.on_session(false);
        }
    }

    /// Whether it gives the controller signs of life.
    pub(crate) fn gives_signs_of_life(&self) -> bool {
        !self.leaving.load(Ordering::Acquire) && self.expulsion.borrow().is_none()
    }

    /// Waits a moment for a stream that is not known here: it may have been made through another server just now.
    pub(crate) async fn hear_of_stream(&self, name: &str) {
        let end = Instant::now() + HEARSAY_PATIENCE;
        let mut carried_out = self.agreement.carried_out();
        while self.streams.get(name).is_none() && !self.standing.borrow().alone {
            match tokio::time::timeout_at(end, self.agreement.carried_out_after(carried_out)).await {
                Ok(Some(index)) => carried_out = index,
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Whether what is published has to wait until others lead what this broker leads.
    pub(crate) fn is_handing_over(&self) -> bool {
        *self.handing_over.borrow()
    }

    /// Waits until others lead what this broker has led, if they are about to.
    pub(crate) async fn handover_over(&self) {
        if self.is_handing_over() {
            // It fails only with the node.
            let _ = self.handing_over.subscribe().wait_for(|is_handing_over| !is_handing_over).await;
        }
    }

    /// Whether everything that was let in here for partitions with other replicas is committed.
    pub(crate) fn is_settled(&self) -> bool {
        self.streams.all().iter().flat_map(|stream| &stream.partitions).all(|partition| {
            let replica = partition.leading_replica().filter(|replica| replica.is_replicated());
            replica.is_none_or(|replica| {
                let status = replica.status();
                status.high_watermark >= status.log_end
            })
        })
    }

    /// Notes that the cluster has no place for this server.
    pub(crate) fn expel(&self, reason: String) {
        self.expulsion.send_if_modified(|known| {
            let is_news = known.is_none();
            if is_news {
                tracing::error!(reason, "this server must stop");
                *known = Some(reason);
            }
            is_news
        });
    }

    /// Waits until the cluster has no place for this server; why.
    pub(crate) async fn expelled(&self) -> String {
        let mut expulsion = self.expulsion.subscribe();
        let known = expulsion.wait_for(Option::is_some).await.map(|reason| reason.clone());
        known.ok().flatten().unwrap_or_default()
    }

    /// Tells the links who the other servers are, as far as this one knows.
    pub(crate) fn tell_peers(&self) {
        let peers: BTreeMap<BrokerId, String> = {
            let state = self.metadata.state();
            let others = state.nodes().iter().filter(|(_, node)| node.broker != self.id);
            others.filter_map(|(_, node)| Some((node.broker.clone(), node.peer_address.clone()?))).collect()
        };
        self.peers.set_peers(&peers);
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id).field("life", &self.life).finish_non_exhaustive()
    }
}

/// Who has which place in a partition.
pub(crate) fn seats(agreed: &AgreedPartition) -> Seats {
    Seats { leader: agreed.leader.clone(), in_sync: Arc::clone(&agreed.isr) }
}

fn attachment<'a>(stream: &'a LocalStream, subject: &'a Subject) -> Attachment<'a> {
    Attachment { subject, group: stream.group.as_deref() }
}
