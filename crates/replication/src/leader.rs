//! The leader's part. Owns what is let into the log, what counts as committed and who is told when; never the log itself.

use liftbridge_types::{AckPolicy, BrokerId, LeaderEpoch, Offset, Timestamp};

use crate::assignment::Assignment;
use crate::effect::{Effect, Refusal};
use crate::event::{Event, Proposal, ProposalId};
use crate::high_watermark::HighWatermark;
use crate::in_sync_replicas::InSyncReplicas;
use crate::pending_acks::{PendingAck, PendingAcks};

/// Where a log stands when its leader begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnds {
    /// The end of what is known to be committed.
    pub high_watermark: Offset,
    /// The end of what is on this replica's stable storage.
    pub durable_end: Offset,
    /// The end of what is written.
    pub log_end: Offset,
}

/// The leader of one partition.
///
/// Invariants:
/// - The high watermark never goes back, and never passes a durable end of an in-sync replica.
/// - Every proposal is answered exactly once, unless the leader is dropped before.
/// - No publisher under `ALL` is acknowledged before the high watermark has passed its record.
#[derive(Debug)]
pub struct Leader {
    id: BrokerId,
    leading: bool,
    readonly: bool,
    /// The end of what is written; the batch being built begins here.
    log_end: Offset,
    /// Who is in the batch being built, in offset order.
    batch: Vec<(ProposalId, AckPolicy)>,
    replicas: InSyncReplicas,
    high_watermark: HighWatermark,
    pending: PendingAcks,
}

impl Leader {
    /// Takes the lead of a log that stands at `ends`.
    pub fn new(id: BrokerId, assignment: Assignment, ends: LogEnds, readonly: bool) -> Self {
        let mut replicas = InSyncReplicas::new(assignment);
        replicas.report(&id, ends.durable_end);
        let mut high_watermark = HighWatermark::new(ends.high_watermark.min(ends.log_end));
        if let Some(committed) = replicas.committed_end() {
            high_watermark.advance(committed.min(ends.log_end));
        }
        Self {
            id,
            leading: true,
            readonly,
            log_end: ends.log_end,
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
        &self.id
    }

    /// The end of what is committed.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.end()
    }

    /// The end of what is written.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Takes in one event at time `now` and pushes what follows from it, in the order it is to be carried out.
    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Proposed(proposal) => self.on_proposed(proposal, effects),
            Event::Appended { offsets, time } => {
                debug_assert_eq!(offsets.start, self.log_end, "the log continues where its leader says it ends");
                self.on_appended(now, offsets.end, time, effects);
            }
            Event::AppendFailed => self.refuse_batch(Refusal::NotAppended, effects),
            Event::DurableEnd { replica, end } => {
                self.replicas.report(&replica, end);
                self.maybe_commit(now, effects);
            }
            Event::SetReadonly(readonly) => self.readonly = readonly,
            Event::SetInSyncMin(minimum) => {
                self.replicas.set_minimum(minimum);
                self.maybe_commit(now, effects);
            }
            Event::InSyncProposed(in_sync) => self.replicas.propose(in_sync),
            Event::InSyncAgreed(in_sync) => {
                self.replicas.agree(in_sync);
                self.maybe_commit(now, effects);
            }
            Event::Resigned => self.on_resigned(effects),
        }
    }

    /// Gives memory back that a burst left behind.
    pub fn shrink(&mut self) {
        self.batch.shrink_to_fit();
        self.pending.shrink();
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
        if self.readonly {
            return Some(Refusal::Readonly);
        }
        let next = self.log_end.plus(self.batch.len() as u64);
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
        let mut offset = self.log_end;
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
        self.log_end = end;
    }

    fn refuse_batch(&mut self, refusal: Refusal, effects: &mut Vec<Effect>) {
        effects.extend(self.batch.drain(..).map(|(id, _)| Effect::Refuse { id, refusal }));
    }

    fn maybe_commit(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(committed) = self.replicas.committed_end() else { return };
        // A follower may know more than this leader only by a fault; what this log does not hold is not committed here.
        if !self.leading || !self.high_watermark.advance(committed.min(self.log_end)) {
            return;
        }
        let end = self.high_watermark.end();
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
