//! Carrying out what was agreed on, in the order it was agreed on. Owns that order and the word that something was carried
//! out; never who asked for it.
//!
//! A snapshot of the metadata contains only what was reported as carried out, so what a crash interrupts is carried out
//! again after the start: opening from the agreed state, deleting from the events after the snapshot. Worked example: the
//! deletion of stream 7 is agreed on, the server dies before its files are gone. No snapshot contains the deletion; the next
//! start replays it from the log and removes the directory, whose name has the 7 in it, even if a new stream has the
//! name by then.
//!
//! The partitions are opened as they are agreed on at one index. What comes from before that index is in them; only the files
//! of deleted streams are left to do. The same is true after the whole state was replaced, because this server had fallen
//! too far behind: then streams may be gone without anybody having said so, which their ids tell.
//!
//! Files that cannot be removed now are removed later: with what is carried out next, from time to time, at the next start.
//! Until they are gone nothing is reported to the metadata, so no snapshot forgets them; what is agreed on goes on.

mod reassign;
mod replace;

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use liftbridge_metadata_raft::{Applied, ChangedPartitions, ClusterEvent, DeletedStream, LogIndex, Stream};
use tokio::sync::mpsc;

use crate::directories;
use crate::node::Node;
use crate::partition::{Completion, Partition};
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
    /// As of which index the partitions were opened; `None` before they were.
    opened_at: Option<LogIndex>,
    /// The last index that was carried out and not reported to the metadata yet.
    unreported: Option<LogIndex>,
}

/// What the follower has to do next.
enum Next {
    Applied(Applied),
    RemoveAgain,
    Closed,
}

impl Follower {
    /// A follower of what comes through `applied`. Everything before is carried out, but for the removal of `unremoved`. The
    /// partitions are not opened yet.
    pub(crate) fn new(
        node: &Arc<Node>,
        applied: mpsc::Receiver<Applied>,
        carried_out: ProgressReporter,
        unremoved: Vec<DeletedStream>,
    ) -> Self {
        let node = Arc::downgrade(node);
        Self { node, applied, carried_out, unremoved, opened_at: None, unreported: None }
    }

    /// Carries out what comes while something else happens.
    pub(crate) async fn catch_up_during<T>(&mut self, node: &Arc<Node>, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return done,
                // Cancel safe: receiving is given up only while nothing is received.
                Some(applied) = self.applied.recv() => self.carry_out_all(node, applied).await,
                else => return what.await,
            }
        }
    }

    /// Carries out what comes up to `index`.
    pub(crate) async fn catch_up_to(&mut self, node: &Arc<Node>, index: LogIndex) {
        while node.agreement.carried_out() < index {
            let Some(applied) = self.applied.recv().await else { return };
            self.carry_out_all(node, applied).await;
        }
    }

    /// The partitions are open as they were agreed on at `index`. What of deleted streams is left goes, if this server may
    /// not have been told of every deletion.
    pub(crate) async fn begin_after(&mut self, node: &Arc<Node>, index: LogIndex) {
        self.opened_at = Some(index);
        let has_peers = node.metadata.state().nodes().last_id() != liftbridge_metadata_raft::RaftId::FOUNDER;
        if has_peers {
            self.remove_orphans(node, index).await;
        }
    }

    /// Carries out event after event until the metadata is closed or the broker is gone.
    pub(crate) async fn run(mut self) {
        loop {
            let next = self.next().await;
            let Some(node) = self.node.upgrade() else { return };
            match next {
                Next::Applied(applied) => self.carry_out_all(&node, applied).await,
                Next::RemoveAgain => {
                    self.remove_again(&node).await;
                    self.report(&node);
                }
                Next::Closed => return,
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

    async fn carry_out_all(&mut self, node: &Arc<Node>, Applied { index, events }: Applied) {
        self.remove_again(node).await;
        for event in events {
            self.carry_out(node, index, event).await;
        }
        self.carried_out.report(index);
        self.unreported = Some(index);
        self.report(node);
    }

    fn report(&mut self, node: &Node) {
        if let Some(index) = self.unreported.take_if(|_| self.unremoved.is_empty()) {
            node.metadata.carried_out(index);
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

    async fn carry_out(&mut self, node: &Arc<Node>, index: LogIndex, event: ClusterEvent) {
        // What the partitions were opened with contains it.
        let is_known = self.opened_at.is_none_or(|opened_at| index <= opened_at);
        match event {
            ClusterEvent::StreamDeleted(stream) => {
                if !delete(node, &stream).await {
                    self.unremoved.push(stream);
                }
            }
            ClusterEvent::Replaced if self.opened_at.is_some() => self.replace(node).await,
            ClusterEvent::Replaced => node.tell_peers(),
            ClusterEvent::NodeChanged { id, node: changed } => {
                tracing::info!(node = %id, broker = %changed.broker, voter = changed.voter, "server takes part");
                node.tell_peers();
            }
            ClusterEvent::NodeRemoved { id, broker } => {
                tracing::info!(node = %id, %broker, "server takes no part any more");
                node.tell_peers();
            }
            ClusterEvent::BrokerRegistered { id, incarnation } => {
                tracing::info!(broker = %id, %incarnation, "broker registered");
                if !is_known && id != node.id {
                    reassign::renew_life(node, &id);
                }
            }
            ClusterEvent::BrokerFenced(id) => tracing::warn!(broker = %id, "broker is not heard of"),
            ClusterEvent::BrokerUnfenced(id) => tracing::info!(broker = %id, "broker is heard of"),
            ClusterEvent::BrokerRemoved(id) => tracing::info!(broker = %id, "broker removed"),
            ClusterEvent::FeatureLevelRaised(level) => tracing::info!(level, "feature level raised"),
            ClusterEvent::StreamCreated(_)
            | ClusterEvent::PartitionsPaused(_)
            | ClusterEvent::PartitionsResumed(_)
            | ClusterEvent::ReadonlyChanged { .. }
            | ClusterEvent::PartitionsReassigned(_)
                if is_known => {}
            ClusterEvent::StreamCreated(stream) => create(node, stream).await,
            ClusterEvent::PartitionsReassigned(reassigned) => reassign::reassign(node, reassigned).await,
            ClusterEvent::PartitionsPaused(partitions) => {
                change(node, &partitions, |partition| partition.note_paused(true), |replica| replica.pause()).await;
            }
            ClusterEvent::PartitionsResumed(partitions) => {
                change(node, &partitions, |partition| partition.note_paused(false), |replica| replica.resume()).await;
            }
            ClusterEvent::ReadonlyChanged { partitions, readonly } => {
                let note = |partition: &LocalPartition| partition.note_readonly(readonly);
                change(node, &partitions, note, |replica| replica.set_readonly(readonly)).await;
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
        let ends: Vec<Completion> = stream.replicas().map(|replica| replica.delete()).collect();
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

/// Notes something about partitions and begins `begin` on all the replicas that are here, then waits until it has happened
/// to all of them.
async fn change(
    node: &Node,
    changed: &ChangedPartitions,
    note: impl Fn(&LocalPartition),
    begin: impl Fn(&Arc<Partition>) -> Completion,
) {
    let Some(stream) = node.streams.get_life(&changed.name, changed.stream) else { return };
    let partitions = changed.partitions.iter().filter_map(|id| stream.partition(*id));
    let begun: Vec<Completion> = partitions
        .filter_map(|partition| {
            note(partition);
            partition.replica().map(&begin)
        })
        .collect();
    for completion in begun {
        completion.await;
    }
}

#[cfg(test)]
mod tests;
