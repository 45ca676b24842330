//! One partition on this node: its mailbox, its log, its role, and what others may see of it.
//!
//! Owns the way of a message from the mailbox to its acknowledgement, the life of the log under it, and its part among the
//! partition's replicas: leading, following, or waiting until somebody leads. It never knows which streams exist, who may
//! publish, or how an answer travels.
//!
//! A partition has no task, no timer and no thread. What is asked of it goes to its [`mailbox`]; the first event queues a
//! turn at the node's workers; the worker that takes the turn owns the partition's [`Core`] until it ends. What arrives
//! meanwhile is the next turn's batch, and shares its sync. Readers do not take part: they look at the [`board`].

mod begin_paused;
mod board;
mod cleaning;
mod company;
mod delivery;
mod explain;
mod following;
mod handle;
mod host;
mod leading;
mod lifecycle;
mod mailbox;
mod owed;
mod perform;
mod position;
mod proposal;
mod replicating;
mod role;
mod status;
mod task;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::Arc;

use liftbridge_types::{BrokerId, StreamId};
use parking_lot::{Condvar, Mutex};

use crate::partition::lifecycle::Core;
use crate::partition::mailbox::Mailbox;
use crate::partition::task::Activity;
use crate::requests::PartitionRoute;

pub(crate) use board::{Board, Seen};
pub(crate) use delivery::{Chunk, READ_BYTES_MODEST, READ_BYTES_TARGET, Step, record_bytes};
pub(crate) use handle::{Completion, Handover, PartitionSpec};
pub(crate) use host::PartitionHost;
pub(crate) use mailbox::PeerEvent;
pub(crate) use position::ReadRange;
pub(crate) use proposal::Proposal;
pub(crate) use replicating::{Wish, Wished};
pub(crate) use status::{PartitionStatus, RunState};

/// One partition on this node. What can be asked of it is in [`handle`].
#[derive(Debug)]
pub(crate) struct Partition {
    host: Arc<PartitionHost>,
    route: Arc<PartitionRoute>,
    /// Where on the volume its files are, or will be.
    directory: String,
    /// Its stream, in this life of the name.
    stream_id: StreamId,
    /// This broker.
    broker_id: BrokerId,
    board: Board,
    mailbox: Mutex<Mailbox>,
    /// Wakes the turn that waits for company, see [`Wake::Gathered`](mailbox::Wake::Gathered).
    company_came: Condvar,
    /// Locked by whoever has the partition's turn, for as long as the turn takes, and by nobody else.
    core: Mutex<Core>,
    activity: Activity,
}
