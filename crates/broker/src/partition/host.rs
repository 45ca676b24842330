//! What the partitions of a node share: volume, clock, workers, upkeep and the bounds over all of them. Never a list of
//! partitions: who owns them is the broker's matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use liftbridge_commitlog::{BATCH_BYTES_MAX, SyncPolicy, Volume};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::begun_logs::BegunLogs;
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::metrics::{Metrics, as_gauge};
use crate::partition::upkeep::Upkeep;
use crate::partition::{Partition, PartitionSpec, Wished};
use crate::peers::Peers;
use crate::read_budget::ReadBudget;
use crate::tail_budget::TailBudget;
use crate::workers::Workers;

/// Reads of segment files under way at once. More would only queue in the kernel, with a thread and a buffer each.
pub(super) const CONCURRENT_READS_MAX: usize = 16;

/// The largest message whatever the configuration says, so that one with its headers always fits a batch.
const MESSAGE_BYTES_LIMIT: usize = BATCH_BYTES_MAX as usize / 2;

/// Free bytes from which on a disk that was full counts as having room again: more than the largest batch, or it would be full
/// again with the next one.
const ROOM_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// The bounds every partition keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most messages in one batch.
    pub(crate) batch_messages_max: usize,
    /// How long a batch waits for more messages.
    pub(crate) batch_time_max: Duration,
    /// Most bytes in one message.
    pub(crate) message_bytes_max: usize,
    /// Time without activity after which files and caches are closed.
    pub(crate) park_after: Duration,
    /// Most subscriptions on this node at once.
    pub(crate) subscriptions_max: usize,
    /// How long an in-sync replica may go without being abreast of its leader.
    pub(crate) replica_lag_max: Duration,
    /// Most bytes of one partition on their way to one follower.
    pub(crate) replica_window_bytes: usize,
}

/// What the partitions of a node share.
#[derive(Debug)]
pub(crate) struct PartitionHost {
    pub(super) volume: Arc<dyn Volume>,
    pub(super) begun_logs: Arc<BegunLogs>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sync: SyncPolicy,
    pub(super) limits: Limits,
    pub(super) workers: Workers<Partition>,
    pub(super) upkeep: Arc<Upkeep<Partition>>,
    reads: Arc<Semaphore>,
    read_budget: ReadBudget,
    subscriptions: Arc<Semaphore>,
    admission: Admission,
    pub(super) tails: Arc<TailBudget>,
    metrics: Metrics,
    pub(super) peers: Arc<dyn Peers>,
    /// What partitions want the cluster to agree on: at most one wish of each within a second or so.
    wishes: mpsc::UnboundedSender<Wished>,
    wished: Mutex<Option<mpsc::UnboundedReceiver<Wished>>>,
    session_lapsed: AtomicBool,
    upkeep_task: Mutex<Option<JoinHandle<()>>>,
}

impl PartitionHost {
    /// Starts what partitions need. Must be called within a tokio runtime.
    pub(crate) fn start(config: &BrokerConfig, begun_logs: Arc<BegunLogs>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let host = Self::without_timer(config, begun_logs, clock);
        let upkeep = Arc::clone(&host.upkeep);
        *host.upkeep_task.lock() = Some(tokio::spawn(async move { upkeep.run().await }));
        host
    }

    /// A host whose duties come only when [`Upkeep::run_due`] is called.
    pub(super) fn without_timer(config: &BrokerConfig, begun_logs: Arc<BegunLogs>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let limits = Limits {
            batch_messages_max: config.batch_messages_max.max(1),
            batch_time_max: config.batch_time_max,
            message_bytes_max: config.message_bytes_max.min(MESSAGE_BYTES_LIMIT),
            park_after: config.park_after,
            subscriptions_max: config.subscriptions_max.min(Semaphore::MAX_PERMITS),
            replica_lag_max: config.cluster.replica_lag_max,
            replica_window_bytes: config.replica_window_bytes.max(1),
        };
        let (wishes, wished) = mpsc::unbounded_channel();
        Arc::new(Self {
            volume: Arc::clone(&config.volume),
            begun_logs,
            upkeep: Arc::new(Upkeep::new(Arc::clone(&clock))),
            clock,
            sync: config.sync,
            workers: Workers::new(config.log_workers),
            reads: Arc::new(Semaphore::new(CONCURRENT_READS_MAX)),
            read_budget: ReadBudget::new(config.read_bytes_max),
            subscriptions: Arc::new(Semaphore::new(limits.subscriptions_max)),
            limits,
            admission: Admission::new(config.admission_bytes_max),
            tails: TailBudget::new(config.tail_bytes_max),
            metrics: Metrics::new(),
            peers: Arc::clone(&config.cluster.peers),
            wishes,
            wished: Mutex::new(Some(wished)),
            session_lapsed: AtomicBool::new(false),
            upkeep_task: Mutex::new(None),
        })
    }

    /// The node's bound on waiting bytes: acquire from it before proposing.
    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// What partitions count.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What the partitions want the cluster to agree on, from now on; `None` when somebody has that already.
    pub(crate) fn take_wishes(&self) -> Option<mpsc::UnboundedReceiver<Wished>> {
        self.wished.lock().take()
    }

    /// The session with the controller lapsed, or was renewed. Partitions that begin to lead later go by it; those that lead are
    /// told by [`Partition::hear`].
    pub(crate) fn note_session(&self, is_lapsed: bool) {
        self.session_lapsed.store(is_lapsed, Ordering::SeqCst);
    }

    pub(super) fn is_session_lapsed(&self) -> bool {
        self.session_lapsed.load(Ordering::SeqCst)
    }

    /// Whether a disk that was full has room again, as far as it can tell.
    pub(super) fn has_room(&self) -> bool {
        self.volume.free_bytes().is_none_or(|free| free >= ROOM_BYTES_MIN)
    }

    pub(super) fn wish(&self, wished: Wished) {
        // Whoever carries wishes out has ended, and with it the node.
        let _ = self.wishes.send(wished);
    }

    /// Brings the gauges that belong to no stream up to date.
    pub(crate) fn refresh_metrics(&self) {
        let subscription_count = self.limits.subscriptions_max - self.subscriptions.available_permits();
        self.metrics.waiting_bytes.set(as_gauge(self.admission.waiting_bytes() as u64));
        self.metrics.subscriptions.set(as_gauge(subscription_count as u64));
    }

    /// Opens a partition, recovering its log if need be. Blocks on file I/O. Never fails: a partition whose log cannot be
    /// opened is offline and says why.
    pub(crate) fn open(self: &Arc<Self>, spec: PartitionSpec) -> Arc<Partition> {
        Partition::open(Arc::clone(self), spec)
    }

    /// Stops the workers and the upkeep: after what is queued (`finish`; call [`Partition::shutdown`] on every partition and
    /// await it before) or at once. Blocks until the threads are gone.
    pub(crate) fn stop(&self, finish: bool) {
        if let Some(task) = self.upkeep_task.lock().take() {
            task.abort();
        }
        self.workers.stop(finish);
    }

    /// The right to one more subscription; `None` when there are as many as there may be.
    pub(super) fn admit_subscription(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.subscriptions).try_acquire_owned().ok()
    }

    /// What subscriptions may hold of what they read.
    pub(crate) fn read_budget(&self) -> &ReadBudget {
        &self.read_budget
    }

    /// The right to one blocking read, waiting for it. Cancel safe.
    pub(crate) async fn admit_read(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.reads).acquire_owned().await.expect("the semaphore is never closed")
    }
}
