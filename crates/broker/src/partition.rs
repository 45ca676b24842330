//! One partition on this node: its mailbox, its log, its leader, and what others may see of it.
//!
//! Owns the way of a message from the mailbox to its acknowledgement and the life of the log under it. It never knows
//! which streams exist, who may publish, or how an answer travels.

mod handle;
mod host;
mod proposal;
mod status;

pub(crate) use handle::{Completion, Partition, PartitionSpec};
pub(crate) use host::PartitionHost;
pub(crate) use proposal::Proposal;
pub(crate) use status::{PartitionStatus, RunState};
