//! Carrying out what was agreed on, in the order it was agreed on. Owns that order and the word that something was carried
//! out; never who asked for it.
//!
//! A snapshot of the metadata contains only what was reported as carried out, so what a crash interrupts is carried out
//! again after the start: opening from the agreed state, deleting from the events after the snapshot. Worked example: the
//! deletion of stream 7 is agreed on, the server dies before its files are gone. No snapshot contains the deletion; the next
//! start replays it from the log and removes the directory, whose name has the 7 in it, even if a new stream has the
//! name by then.
//!
//! Files that cannot be removed now are removed later: with what is carried out next, from time to time, at the next start.
//! Until they are gone nothing is reported to the metadata, so no snapshot forgets them; what is agreed on goes on.

use std::sync::{Arc, Weak};
use std::time::Duration;

use liftbridge_metadata_raft::{Applied, ChangedPartitions, ClusterEvent, DeletedStream, Stream};
use tokio::sync::mpsc;

use crate::directories;
use crate::node::Node;
use crate::partition::Completion;
use crate::progress::ProgressReporter;
use crate::streams_here::LocalPartition;

/// How often the removal of files that could not be removed is tried again.
const REMOVAL_RETRY: Duration = Duration::from_secs(60);

/// Carries out what is agreed on.
#[derive(Debug)]
pub(crate) struct Follower {
    /// Not owned: the follower ends when the broker is gone.
    node: Weak<Node>,
    applied: mpsc::Receiver<Applied>,
    carried_out: ProgressReporter,
    /// Deleted streams whose files are still there. While there are any, nothing is reported to the metadata.
    unremoved: Vec<DeletedStream>,
}

/// What the follower has to do next.
enum Next {
    Applied(Applied),
    RemoveAgain,
    Closed,
}

impl Follower {
    /// A follower of what comes through `applied`. Everything before is carried out, but for the removal of `unremoved`.
    pub(crate) fn new(
        node: &Arc<Node>,
        applied: mpsc::Receiver<Applied>,
        carried_out: ProgressReporter,
        unremoved: Vec<DeletedStream>,
    ) -> Self {
        Self { node: Arc::downgrade(node), applied, carried_out, unremoved }
    }

    /// Carries out event after event until the metadata is closed or the broker is gone.
    pub(crate) async fn run(mut self) {
        let mut latest = None;
        loop {
            let next = self.next().await;
            let Some(node) = self.node.upgrade() else { return };
            match next {
                Next::Applied(Applied { index, events }) => {
                    self.remove_again(&node).await;
                    for event in events {
                        self.carry_out(&node, event).await;
                    }
                    self.carried_out.report(index);
                    latest = Some(index);
                }
                Next::RemoveAgain => self.remove_again(&node).await,
                Next::Closed => return,
            }
            if let Some(index) = latest.take_if(|_| self.unremoved.is_empty()) {
                node.metadata.carried_out(index);
            }
        }
    }

    async fn next(&mut self) -> Next {
        let received = if self.unremoved.is_empty() {
            Ok(self.applied.recv().await)
        } else {
            // Receiving is given up only while nothing is received.
            tokio::time::timeout(REMOVAL_RETRY, self.applied.recv()).await
        };
        match received {
            Ok(Some(applied)) => Next::Applied(applied),
            Ok(None) => Next::Closed,
            Err(_elapsed) => Next::RemoveAgain,
        }
    }

    async fn remove_again(&mut self, node: &Node) {
        if self.unremoved.is_empty() {
            return;
        }
        let (volume, unremoved) = (Arc::clone(&node.volume), self.unremoved.clone());
        let left = tokio::task::spawn_blocking(move || directories::remove_streams(&*volume, unremoved)).await;
        match left {
            Ok(left) => self.unremoved = left,
            Err(error) => tracing::error!(%error, "removing deleted streams' files did not finish"),
        }
        if self.unremoved.is_empty() {
            tracing::info!("the files of all deleted streams are removed now");
        }
    }

    async fn carry_out(&mut self, node: &Arc<Node>, event: ClusterEvent) {
        match event {
            ClusterEvent::BrokerRegistered { id, incarnation } => {
                tracing::info!(broker = %id, %incarnation, "broker registered");
            }
            ClusterEvent::BrokerFenced(id) => tracing::warn!(broker = %id, "broker is not heard of"),
            ClusterEvent::BrokerUnfenced(id) => tracing::info!(broker = %id, "broker is heard of"),
            ClusterEvent::BrokerRemoved(id) => tracing::info!(broker = %id, "broker removed"),
            ClusterEvent::NodeChanged { id, node } => {
                tracing::info!(node = %id, broker = %node.broker, voter = node.voter, "server takes part");
            }
            ClusterEvent::NodeRemoved { id, broker } => {
                tracing::info!(node = %id, %broker, "server takes no part any more");
            }
            ClusterEvent::FeatureLevelRaised(level) => tracing::info!(level, "feature level raised"),
            // A broker without peers is sent no state and given no partition of another one.
            ClusterEvent::PartitionsReassigned(_) | ClusterEvent::Replaced => {}
            ClusterEvent::StreamCreated(stream) => create(node, stream).await,
            ClusterEvent::StreamDeleted(stream) => {
                if !delete(node, &stream).await {
                    self.unremoved.push(stream);
                }
            }
            ClusterEvent::PartitionsPaused(partitions) => {
                change(node, &partitions, |partition| partition.handle.pause()).await;
            }
            ClusterEvent::PartitionsResumed(partitions) => {
                change(node, &partitions, |partition| partition.handle.resume()).await;
            }
            ClusterEvent::ReadonlyChanged { partitions, readonly } => {
                let set = |partition: &LocalPartition| {
                    partition.note_readonly(readonly);
                    partition.handle.set_readonly(readonly)
                };
                change(node, &partitions, set).await;
            }
        }
    }
}

async fn create(node: &Arc<Node>, stream: Arc<Stream>) {
    let opener = Arc::clone(node);
    let opened = tokio::task::spawn_blocking(move || opener.open_stream(&stream)).await;
    match opened {
        Ok(stream) => node.adopt(stream),
        Err(error) => tracing::error!(%error, "a stream was not opened"),
    }
}

/// Ends and removes a stream; `false` when files of it are left.
async fn delete(node: &Arc<Node>, deleted: &DeletedStream) -> bool {
    if let Some(stream) = node.streams.get_life(&deleted.name, deleted.id) {
        node.forget(&stream);
        let ends: Vec<Completion> = stream.here().map(|partition| partition.handle.delete()).collect();
        for end in ends {
            end.await;
        }
    }
    let volume = Arc::clone(&node.volume);
    let DeletedStream { id, name } = deleted.clone();
    let removed = tokio::task::spawn_blocking(move || directories::remove_stream(&*volume, id, &name)).await;
    match removed {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::error!(stream = %deleted.name, %error, "a deleted stream's files were not removed"),
        Err(error) => {
            tracing::error!(stream = %deleted.name, %error, "removing a deleted stream's files did not finish")
        }
    }
    false
}

/// Begins `begin` on all the partitions that are here, then waits until it has happened to all of them.
async fn change(node: &Node, changed: &ChangedPartitions, begin: impl Fn(&LocalPartition) -> Completion) {
    let Some(stream) = node.streams.get_life(&changed.name, changed.stream) else { return };
    let here = changed.partitions.iter().filter_map(|id| stream.here_at(*id));
    let begun: Vec<Completion> = here.map(|partition| begin(partition)).collect();
    for completion in begun {
        completion.await;
    }
}

#[cfg(test)]
mod tests;
