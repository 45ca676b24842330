//! Getting the cluster to agree on something, from async code. Owns the wait for it, and the wait until it was carried out
//! here; never what is agreed on.

use std::sync::Arc;

use liftbridge_metadata_raft::{Command, Metadata, PROPOSALS_WAITING_MAX, ProposalReply, ProposeError, Unavailable};
use tokio::sync::{Semaphore, oneshot};

use crate::errors::MetadataUnavailable;
use crate::progress::Progress;

/// The way to an agreement.
#[derive(Debug)]
pub(crate) struct Agreement {
    metadata: Metadata,
    /// As many proposals as the metadata lets wait, so that one more waits here instead of being refused there.
    room: Arc<Semaphore>,
    carried_out: Progress,
}

impl Agreement {
    /// An agreement over `metadata`, of which `carried_out` says how far this node is.
    pub(crate) fn new(metadata: Metadata, carried_out: Progress) -> Self {
        Self { metadata, room: Arc::new(Semaphore::new(PROPOSALS_WAITING_MAX)), carried_out }
    }

    /// Proposes `command` and returns when it is agreed on and carried out on this node. When the caller stops waiting, the
    /// command may be agreed on all the same.
    pub(crate) async fn reach(&self, command: Command) -> Result<(), ProposeError> {
        let closed = |_| ProposeError::Unavailable(Unavailable::Closed);
        let permit = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Unavailable::Closed)?;
        let (sender, receiver) = oneshot::channel();
        // The permit goes with the answer and not with the caller, who may leave early: the proposal still waits then.
        let reply = ProposalReply::new(move |outcome| {
            drop(permit);
            // A caller that has gone is no error.
            let _ = sender.send(outcome);
        });
        self.metadata.propose(command, reply);
        let index = receiver.await.map_err(closed)??;
        self.carried_out.reached(index).await.map_err(|_| Unavailable::Closed)?;
        Ok(())
    }
}

/// The metadata's reason in the broker's words.
pub(crate) fn unavailable(reason: Unavailable) -> MetadataUnavailable {
    match reason {
        Unavailable::Busy | Unavailable::LeadershipLost | Unavailable::NotController { .. } => {
            MetadataUnavailable::NoLeader
        }
        Unavailable::LogFailed { reason } => MetadataUnavailable::LogFailed { reason },
        Unavailable::TooLarge { bytes, limit } => MetadataUnavailable::TooLarge { bytes, limit },
        Unavailable::Closed => MetadataUnavailable::ShuttingDown,
    }
}
