//! The handle on the agreed metadata. Owns the thread raft runs on and the bounds between it and everybody else; never what
//! is agreed on.

use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use liftbridge_commitlog::Volume;
use liftbridge_types::BrokerId;
use parking_lot::{Mutex, RwLock};

use crate::admission::Join;
use crate::agreed_state::AgreedState;
use crate::call_reply::{CallReply, JoinAnswer};
use crate::cluster_event::{Applied, ClusterEvent, DeletedStream};
use crate::cluster_state::ClusterState;
use crate::codec::encode_command;
use crate::command::Command;
use crate::controller::ControllerOptions;
use crate::log_index::LogIndex;
use crate::node_id::RaftId;
use crate::proposal::{ProposalReply, Unavailable};
use crate::raft_node::{NodeFailure, NodeOptions, Ports, RaftNode};
use crate::raft_storage::{OpenMetadataError, OpenedStorage, RaftStorage};
use crate::sessions::{Heartbeat, HeartbeatAnswer};
use crate::state::Stream;

/// Commands that may wait to be stored. A proposal beyond them is refused as [`Unavailable::Busy`].
pub const PROPOSALS_WAITING_MAX: usize = 1024;
/// Messages of other servers, and their calls, that may wait; one beyond them is dropped, as the network might have done.
const MESSAGES_WAITING_MAX: usize = 256;
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
    /// How long a broker may give no sign of life before it is fenced.
    pub session_timeout: Duration,
    /// How many servers vote at most; 0 = all.
    pub voters_max: usize,
    /// Whether a partition that lost all in-sync replicas gets a leader that may lack what was committed.
    pub unclean_elections: bool,
    /// What election timeouts follow from; another number on every server and in every life.
    pub seed: u64,
}

impl MetadataOptions {
    /// The defaults, for a cluster that is founded under this id if it has to be.
    pub fn new(new_cluster_id: String) -> Self {
        Self {
            snapshot_threshold: 8192,
            snapshot_retain: 2,
            new_cluster_id,
            may_found: true,
            session_timeout: Duration::from_secs(2),
            voters_max: 0,
            unclean_elections: false,
            seed: 0,
        }
    }

    pub(crate) fn of_node(&self) -> NodeOptions {
        NodeOptions {
            snapshot_threshold: self.snapshot_threshold,
            controller: ControllerOptions {
                session_timeout: self.session_timeout,
                voters_max: self.voters_max,
                unclean_elections: self.unclean_elections,
            },
            seed: self.seed,
        }
    }
}

/// What opening found. The state holds all of it; what cannot be seen there is which data has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether there was nothing and the cluster was founded.
    pub founded: bool,
    /// Raft's number for this server.
    pub raft_id: RaftId,
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
    state: Arc<AgreedState>,
    carried_out: AtomicU64,
    /// Whether the thread has a [`Request::CarriedOut`] it has not taken in yet; one is enough.
    nudged: AtomicBool,
    failure: RwLock<Option<Unavailable>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Request {
    Propose { command: Vec<u8>, reply: ProposalReply },
    Message { from: BrokerId, bytes: Bytes },
    Join { join: Join, reply: CallReply<JoinAnswer> },
    Heartbeat { beat: Heartbeat, reply: CallReply<HeartbeatAnswer> },
    Resign,
    CarriedOut,
    Close,
}

impl Metadata {
    /// Opens the metadata on `volume`, or founds it. A server that votes alone returns when everything agreed on before is
    /// applied; one with peers when that is applied which it knows to be. What is applied from then on goes to
    /// `ports.deliver`, in order, on raft's thread.
    ///
    /// # Errors
    /// When it cannot be read back completely; it never starts with less than was agreed on.
    pub fn open(
        volume: &dyn Volume,
        options: &MetadataOptions,
        ports: Ports,
    ) -> Result<(Self, Recovery), OpenMetadataError> {
        let OpenedStorage { storage, state, founded } =
            RaftStorage::open(volume, options.snapshot_retain, options.may_found.then_some(&options.new_cluster_id))?;
        let (carried_out, raft_id) = (storage.snapshot_index(), storage.raft_id());
        let state = Arc::new(AgreedState::new(state, carried_out));
        let (node, deleted) = replay(storage, &state, options.of_node(), ports)?;
        let recovery = Recovery { founded, raft_id, index: node.applied(), deleted };
        let shared = Arc::new(Shared {
            state,
            carried_out: AtomicU64::new(carried_out.get()),
            nudged: AtomicBool::new(false),
            failure: RwLock::new(None),
            thread: Mutex::new(None),
        });
        // One place more than for proposals and messages, so that news of what was carried out finds room.
        let (requests, received) = sync_channel(PROPOSALS_WAITING_MAX + MESSAGES_WAITING_MAX + 1);
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

    /// The streams that are agreed on at this moment, and the last entry that made them what they are.
    pub fn streams(&self) -> (LogIndex, Vec<Arc<Stream>>) {
        self.shared.state.look(|state| state.streams().iter().cloned().collect())
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

    /// Takes in a message that another server's port has sent. Never blocks: what there is no room for is dropped.
    pub fn receive(&self, from: BrokerId, bytes: Bytes) {
        let _ = self.requests.try_send(Request::Message { from, bytes });
    }

    /// Lets another server into the cluster, or says why not; never blocks. The answer may take an agreement.
    pub fn join(&self, join: Join, reply: CallReply<JoinAnswer>) {
        // Where there is no room the reply is dropped, and with it answered.
        let _ = self.requests.try_send(Request::Join { join, reply });
    }

    /// Hears a broker; never blocks. Only the controller has something to say to it.
    pub fn heartbeat(&self, beat: Heartbeat, reply: CallReply<HeartbeatAnswer>) {
        let _ = self.requests.try_send(Request::Heartbeat { beat, reply });
    }

    /// Hands the part of the controller to another server, if this one has it and there is one that can take it. That it has
    /// happened is told as any change of this server's part.
    pub fn resign(&self) {
        let _ = self.requests.try_send(Request::Resign);
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

/// Starts the node, which applies what its log holds, and notes what must go because of that.
pub(crate) fn replay(
    storage: RaftStorage,
    state: &Arc<AgreedState>,
    options: NodeOptions,
    ports: Ports,
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
    let mut node = RaftNode::start(storage, state.clone(), options, Ports::alone(note))?;
    node.connect(ports);
    let deleted = std::mem::take(&mut *deleted.lock());
    Ok((node, deleted))
}

impl Shared {
    /// Raft's thread. Raft asserts its invariants by panicking; such a panic ends the agreement, not the server.
    fn run(&self, mut node: RaftNode, requests: &Receiver<Request>) {
        let served = catch_unwind(AssertUnwindSafe(|| self.serve(&mut node, requests)));
        let reason = match served {
            Ok(Ok(())) => return node.close(LogIndex::new(self.carried_out.load(Ordering::Acquire))),
            Ok(Err(failure)) => failure.to_string(),
            Err(panic) => {
                format!("metadata stopped at a broken invariant: {}; restart the server", panic_text(&*panic))
            }
        };
        tracing::error!(reason, "metadata log failed, streams can no longer be changed");
        let failure = Unavailable::LogFailed { reason };
        *self.failure.write() = Some(failure.clone());
        node.refuse_waiting(&failure);
        // Whoever waits for what is agreed on is not to wait any more.
        drop(node);
        refuse_until_closed(requests, &failure);
    }

    fn serve(&self, node: &mut RaftNode, requests: &Receiver<Request>) -> Result<(), NodeFailure> {
        let started = Instant::now();
        loop {
            let first = next_request(requests, patience(node, started.elapsed()));
            node.advance_to(started.elapsed())?;
            let mut closing = match first {
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
            Request::Message { from, bytes } => node.receive(&from, &bytes).map(|()| false),
            Request::Join { join, reply } => node.join(join, reply).map(|()| false),
            Request::Heartbeat { beat, reply } => {
                reply.answer(node.on_heartbeat(&beat));
                Ok(false)
            }
            Request::Resign => {
                node.resign();
                Ok(false)
            }
            Request::CarriedOut => {
                self.nudged.store(false, Ordering::Release);
                Ok(false)
            }
            Request::Close => Ok(true),
        }
    }
}

/// How long the node can do without anybody asking: until its next tick, or until something that waits for room is tried
/// again; `None` = for ever.
fn patience(node: &RaftNode, now: Duration) -> Option<Duration> {
    let tick = node.next_tick().map(|due| due.saturating_sub(now));
    let room = node.waits_for_room().then_some(ROOM_RETRY);
    tick.into_iter().chain(room).min()
}

/// Blocks until there is something to do.
fn next_request(requests: &Receiver<Request>, patience: Option<Duration>) -> Result<Request, RecvTimeoutError> {
    match patience {
        Some(patience) => requests.recv_timeout(patience),
        None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

fn refuse_until_closed(requests: &Receiver<Request>, failure: &Unavailable) {
    for request in requests {
        match request {
            Request::Propose { reply, .. } => reply.answer(Err(failure.clone().into())),
            // Those who wait for an answer get one by being dropped.
            Request::Message { .. }
            | Request::Join { .. }
            | Request::Heartbeat { .. }
            | Request::Resign
            | Request::CarriedOut => {}
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
