//! What the broker can ask of a partition. Owns the questions; the partition's turns answer them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use liftbridge_commitlog::LogView;
use liftbridge_replication::Assignment;
use liftbridge_types::{BrokerId, BrokerIncarnation, StreamId, StreamSettings};
use tokio::sync::oneshot;

use crate::errors::{PublishError, SubscribeError};
use crate::partition::mailbox::{Command, Event, Lingering, PeerEvent, Wake};
use crate::partition::position::{LogBounds, ReadRange, needs_lookup, resolve};
use crate::partition::upkeep::{Duty, OnDuty};
use crate::partition::{Board, Partition, PartitionHost, PartitionStatus, Proposal, RunState, Seen};
use crate::requests::{PartitionRoute, StartPosition, StopPosition};
use crate::subscription::Subscription;

/// What a partition is opened with.
#[derive(Clone, Debug)]
pub(crate) struct PartitionSpec {
    /// Its stream, number and subjects.
    pub(crate) route: Arc<PartitionRoute>,
    /// Where on the volume its files are, or will be once it has a record. Different for every life of a stream name.
    pub(crate) directory: String,
    /// Its stream, in this life of the name.
    pub(crate) stream_id: StreamId,
    /// This broker.
    pub(crate) broker_id: BrokerId,
    /// Which life of this broker's process this is; `None` until the metadata has said so. Until then it takes no part among
    /// several replicas.
    pub(crate) incarnation: Option<BrokerIncarnation>,
    /// What is agreed about its replicas. The minimum of them is taken from the settings.
    pub(crate) assignment: Assignment,
    /// The settings of its stream.
    pub(crate) settings: StreamSettings,
    /// Whether it begins read-only.
    pub(crate) readonly: bool,
    /// Whether it begins paused; then no file of it stays open, and none is made.
    pub(crate) paused: bool,
}

/// How a publish was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handover {
    /// Its answer comes by itself.
    Done,
    /// It waits for the partition to be resumed, which its publisher has to see to.
    Held,
}

/// The end of something asked of a partition; awaiting it is optional, it happens anyway.
#[derive(Debug)]
pub(crate) struct Completion(oneshot::Receiver<()>);

impl Future for Completion {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // A sender dropped unused belongs to a partition that does nothing any more: that is an end too.
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}

impl Partition {
    /// Its stream, number and subjects.
    pub(crate) fn route(&self) -> &Arc<PartitionRoute> {
        &self.route
    }

    /// This moment of it, read without waiting for its worker.
    pub(crate) fn status(&self) -> PartitionStatus {
        self.board.status()
    }

    /// Whether it is paused, cheaper than [`Partition::status`].
    pub(crate) fn is_paused(&self) -> bool {
        self.board.is_paused()
    }

    /// Whether it is paused, or will be once it has done what it was asked to so far.
    pub(crate) fn is_pausing(&self) -> bool {
        self.is_paused() || self.mailbox.lock().holds_publishes()
    }

    /// Takes a message in; what becomes of it goes to its reply. Never waits.
    pub(crate) fn publish(self: &Arc<Self>, mut proposal: Proposal) -> Handover {
        match proposal.check(self.host.limits.message_bytes_max) {
            Ok(()) => {
                proposal.own_headers();
                self.push_all([Event::Publish(proposal)])
            }
            Err(error) => {
                proposal.reply.answer(Err(error));
                Handover::Done
            }
        }
    }

    /// Takes messages in, the same as one by one. Never waits; leaves nothing in `proposals`.
    pub(crate) fn publish_all(self: &Arc<Self>, proposals: &mut Vec<Proposal>) -> Handover {
        let message_bytes_max = self.host.limits.message_bytes_max;
        for refused in proposals.extract_if(.., |proposal| proposal.check(message_bytes_max).is_err()) {
            if let Err(error) = refused.check(message_bytes_max) {
                refused.reply.answer(Err(error));
            }
        }
        proposals.iter_mut().for_each(Proposal::own_headers);
        self.push_all(proposals.drain(..).map(Event::Publish))
    }

    /// Refuses the publishes that wait for the partition to be resumed, unless it is being resumed.
    pub(crate) fn refuse_held(&self, refusal: &PublishError) {
        let held = self.mailbox.lock().take_held();
        for proposal in held {
            proposal.reply.answer(Err(refusal.clone()));
        }
    }

    /// Begins a subscription. A paused partition is not resumed: it refuses. Cancel safe: until it returns nothing exists.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        start: StartPosition,
        stop: StopPosition,
        reverse: bool,
    ) -> Result<Subscription, SubscribeError> {
        let (seen, view) = self.readable()?;
        let limit = self.host.limits.subscriptions_max;
        let permit = self.host.admit_subscription().ok_or(SubscribeError::TooManySubscriptions { limit })?;
        let bounds = LogBounds {
            log_start: view.log_start(),
            log_end: seen.log_end,
            high_watermark: seen.high_watermark,
            readonly: seen.readonly,
        };
        let range = if needs_lookup(start, stop) {
            let found = self.lookup(start, stop, reverse, bounds, view.clone()).await;
            // The log may have been closed meanwhile, and another one opened: then what was found is of no use.
            let (now, _) = self.readable()?;
            if now.generation != seen.generation {
                return Err(SubscribeError::Paused);
            }
            found?
        } else {
            resolve(start, stop, reverse, bounds, &view)?
        };
        Ok(Subscription::new(Arc::clone(self), view, seen.generation, range, permit))
    }

    /// Closes its files and ends its subscriptions; what comes later is refused with `Closed`. Done at once when it is not
    /// open.
    pub(crate) fn pause(self: &Arc<Self>) -> Completion {
        self.command(Command::Pause)
    }

    /// Opens a paused partition again. Should that fail it is offline. Done at once when it is not paused.
    pub(crate) fn resume(self: &Arc<Self>) -> Completion {
        self.command(Command::Resume)
    }

    /// Refuses publishes from now on, or takes them again. Kept over a pause.
    pub(crate) fn set_readonly(self: &Arc<Self>, readonly: bool) -> Completion {
        self.command(Command::SetReadonly(readonly))
    }

    /// Takes part as is agreed on from now on: leads, follows or waits, in this life of the broker's process. Its turn decides
    /// what has to change. Of two versions the later one counts, in whatever order they come.
    pub(crate) fn set_assignment(
        self: &Arc<Self>,
        assignment: Assignment,
        incarnation: Option<BrokerIncarnation>,
    ) -> Completion {
        self.command(Command::Assign(Box::new(assignment), incarnation))
    }

    /// Whether it has several replicas: then what happens to the other servers matters to it.
    pub(crate) fn is_replicated(&self) -> bool {
        self.board.is_replicated()
    }

    /// Takes in what came from or about the other servers. Never waits.
    pub(crate) fn hear(self: &Arc<Self>, event: PeerEvent) {
        self.post(Event::Peer(event));
    }

    /// Ends its subscriptions and removes its files; what comes later is refused with `Closed`.
    pub(crate) fn delete(self: &Arc<Self>) -> Completion {
        self.command(Command::Delete)
    }

    /// Finishes what is queued, then closes its files cleanly. Later publishes are refused with `ShuttingDown`.
    pub(crate) fn shutdown(self: &Arc<Self>) -> Completion {
        self.command(Command::Shutdown)
    }

    /// What the partition shows of itself.
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// What it shares with the other partitions of the node.
    pub(crate) fn host(&self) -> &Arc<PartitionHost> {
        &self.host
    }

    pub(super) fn command(self: &Arc<Self>, command: Command) -> Completion {
        let (done, completion) = oneshot::channel();
        self.post(Event::Command(command, done));
        Completion(completion)
    }

    fn post(self: &Arc<Self>, event: Event) {
        // Nothing but publishes is ever held.
        let _ = self.push_all([event]);
    }

    fn push_all(self: &Arc<Self>, events: impl IntoIterator<Item = Event>) -> Handover {
        let limits = &self.host.limits;
        let lingering = Lingering { enabled: !limits.batch_time_max.is_zero(), events_max: limits.batch_messages_max };
        let mut mailbox = self.mailbox.lock();
        let Some(wake) = events.into_iter().map(|event| mailbox.push(event, lingering)).max() else {
            return Handover::Done;
        };
        let handover = if mailbox.holds_publishes() { Handover::Held } else { Handover::Done };
        drop(mailbox);
        self.wake(wake);
        handover
    }

    fn wake(self: &Arc<Self>, wake: Wake) {
        match wake {
            Wake::Nothing => {}
            Wake::Gathered => {
                self.company_came.notify_one();
            }
            Wake::Queue => self.host.workers.queue(Arc::clone(self)),
            Wake::Linger => {
                let wait = self.host.limits.batch_time_max;
                self.host.upkeep.schedule(wait, Duty::Append, Arc::downgrade(self));
            }
        }
    }

    /// How its log stands and how to read it, or why it cannot be read.
    fn readable(&self) -> Result<(Seen, LogView), SubscribeError> {
        let (seen, view) = self.board.view();
        match (&seen.state, view) {
            (RunState::Paused, _) => Err(SubscribeError::Paused),
            (RunState::Deleted, _) => Err(SubscribeError::NotFound),
            (RunState::Stopped, _) => Err(SubscribeError::ShuttingDown),
            (RunState::Open | RunState::Offline { .. }, Some(view)) => Ok((seen, view)),
            (RunState::Offline { reason }, None) => Err(SubscribeError::Reader { reason: reason.clone() }),
            (RunState::Open, None) => Err(SubscribeError::Reader { reason: "log is not open".to_owned() }),
        }
    }

    /// Resolves positions that name a time, which reads the log.
    async fn lookup(
        self: &Arc<Self>,
        start: StartPosition,
        stop: StopPosition,
        reverse: bool,
        bounds: LogBounds,
        view: LogView,
    ) -> Result<ReadRange, SubscribeError> {
        self.touch();
        let permit = self.host.admit_read().await;
        let lookup = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            resolve(start, stop, reverse, bounds, &view)
        });
        match lookup.await {
            Ok(resolved) => resolved,
            // The runtime is going down, or the lookup panicked.
            Err(error) => Err(SubscribeError::TimestampLookup { reason: error.to_string() }),
        }
    }
}

impl OnDuty for Partition {
    fn on_duty(self: Arc<Self>, duty: Duty) {
        match duty {
            Duty::Append => {
                let wake = self.mailbox.lock().linger_over();
                self.wake(wake);
            }
            Duty::Park => self.on_park_due(),
            Duty::Sync | Duty::Clean | Duty::Tick => self.post(Event::Duty(duty)),
        }
    }
}

impl Partition {
    /// Parks unless something happened in the meantime.
    fn on_park_due(self: &Arc<Self>) {
        match self.park_wait() {
            None => self.post(Event::Duty(Duty::Park)),
            Some(wait) => self.host.upkeep.schedule(wait, Duty::Park, Arc::downgrade(self)),
        }
    }
}
