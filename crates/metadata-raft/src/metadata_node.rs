//! The agreed metadata without a thread or a clock of its own: whoever owns it says how late it is and what arrived. Owns that
//! one call is one step, the same for the same calls; never when to call.
//!
//! [`Metadata`](crate::Metadata) is what servers use. This is the same node for those who decide about time themselves: a
//! simulation of a whole cluster in one thread.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::Volume;
use liftbridge_types::BrokerId;

use crate::admission::Join;
use crate::agreed_state::AgreedState;
use crate::call_reply::{CallReply, JoinAnswer};
use crate::cluster_state::ClusterState;
use crate::codec::encode_command;
use crate::command::Command;
use crate::log_index::LogIndex;
use crate::metadata::{MetadataOptions, Recovery, replay};
use crate::proposal::{ProposalReply, Unavailable};
use crate::raft_node::{NodeFailure, Ports, RaftNode};
use crate::raft_storage::{OpenMetadataError, OpenedStorage, RaftStorage};
use crate::sessions::{Heartbeat, HeartbeatAnswer};

/// One server's part in the agreement, moved on by whoever owns it.
pub struct MetadataNode {
    node: RaftNode,
    state: Arc<AgreedState>,
}

impl MetadataNode {
    /// Opens the metadata on `volume`, or founds it, as [`Metadata::open`](crate::Metadata::open) does.
    ///
    /// # Errors
    /// When it cannot be read back completely.
    pub fn open(
        volume: &dyn Volume,
        options: &MetadataOptions,
        ports: Ports,
    ) -> Result<(Self, Recovery), OpenMetadataError> {
        let OpenedStorage { storage, state, founded } =
            RaftStorage::open(volume, options.snapshot_retain, options.may_found.then_some(&options.new_cluster_id))?;
        let raft_id = storage.raft_id();
        let state = Arc::new(AgreedState::new(state, storage.snapshot_index()));
        let (node, deleted) = replay(storage, &state, options.of_node(), ports)?;
        let recovery = Recovery { founded, raft_id, index: node.applied(), deleted };
        Ok((Self { node, state }, recovery))
    }

    /// What is agreed on, as far as it is applied here.
    pub fn state(&self) -> impl Deref<Target = ClusterState> + '_ {
        self.state.read()
    }

    /// The last index that is applied here.
    pub fn applied(&self) -> LogIndex {
        self.node.applied()
    }

    /// It is now this late, counted from any fixed moment.
    ///
    /// # Errors
    /// When the node cannot go on, as all that follow.
    pub fn advance_to(&mut self, now: Duration) -> Result<(), Unavailable> {
        self.node.advance_to(now).map_err(failed)
    }

    /// Proposes a command.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn propose(&mut self, command: Command, reply: ProposalReply) -> Result<(), Unavailable> {
        self.node.propose(encode_command(command), reply).map_err(failed)
    }

    /// Takes in a message that another server's port has sent.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn receive(&mut self, from: &BrokerId, bytes: &[u8]) -> Result<(), Unavailable> {
        self.node.receive(from, bytes).map_err(failed)
    }

    /// Lets another server into the cluster, or says why not.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn join(&mut self, join: Join, reply: CallReply<JoinAnswer>) -> Result<(), Unavailable> {
        self.node.join(join, reply).map_err(failed)
    }

    /// Hears a broker.
    pub fn heartbeat(&mut self, beat: &Heartbeat) -> HeartbeatAnswer {
        self.node.on_heartbeat(beat)
    }

    /// Hands the part of the controller to another server, if there is one that can take it.
    pub fn resign(&mut self) {
        self.node.resign();
    }

    /// Does everything that what came before asks for: stores, sends, applies, delivers, answers. Everything up to
    /// `carried_out` was carried out on this server, so that a snapshot may contain it.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn settle(&mut self, carried_out: LogIndex) -> Result<(), Unavailable> {
        self.node.drive().map_err(failed)?;
        self.node.maybe_write_snapshot(carried_out).map_err(failed)?;
        self.node.replenish_reserve();
        Ok(())
    }

    /// Leaves clean files behind, and a snapshot of what `carried_out` covers.
    pub fn close(mut self, carried_out: LogIndex) {
        self.node.close(carried_out);
    }
}

impl fmt::Debug for MetadataNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataNode").field("applied", &self.applied()).finish_non_exhaustive()
    }
}

fn failed(failure: NodeFailure) -> Unavailable {
    Unavailable::LogFailed { reason: failure.to_string() }
}
