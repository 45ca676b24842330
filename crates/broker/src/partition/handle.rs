//! What the broker can ask of a partition. Owns the questions; the worker of the moment answers them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use liftbridge_types::{BrokerId, LeaderEpoch, StreamSettings};
use tokio::sync::oneshot;

use crate::errors::SubscribeError;
use crate::partition::{PartitionStatus, Proposal};
use crate::requests::{PartitionRoute, StartPosition, StopPosition};
use crate::subscription::Subscription;

/// What a partition is opened with.
#[derive(Clone, Debug)]
pub(crate) struct PartitionSpec {
    /// Its stream, number and subjects.
    pub(crate) route: Arc<PartitionRoute>,
    /// Where on the volume its files are, or will be once it has a record. Different for every life of a stream name.
    pub(crate) directory: String,
    /// The leadership this broker has of it.
    pub(crate) leader_epoch: LeaderEpoch,
    /// This broker.
    pub(crate) broker_id: BrokerId,
    /// The brokers that keep it, this one included.
    pub(crate) replicas: Vec<BrokerId>,
    /// The settings of its stream.
    pub(crate) settings: StreamSettings,
    /// Whether it begins read-only.
    pub(crate) readonly: bool,
    /// Whether it begins paused; then no file of it is touched.
    pub(crate) paused: bool,
}

/// The end of something asked of a partition; awaiting it is optional, it happens anyway.
#[derive(Debug)]
pub(crate) struct Completion(oneshot::Receiver<()>);

impl Future for Completion {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}

/// One partition on this node.
#[derive(Debug)]
pub(crate) struct Partition {}

impl Partition {
    /// Its stream, number and subjects.
    pub(crate) fn route(&self) -> &Arc<PartitionRoute> {
        todo!()
    }

    /// This moment of it, read without waiting for its worker.
    pub(crate) fn status(&self) -> PartitionStatus {
        todo!()
    }

    /// Whether it is paused, cheaper than [`Partition::status`].
    pub(crate) fn is_paused(&self) -> bool {
        todo!()
    }

    /// Takes a message in; what becomes of it goes to its reply. Never waits.
    pub(crate) fn publish(self: &Arc<Self>, proposal: Proposal) {
        let _ = proposal;
        todo!()
    }

    /// Begins a subscription. A paused partition is not resumed: it refuses.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        start: StartPosition,
        stop: StopPosition,
        reverse: bool,
    ) -> Result<Subscription, SubscribeError> {
        let _ = (start, stop, reverse);
        todo!()
    }

    /// Closes its files, ends its subscriptions and fails what waits to be stored. Done at once when it is paused.
    pub(crate) fn pause(self: &Arc<Self>) -> Completion {
        todo!()
    }

    /// Opens a paused partition again. Should that fail it is offline. Done at once when it is not paused.
    pub(crate) fn resume(self: &Arc<Self>) -> Completion {
        todo!()
    }

    /// Refuses publishes from now on, or takes them again. Kept over a pause.
    pub(crate) fn set_readonly(self: &Arc<Self>, readonly: bool) -> Completion {
        let _ = readonly;
        todo!()
    }

    /// Applies other settings of its stream from now on.
    pub(crate) fn set_settings(self: &Arc<Self>, settings: StreamSettings) -> Completion {
        let _ = settings;
        todo!()
    }

    /// Ends its subscriptions, fails what waits and removes its files.
    pub(crate) fn delete(self: &Arc<Self>) -> Completion {
        todo!()
    }

    /// Finishes what is queued, then closes its files cleanly. Later publishes are refused with `ShuttingDown`.
    pub(crate) fn shutdown(self: &Arc<Self>) -> Completion {
        todo!()
    }
}
