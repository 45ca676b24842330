//! Between what servers say to each other and the domain. Nothing else knows both.

mod calls;
mod publish;
mod replication;

use thiserror::Error;

pub(crate) use calls::{
    heartbeat, heartbeat_answer, join, join_answer, propose_answer, wire_heartbeat, wire_heartbeat_answer, wire_join,
    wire_join_answer, wire_propose_answer,
};
pub(crate) use publish::{Routes, forwarded, outcome, publish};
pub(crate) use replication::{partition_message, wire_partition_message};

/// Something another server said that makes no sense to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("`{field}` is missing or makes no sense")]
pub(crate) struct Malformed {
    /// The first part that does not.
    pub(crate) field: &'static str,
}
