//! The leader's part. Owns what is let into the log, what counts as committed and who is told when; never the log itself.

mod explain;
mod in_sync;
mod replicate;

use std::time::Duration;

use liftbridge_types::{AckPolicy, BrokerId, LeaderEpoch, Offset, Timestamp};

pub use explain::{Explanation, FollowerStanding, Wait};

use crate::assignment::{Assignment, BrokerLife};
use crate::divergence::History;
use crate::effect::{Effect, Refusal};
use crate::event::{Event, Proposal, ProposalId};
use crate::follower_progress::FollowerProgress;
use crate::high_watermark::HighWatermark;
use crate::in_sync_replicas::InSyncReplicas;
use crate::pending_acks::{PendingAck, PendingAcks};

/// Where a log stands when its leader or follower begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The end of what is known to be committed.
    pub high_watermark: Offset,
    /// The end of what is on this replica's stable storage.
    pub durable_end: Offset,
    /// Which leaderships wrote it, and where it starts and ends.
    pub history: History,
}

impl LogState {
    /// A log without records.
    pub fn empty() -> Self {
        let history = History::new(Vec::new(), Offset::ZERO, Offset::ZERO);
        Self { high_watermark: Offset::ZERO, durable_end: Offset::ZERO, history }
    }
}

/// How a leader behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderOptions {
    /// Whether publishes are refused.
    pub readonly: bool,
    /// How long an in-sync replica may go without being abreast of the leader (`replica.max.lag.time`).
    pub lag_max: Duration,
    /// Most bytes that are on their way to one follower and not confirmed, give or take one batch.
    pub window_bytes: usize,
}

impl Default for LeaderOptions {
    fn default() -> Self {
        Self { readonly: false, lag_max: Duration::from_secs(15), window_bytes: 4 * 1024 * 1024 }
    }
}

/// The leader of one partition.
///
/// Invariants:
/// - The high watermark never goes back, and never passes a durable end of an in-sync replica, agreed or proposed.
/// - Every proposal is answered exactly once, unless the leader is dropped before.
/// - No publisher under `ALL` is acknowledged before the high watermark has passed its record.
/// - Of a follower only that counts as durable which its leader has compared with its own log in this leadership.
#[derive(Debug)]
pub struct Leader {
    leading: bool,
    /// Whether the controller may have given the lead to another broker.
    lapsed: bool,
    /// Whether somebody said that there is a later leadership.
    superseded: bool,
    options: LeaderOptions,
    /// The driver's time.
    elapsed: Duration,
    /// What is written; the batch being built begins at its end.
    history: History,
    /// Where the log ended when this leadership began: everything committed before lies below.
    began_at: Offset,
    /// Who is in the batch being built, in offset order.
    batch: Vec<(ProposalId, AckPolicy)>,
    replicas: InSyncReplicas,
    high_watermark: HighWatermark,
    pending: PendingAcks,
}

impl Leader {
    /// Takes the lead of a log. Links to followers are down until the driver says otherwise; `elapsed` is what it would say in
    /// an [`Event::Tick`].
    pub fn new(
        me: BrokerLife,
        assignment: Assignment,
        log: LogState,
        options: LeaderOptions,
        elapsed: Duration,
    ) -> Self {
        let log_end = log.history.end();
        let replicas = InSyncReplicas::new(me, assignment, log.durable_end, elapsed);
        let mut high_watermark = HighWatermark::new(log.high_watermark.min(log_end));
        if let Some(committed) = replicas.committed_end() {
            high_watermark.advance(committed.min(log_end));
        }
        Self {
            leading: true,
            lapsed: false,
            superseded: false,
            options,
            elapsed,
            history: log.history,
            began_at: log_end,
            batch: Vec::new(),
            replicas,
            high_watermark,
            pending: PendingAcks::default(),
        }
    }

    /// Which leadership this is; every batch carries it.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.replicas.assignment().leader_epoch
    }

    /// The broker that leads.
    pub fn id(&self) -> &BrokerId {
        &self.replicas.me().id
    }

    /// What is agreed about the partition.
    pub fn assignment(&self) -> &Assignment {
        self.replicas.assignment()
    }

    /// Whether there are followers. Without, nothing depends on the time.
    pub fn is_replicated(&self) -> bool {
        !self.replicas.followers().is_empty()
    }

    /// The end of what is committed.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.end()
    }

    /// The end of what is written.
    pub fn log_end(&self) -> Offset {
        self.history.end()
    }

    /// Who might lead instead, as far as is known here: the in-sync follower that has most of those that can be reached, read
    /// and written; the earlier replica where that is equal. Where none is, an eligible one.
    pub fn successor(&self) -> Option<&BrokerId> {
        let Assignment { in_sync, eligible, .. } = self.replicas.assignment();
        self.ablest_of(in_sync).or_else(|| self.ablest_of(eligible))
    }

    fn ablest_of(&self, some: &[BrokerId]) -> Option<&BrokerId> {
        let followers = self.replicas.followers().iter();
        let able = followers.filter(|follower| some.contains(&follower.id) && follower.is_able());
        // Of equals `max_by_key` takes the last.
        able.rev().max_by_key(|follower| follower.durable_end()).map(|follower| &follower.id)
    }

    /// Takes in one event at time `now` and pushes what follows from it, in the order it is to be carried out.
    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Proposed(proposal) => self.on_proposed(proposal, effects),
            Event::Appended { offsets, time } => {
                debug_assert_eq!(offsets.start, self.log_end(), "the log continues where its leader says it ends");
                self.on_appended(now, offsets.end, time, effects);
            }
            Event::AppendFailed => self.refuse_batch(Refusal::NotAppended, effects),
            Event::DurableEnd { end } => {
                self.replicas.report_own(end);
                self.maybe_commit(now, effects);
            }
            Event::SetReadonly(readonly) => self.options.readonly = readonly,
            Event::Trimmed { start } => self.history.trim(start),
            Event::Tick { elapsed } => self.on_tick(elapsed, effects),
            Event::Received { from, message } => self.on_message(now, &from, message, effects),
            Event::Link { to, up } => self.on_link(&to, up, effects),
            Event::Pushed { to, end, bytes } => self.on_pushed(&to, end, bytes, effects),
            Event::Assigned(assignment) => self.on_assigned(now, *assignment, effects),
            Event::InSyncRefused { epoch } => {
                self.replicas.refuse(epoch);
                self.maybe_commit(now, effects);
            }
            Event::Lapsed => self.lapsed = true,
            Event::Renewed => {
                self.lapsed = false;
                self.maybe_commit(now, effects);
                self.maybe_propose_in_sync(effects);
            }
            Event::Resigned => self.on_resigned(effects),
        }
    }

    /// Gives memory back that a burst left behind.
    pub fn shrink(&mut self) {
        self.batch.shrink_to_fit();
        self.pending.shrink();
        self.replicas.followers_mut().iter_mut().for_each(FollowerProgress::shrink);
    }

    /// Whether it can be sure that nobody else leads.
    fn is_sure(&self) -> bool {
        !self.lapsed && !self.superseded
    }

    fn on_proposed(&mut self, proposal: Proposal, effects: &mut Vec<Effect>) {
        let id = proposal.id;
        match self.refusal(&proposal) {
            Some(refusal) => effects.push(Effect::Refuse { id, refusal }),
            None => {
                self.batch.push((id, proposal.ack_policy));
                effects.push(Effect::AddToBatch { id });
            }
        }
    }

    /// Why the proposal cannot be let in; `None` when it can.
    fn refusal(&self, proposal: &Proposal) -> Option<Refusal> {
        if !self.leading {
            return Some(Refusal::Resigned);
        }
        if !self.is_sure() {
            return Some(Refusal::Lapsed);
        }
        if self.options.readonly {
            return Some(Refusal::Readonly);
        }
        let next = self.log_end().plus(self.batch.len() as u64);
        if proposal.expected_offset.is_some_and(|expected| expected != next) {
            return Some(Refusal::IncorrectOffset { next });
        }
        let assignment = self.replicas.assignment();
        let (in_sync_count, minimum) = (assignment.in_sync.len(), assignment.minimum_for_all());
        // Waiting for a commit that cannot happen would only hold what the publisher was admitted with.
        (proposal.ack_policy == AckPolicy::All && in_sync_count < minimum)
            .then_some(Refusal::TooFewInSync { in_sync_count, minimum })
    }

    fn on_appended(&mut self, now: Timestamp, end: Offset, time: Timestamp, effects: &mut Vec<Effect>) {
        let start = self.log_end();
        let mut offset = start;
        let mut received_at = time;
        for (id, ack_policy) in self.batch.drain(..) {
            match ack_policy {
                AckPolicy::All => self.pending.push(PendingAck { id, offset, received_at }),
                AckPolicy::Leader | AckPolicy::None => {
                    effects.push(Effect::Acknowledge { id, offset, received_at, acknowledged_at: now });
                }
            }
            offset = offset.next();
            received_at = Timestamp::from_nanos(received_at.as_nanos().saturating_add(1));
        }
        debug_assert_eq!(offset, end, "a batch holds what was let in and nothing else");
        self.history.append(self.leader_epoch(), start);
        self.history.extend(end);
        for follower in self.replicas.followers_mut() {
            follower.on_appended(start, self.elapsed);
        }
        self.push_to_all(effects);
    }

    fn refuse_batch(&mut self, refusal: Refusal, effects: &mut Vec<Effect>) {
        effects.extend(self.batch.drain(..).map(|(id, _)| Effect::Refuse { id, refusal }));
    }

    fn maybe_commit(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if !self.leading || !self.is_sure() {
            return;
        }
        let Some(committed) = self.replicas.committed_end() else { return };
        // A follower may know more than this leader only by a fault; what this log does not hold is not committed here.
        if !self.high_watermark.advance(committed.min(self.log_end())) {
            return;
        }
        let end = self.high_watermark.end();
        for follower in self.replicas.followers_mut() {
            follower.plan_notice(end, self.elapsed);
        }
        effects.push(Effect::AdvanceHighWatermark { end });
        while let Some(PendingAck { id, offset, received_at }) = self.pending.pop_committed(end) {
            effects.push(Effect::Acknowledge { id, offset, received_at, acknowledged_at: now });
        }
    }

    fn on_resigned(&mut self, effects: &mut Vec<Effect>) {
        self.leading = false;
        while let Some(PendingAck { id, .. }) = self.pending.pop() {
            effects.push(Effect::Refuse { id, refusal: Refusal::Resigned });
        }
        self.refuse_batch(Refusal::Resigned, effects);
    }
}

#[cfg(test)]
mod tests;
