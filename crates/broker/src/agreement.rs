//! Getting the cluster to agree on something, from async code. Owns the way to the controller, the wait for its answer, and
//! the wait until it was carried out here; never what is agreed on.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_metadata_raft::{
    Command, LogIndex, Metadata, PROPOSALS_WAITING_MAX, Part, ProposalReply, ProposeError, Standing, Unavailable,
};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;

use crate::errors::MetadataUnavailable;
use crate::peers::{PeerError, Peers, ProposeAnswer};
use crate::progress::Progress;

/// How long a controller is looked for, and its answer waited for, whatever patience a client has (behaviour spec 2.0).
const PATIENCE: Duration = Duration::from_secs(5);
/// The wait before whoever was not the controller is asked again, if nothing is heard of another one before.
const RETRY: Duration = Duration::from_millis(50);

/// The way to an agreement.
#[derive(Debug)]
pub(crate) struct Agreement {
    metadata: Metadata,
    peers: Arc<dyn Peers>,
    standing: watch::Receiver<Standing>,
    /// As many proposals as the metadata lets wait, so that one more waits here instead of being refused there.
    room: Arc<Semaphore>,
    carried_out: Progress,
}

/// What one try came to.
enum Try {
    Agreed(LogIndex),
    Failed(ProposeError),
    /// Nothing was proposed: it can be tried again.
    NotProposed,
}

impl Agreement {
    /// An agreement over `metadata`, of which `carried_out` says how far this node is.
    pub(crate) fn new(
        metadata: Metadata,
        peers: Arc<dyn Peers>,
        standing: watch::Receiver<Standing>,
        carried_out: Progress,
    ) -> Self {
        Self { metadata, peers, standing, room: Arc::new(Semaphore::new(PROPOSALS_WAITING_MAX)), carried_out }
    }

    /// Proposes `command` and returns when it is agreed on and carried out on this node. When the caller stops waiting, the
    /// command may be agreed on all the same.
    pub(crate) async fn reach(&self, command: Command) -> Result<(), ProposeError> {
        let index = self.agree(command).await?;
        self.carried_out.reached(index).await.map_err(|_| Unavailable::Closed)?;
        Ok(())
    }

    /// Proposes `command` and returns when it is agreed on; where it stands then.
    pub(crate) async fn agree(&self, command: Command) -> Result<LogIndex, ProposeError> {
        let end = Instant::now() + PATIENCE;
        let mut standing = self.standing.clone();
        loop {
            let now = standing.borrow_and_update().clone();
            let tried = match (now.part, &now.controller) {
                (Part::Controller, _) => self.propose_here(command.clone()).await,
                // Whoever is the only one is the controller, or about to be.
                _ if now.alone => self.propose_here(command.clone()).await,
                (_, Some(controller)) => self.propose_there(&controller.broker, command.clone(), end).await,
                (_, None) => Try::NotProposed,
            };
            match tried {
                Try::Agreed(index) => return Ok(index),
                Try::Failed(error) => return Err(error),
                Try::NotProposed if Instant::now() >= end => {
                    return Err(Unavailable::NotController { controller: None }.into());
                }
                Try::NotProposed => {
                    let changed = tokio::time::timeout(RETRY, standing.changed()).await;
                    if matches!(changed, Ok(Err(_))) {
                        return Err(Unavailable::Closed.into());
                    }
                }
            }
        }
    }

    /// How far what was agreed on is carried out here.
    pub(crate) fn carried_out(&self) -> LogIndex {
        self.carried_out.done()
    }

    /// Waits until more is carried out here than up to `index`; up to where then. `None` when nothing ever will be.
    pub(crate) async fn carried_out_after(&self, index: LogIndex) -> Option<LogIndex> {
        self.carried_out.beyond(index).await
    }

    async fn propose_here(&self, command: Command) -> Try {
        let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else {
            return Try::Failed(Unavailable::Closed.into());
        };
        let (sender, receiver) = oneshot::channel();
        // The permit goes with the answer and not with the caller, who may leave early: the proposal still waits then.
        let reply = ProposalReply::new(move |outcome| {
            drop(permit);
            // A caller that has gone is no error.
            let _ = sender.send(outcome);
        });
        self.metadata.propose(command, reply);
        match receiver.await {
            Ok(Ok(index)) => Try::Agreed(index),
            Ok(Err(ProposeError::Unavailable(Unavailable::NotController { .. }))) => Try::NotProposed,
            Ok(Err(error)) => Try::Failed(error),
            Err(_dropped) => Try::Failed(Unavailable::Closed.into()),
        }
    }

    async fn propose_there(&self, controller: &liftbridge_types::BrokerId, command: Command, end: Instant) -> Try {
        let patience = end.saturating_duration_since(Instant::now());
        match self.peers.propose(controller, command, patience).await {
            Ok(ProposeAnswer::Agreed(index)) => Try::Agreed(index),
            Ok(ProposeAnswer::Rejected(rejection)) => Try::Failed(rejection.into()),
            Ok(ProposeAnswer::NotController) | Err(PeerError::NotSent { .. }) => Try::NotProposed,
            Ok(ProposeAnswer::Refused { reason }) => Try::Failed(Unavailable::LogFailed { reason }.into()),
            Ok(ProposeAnswer::Unknown) | Err(PeerError::Unknown { .. }) => {
                Try::Failed(Unavailable::LeadershipLost.into())
            }
        }
    }
}

/// The metadata's reason in the broker's words.
pub(crate) fn unavailable(reason: Unavailable) -> MetadataUnavailable {
    match reason {
        Unavailable::Busy | Unavailable::NotController { .. } => MetadataUnavailable::NoLeader,
        Unavailable::LeadershipLost => MetadataUnavailable::LogFailed { reason: reason.to_string() },
        Unavailable::LogFailed { reason } => MetadataUnavailable::LogFailed { reason },
        Unavailable::TooLarge { bytes, limit } => MetadataUnavailable::TooLarge { bytes, limit },
        Unavailable::Closed => MetadataUnavailable::ShuttingDown,
    }
}
