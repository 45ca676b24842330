//! Stopping. Owns the order in which a node's parts end; never what they do before.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;

use liftbridge_metadata_raft::{BrokerLife, Command, Part};
use tokio::sync::{oneshot, watch};

use crate::broker::Broker;
use crate::clean_stop;
use crate::node::Node;
use crate::partition::Completion;
use crate::requests::Shutdown;

/// How long the others get to take over before this server goes.
const HANDOVER_PATIENCE: Duration = Duration::from_secs(2);

/// How long what was let in may take to be committed before that.
const SETTLING_PATIENCE: Duration = Duration::from_millis(400);
/// How often it is looked at, and how often in a row it has to be so: what was let in last may not have got anywhere yet.
const SETTLING_LOOK: Duration = Duration::from_millis(5);
const SETTLED_LOOKS: usize = 4;

/// How long threads get to leave the storage once nothing is finished any more. One that is stuck there cannot be ended.
const CUT_OFF_PATIENCE: Duration = Duration::from_secs(2);

/// How far a node is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It takes requests.
    Running,
    /// It takes none and finishes what it has taken.
    Finishing,
    /// It finishes nothing any more.
    Hurrying,
    /// Everything has ended, but for threads that the storage does not give back.
    Stopped,
}

/// A node's way from running to stopped. It never goes back.
#[derive(Debug)]
pub(crate) struct Life {
    phase: watch::Sender<Phase>,
}

impl Default for Life {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Running) }
    }
}

impl Life {
    /// Whether requests are taken.
    pub(crate) fn is_running(&self) -> bool {
        *self.phase.borrow() == Phase::Running
    }

    /// Waits until requests are taken no more, or the node is gone.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reached(Phase::Finishing)
    }

    fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + 'static {
        let mut watched = self.phase.subscribe();
        async move {
            // An error means that the node is gone, which is later than every phase.
            let _ = watched.wait_for(|reached| *reached >= phase).await;
        }
    }

    /// Moves on to `phase`; `true` when that ends the running.
    fn advance(&self, phase: Phase) -> bool {
        let mut was_running = false;
        self.phase.send_if_modified(|reached| {
            was_running = *reached == Phase::Running;
            let moves = *reached < phase;
            *reached = phase.max(*reached);
            moves
        });
        was_running
    }
}

impl Broker {
    /// Stops. Returns when everything is stopped, soon after its patience is over at the latest; a second, fast call cuts a
    /// graceful one short.
    pub async fn shutdown(&self, how: Shutdown) {
        let (phase, patience) = match how {
            Shutdown::Graceful(patience) => (Phase::Finishing, patience),
            Shutdown::Fast => (Phase::Hurrying, Duration::ZERO),
        };
        let stopped = self.node.life.reached(Phase::Stopped);
        if phase == Phase::Finishing && self.node.life.is_running() {
            hand_over(&self.node).await;
        }
        if self.node.life.advance(phase) {
            // A task of its own, so that it is finished even if the caller stops waiting.
            tokio::spawn(stop(Arc::clone(&self.node), patience));
        }
        stopped.await;
    }
}

/// Finishes within `patience`, which ends early when somebody hurries; what is not finished by then is cut off.
async fn stop(node: Arc<Node>, patience: Duration) {
    let finished = tokio::select! {
        finished = tokio::time::timeout(patience, finish(&node)) => finished.is_ok(),
        () = node.life.reached(Phase::Hurrying) => false,
    };
    if !finished {
        tracing::warn!("not everything was finished; the next start recovers it");
        if tokio::time::timeout(CUT_OFF_PATIENCE, cut_off(&node)).await.is_err() {
            tracing::error!("the storage does not answer: stopped without the threads that wait for it");
        }
    }
    node.life.advance(Phase::Stopped);
}

/// Partitions first, which need the workers; then the metadata, so that nothing is agreed on that nobody carries out; the
/// workers last. Takes as long as the storage does.
async fn finish(node: &Arc<Node>) {
    finish_partitions(node).await;
    on_a_thread(node, |node| {
        node.metadata.close();
        node.host.stop(true);
        if let Err(error) = clean_stop::end(&*node.volume) {
            tracing::warn!(%error, "that everything was closed was not noted: the next start takes it for a crash");
        }
    })
    .await;
}

/// Ends everything where it stands. The workers first here: the follower may wait for one of them, and the metadata for the
/// follower.
async fn cut_off(node: &Arc<Node>) {
    on_a_thread(node, |node| {
        node.host.stop(false);
        node.metadata.close();
    })
    .await;
}

/// Does what blocks on a thread that nobody has to wait for: a runtime would, when it ends, for one of its own.
async fn on_a_thread(node: &Arc<Node>, ends: impl FnOnce(&Node) + Send + 'static) {
    let (done, ended) = oneshot::channel::<()>();
    let node = Arc::clone(node);
    let started = Builder::new().name("shutdown".to_owned()).spawn(move || {
        ends(&node);
        drop(done);
    });
    if let Err(error) = started {
        tracing::error!(%error, "no thread to stop with");
    }
    // Always an error: what counts is that the sender is gone.
    let _ = ended.await;
}

/// Has others lead what this broker leads, and another server be the controller, while everything here still answers: what is
/// published through this server goes to whoever leads by then. Whoever is alone has nobody to ask; whoever gets no answer is
/// fenced when nothing is heard of it.
pub(crate) async fn hand_over(node: &Arc<Node>) {
    if node.standing.borrow().alone || node.leaving.swap(true, Ordering::AcqRel) {
        return;
    }
    node.handing_over.send_replace(true);
    // What is not committed by then ends with an error that says so.
    let _ = tokio::time::timeout(SETTLING_PATIENCE, settled(node)).await;
    let life = BrokerLife { id: node.id.clone(), incarnation: node.incarnation() };
    let handed_over = tokio::time::timeout(HANDOVER_PATIENCE, async {
        if let Err(error) = node.agreement.reach(Command::FenceBroker(life)).await {
            tracing::warn!(%error, "the others were not told that this server stops");
        }
        node.handing_over.send_replace(false);
        node.metadata.resign();
        // An error means that the metadata is gone, and its part with it.
        let _ = node.standing.clone().wait_for(|standing| standing.part != Part::Controller).await;
    });
    if handed_over.await.is_err() {
        tracing::warn!("nobody took over in time: the others will notice that this server is gone");
    }
    node.handing_over.send_replace(false);
}

/// Waits until everything that was let in is committed.
async fn settled(node: &Node) {
    let mut looks = tokio::time::interval(SETTLING_LOOK);
    let mut settled_looks = 0;
    while settled_looks < SETTLED_LOOKS {
        looks.tick().await;
        settled_looks = if node.is_settled() { settled_looks + 1 } else { 0 };
    }
}

async fn finish_partitions(node: &Node) {
    let streams = node.streams.all();
    let ends: Vec<Completion> =
        streams.iter().flat_map(|stream| stream.replicas()).map(|replica| replica.shutdown()).collect();
    for end in ends {
        end.await;
    }
}
