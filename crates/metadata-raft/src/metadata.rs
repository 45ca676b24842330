//! The handle on the agreed metadata. Owns the thread raft runs on and the bounds between it and everybody else; never what
//! is agreed on.

use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use liftbridge_commitlog::Volume;
use parking_lot::{Mutex, RwLock};

use crate::cluster_event::{Applied, ClusterEvent, DeletedStream};
use crate::cluster_state::ClusterState;
use crate::codec::encode_command;
use crate::command::Command;
use crate::log_index::LogIndex;
use crate::proposal::{ProposalReply, Unavailable};
use crate::raft_node::{NodeFailure, RaftNode};
use crate::raft_storage::{OpenMetadataError, OpenedStorage, RaftStorage};

/// Commands that may wait to be stored. A proposal beyond them is refused as [`Unavailable::Busy`].
pub const PROPOSALS_WAITING_MAX: usize = 1024;
/// The largest encoded command. The largest useful one names every partition of the largest stream.
const COMMAND_BYTES_MAX: usize = 128 * 1024;
/// How often a full disk is tried again for those whose commands wait for room.
const ROOM_RETRY: Duration = Duration::from_secs(1);

/// How the metadata is kept.
#[derive(Clone, Debug)]
pub struct MetadataOptions {
    /// Commands after which a snapshot is taken, at least 1.
    pub snapshot_threshold: u64,
    /// Snapshots kept, at least 1.
    pub snapshot_retain: usize,
    /// What the cluster is called if it has to be founded.
    pub new_cluster_id: String,
    /// Whether it may be founded: not where there is data already, which a new cluster would know nothing of.
    pub may_found: bool,
}

/// What opening found. The state holds all of it; what cannot be seen there is which data has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether there was nothing and the cluster was founded.
    pub founded: bool,
    /// The last entry that was applied: to be reported as carried out when the deletions have been.
    pub index: LogIndex,
    /// Streams deleted since the newest snapshot, whose data may still be there.
    pub deleted: Vec<DeletedStream>,
}

/// The agreed metadata. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Metadata {
    shared: Arc<Shared>,
    requests: SyncSender<Request>,
}

struct Shared {
    state: Arc<RwLock<ClusterState>>,
    carried_out: AtomicU64,
    /// Whether the thread has a [`Request::CarriedOut`] it has not taken in yet; one is enough.
    nudged: AtomicBool,
    failure: RwLock<Option<Unavailable>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Request {
    Propose { command: Vec<u8>, reply: ProposalReply },
    CarriedOut,
    Close,
}

impl Metadata {
    /// Opens the metadata on `volume`, or founds it, and returns when everything agreed on before is applied. What is applied
    /// from then on goes to `deliver`, in order, on raft's thread: while `deliver` blocks, nothing is agreed on.
    ///
    /// # Errors
    /// When it cannot be read back completely; it never starts with less than was agreed on.
    pub fn open(
        volume: &dyn Volume,
        options: &MetadataOptions,
        deliver: impl FnMut(Applied) + Send + 'static,
    ) -> Result<(Self, Recovery), OpenMetadataError> {
        let OpenedStorage { storage, state, founded } =
            RaftStorage::open(volume, options.snapshot_retain, options.may_found.then_some(&options.new_cluster_id))?;
        let carried_out = storage.snapshot_index();
        let state = Arc::new(RwLock::new(state));
        let (node, deleted) = replay(storage, &state, options.snapshot_threshold, Box::new(deliver))?;
        let recovery = Recovery { founded, index: node.applied(), deleted };
        let shared = Arc::new(Shared {
            state,
            carried_out: AtomicU64::new(carried_out.get()),
            nudged: AtomicBool::new(false),
            failure: RwLock::new(None),
            thread: Mutex::new(None),
        });
        // One place more than for proposals, so that news of what was carried out finds room.
        let (requests, received) = sync_channel(PROPOSALS_WAITING_MAX + 1);
        let of_thread = shared.clone();
        let thread =
            std::thread::Builder::new().name("metadata".to_owned()).spawn(move || of_thread.run(node, &received));
        *shared.thread.lock() = Some(thread.map_err(|error| OpenMetadataError::Raft { reason: error.to_string() })?);
        Ok((Self { shared, requests }, recovery))
    }

    /// What is agreed on at this moment. Nothing is applied while the answer is held: look, and let go.
    pub fn state(&self) -> impl Deref<Target = ClusterState> + '_ {
        self.shared.state.read()
    }

    /// Proposes a command; never blocks. Those proposed together are stored together.
    pub fn propose(&self, command: Command, reply: ProposalReply) {
        if let Some(failure) = self.failure() {
            return reply.answer(Err(failure.into()));
        }
        let command = encode_command(command);
        if command.len() > COMMAND_BYTES_MAX {
            let too_large = Unavailable::TooLarge { bytes: command.len(), limit: COMMAND_BYTES_MAX };
            return reply.answer(Err(too_large.into()));
        }
        match self.requests.try_send(Request::Propose { command, reply }) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(request)) => {
                if let Request::Propose { reply, .. } = request {
                    reply.answer(Err(Unavailable::Busy.into()));
                }
            }
        }
    }

    /// Reports that everything up to `index` was carried out on this server, so that a snapshot may contain it.
    pub fn carried_out(&self, index: LogIndex) {
        self.shared.carried_out.fetch_max(index.get(), Ordering::AcqRel);
        if !self.shared.nudged.swap(true, Ordering::AcqRel) {
            // It fails when the thread has ended, and then no snapshot is due.
            let _ = self.requests.try_send(Request::CarriedOut);
        }
    }

    /// Why nothing can be agreed on any more; `None` while all is well.
    pub fn failure(&self) -> Option<Unavailable> {
        self.shared.failure.read().clone()
    }

    /// Finishes what was proposed before (but what a full disk does not take, whose proposers hear that it is
    /// [`Unavailable::Closed`]), leaves clean files behind and ends the thread. Blocks until that is done; doing it
    /// again does nothing.
    pub fn close(&self) {
        // Without a thread to receive it there is nothing to close.
        let _ = self.requests.send(Request::Close);
        let thread = self.shared.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("metadata thread ended with a panic");
        }
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("failure", &self.failure()).finish_non_exhaustive()
    }
}

/// Starts the node, which applies everything its log holds, and notes what must go because of that.
fn replay(
    storage: RaftStorage,
    state: &Arc<RwLock<ClusterState>>,
    snapshot_threshold: u64,
    deliver: Box<dyn FnMut(Applied) + Send>,
) -> Result<(RaftNode, Vec<DeletedStream>), OpenMetadataError> {
    let deleted = Arc::new(Mutex::new(Vec::new()));
    let noted = deleted.clone();
    let note = move |applied: Applied| {
        let gone = applied.events.into_iter().filter_map(|event| match event {
            ClusterEvent::StreamDeleted(stream) => Some(stream),
            _ => None,
        });
        noted.lock().extend(gone);
    };
    let mut node = RaftNode::start(storage, state.clone(), snapshot_threshold, Box::new(note))?;
    node.deliver_to(deliver);
    let deleted = std::mem::take(&mut *deleted.lock());
    Ok((node, deleted))
}

impl Shared {
    /// Raft's thread. Raft asserts its invariants by panicking; such a panic ends the agreement, not the server.
    fn run(&self, mut node: RaftNode, requests: &Receiver<Request>) {
        let served = catch_unwind(AssertUnwindSafe(|| self.serve(&mut node, requests)));
        let reason = match served {
            Ok(Ok(())) => return node.close(),
            Ok(Err(failure)) => failure.to_string(),
            Err(panic) => {
                format!("metadata stopped at a broken invariant: {}; restart the server", panic_text(&*panic))
            }
        };
        tracing::error!(reason, "metadata log failed, streams can no longer be changed");
        let failure = Unavailable::LogFailed { reason };
        *self.failure.write() = Some(failure.clone());
        node.refuse_waiting(&failure);
        refuse_until_closed(requests, &failure);
    }

    fn serve(&self, node: &mut RaftNode, requests: &Receiver<Request>) -> Result<(), NodeFailure> {
        loop {
            let mut closing = match next_request(requests, node.waits_for_room()) {
                Ok(first) => self.take(node, first)?,
                Err(RecvTimeoutError::Timeout) => false,
                // Every handle is gone.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            while let Ok(request) = requests.try_recv() {
                closing |= self.take(node, request)?;
            }
            node.drive()?;
            node.maybe_write_snapshot(LogIndex::new(self.carried_out.load(Ordering::Acquire)))?;
            node.replenish_reserve();
            if closing {
                return Ok(());
            }
        }
    }

    /// Takes a request in; `true` when it is the last.
    fn take(&self, node: &mut RaftNode, request: Request) -> Result<bool, NodeFailure> {
        match request {
            Request::Propose { command, reply } => node.propose(command, reply).map(|()| false),
            Request::CarriedOut => {
                self.nudged.store(false, Ordering::Release);
                Ok(false)
            }
            Request::Close => Ok(true),
        }
    }
}

/// Blocks until there is something to do: a request, or something that waits for room to be tried again.
fn next_request(requests: &Receiver<Request>, waits_for_room: bool) -> Result<Request, RecvTimeoutError> {
    if waits_for_room {
        return requests.recv_timeout(ROOM_RETRY);
    }
    requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
}

fn refuse_until_closed(requests: &Receiver<Request>, failure: &Unavailable) {
    for request in requests {
        match request {
            Request::Propose { reply, .. } => reply.answer(Err(failure.clone().into())),
            Request::CarriedOut => {}
            Request::Close => return,
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown")
}

#[cfg(test)]
mod tests;
