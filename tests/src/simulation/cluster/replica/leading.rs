//! Leading: publishes in, acknowledgements out, and what followers lack. Owns the order: append, answer `LEADER`, send, sync, show
//! the high watermark, answer `ALL`.

use std::ops::Range;

use liftbridge_commitlog::Batch;
use liftbridge_replication::{Body, Effect, Event, Message, Proposal, ProposalId};
use liftbridge_types::{BrokerId, Offset};

use super::{Around, Part, PeerEvent, ROOM_RETRY, Replica, Wish, is_disk_full};
use crate::simulation::cluster::words::{Publish, Said};

/// Bytes read for one message to a follower.
const APPEND_BYTES_TARGET: usize = 1000;

impl Replica {
    /// One cycle: lets these messages in, writes those that may, syncs, and tells who can be told.
    pub(in crate::simulation::cluster) fn publish(&mut self, publishes: Vec<Publish>, around: &mut Around<'_>) {
        if self.leadership().is_none() {
            return;
        }
        self.step_alone(Event::Tick { elapsed: around.elapsed }, around);
        let mut added_count = 0_u64;
        for publish in publishes {
            let id = ProposalId::new(self.published);
            self.published += 1;
            let Publish { ack_policy, expected_offset, .. } = publish;
            let value = publish.value.clone();
            self.owed.insert(id.get(), publish);
            let proposal = Event::Proposed(Proposal { id, ack_policy, expected_offset });
            if self.step(proposal, around) {
                self.builder.push(None, &value, &[]).expect("values are small");
                added_count += 1;
            }
        }
        if added_count > 0
            && let Err(reason) = self.append(around).and_then(|()| self.commit(around))
        {
            self.become_offline(reason, around);
        }
    }

    fn append(&mut self, around: &mut Around<'_>) -> Result<(), String> {
        let epoch = self.assignment.leader_epoch;
        self.log.note_high_watermark(self.high_watermark());
        let outcome = self.log.append(&mut self.builder, epoch, around.wall);
        self.builder.clear();
        match outcome {
            Ok(appended) => {
                self.full = false;
                self.step_alone(Event::Appended { offsets: appended.offsets, time: appended.time }, around);
                Ok(())
            }
            Err(error) if is_disk_full(&error) => {
                self.note_full(around);
                self.make_way(around);
                self.step_alone(Event::AppendFailed, around);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Another one is to lead, where one can.
    fn make_way(&mut self, around: &mut Around<'_>) {
        let Part::Leading(leader) = &self.part else { return };
        let Some(to) = leader.successor().cloned() else { return };
        if self.made_way_at.is_none_or(|at| around.elapsed >= at + ROOM_RETRY) {
            self.made_way_at = Some(around.elapsed);
            let wish = Wish::MoveLeader { epoch: self.assignment.epoch, to, leaves: true };
            around.wishes.push((self.name.clone(), wish));
        }
    }

    fn commit(&mut self, around: &mut Around<'_>) -> Result<(), String> {
        let end = self.log.sync().map_err(|error| error.to_string())?;
        self.step_alone(Event::DurableEnd { end }, around);
        Ok(())
    }

    pub(super) fn lead(&mut self, events: Vec<PeerEvent>, around: &mut Around<'_>) {
        self.step_alone(Event::Tick { elapsed: around.elapsed }, around);
        for event in events {
            let event = match event {
                PeerEvent::Message { from, message } => Event::Received { from, message },
                PeerEvent::Link { to, up } => Event::Link { to, up },
                PeerEvent::Session { lapsed: true } => Event::Lapsed,
                PeerEvent::Session { lapsed: false } => Event::Renewed,
                PeerEvent::InSyncRefused { epoch } => Event::InSyncRefused { epoch },
            };
            self.step_alone(event, around);
        }
    }

    pub(super) fn step_alone(&mut self, event: Event, around: &mut Around<'_>) {
        self.step(event, around);
    }

    /// Has the leader, if this is one, take in an event; whether a message goes into the batch.
    fn step(&mut self, event: Event, around: &mut Around<'_>) -> bool {
        let Part::Leading(leader) = &mut self.part else { return false };
        let mut effects = Vec::new();
        leader.step(around.wall, event, &mut effects);
        let let_in = effects.iter().any(|effect| matches!(effect, Effect::AddToBatch { .. }));
        while !effects.is_empty() {
            let mut pushes = Vec::new();
            for effect in effects.drain(..) {
                self.carry_out(effect, &mut pushes, around);
            }
            for (to, start, bytes_max) in pushes {
                let pushed = self.push(to, start, bytes_max, around);
                let Part::Leading(leader) = &mut self.part else { return let_in };
                leader.step(around.wall, pushed, &mut effects);
            }
        }
        let_in
    }

    fn carry_out(&mut self, effect: Effect, pushes: &mut Vec<(BrokerId, Offset, usize)>, around: &mut Around<'_>) {
        match effect {
            Effect::AddToBatch { .. } => {}
            Effect::Acknowledge { id, offset, .. } => {
                let publish = self.answered(id);
                let leadership = self.leadership_of(self.assignment.leader_epoch);
                around.outbox.say(Said::Acked { partition: self.key(), leadership, publish, offset });
            }
            Effect::Refuse { id, .. } => {
                self.answered(id);
                around.outbox.say(Said::Refused);
            }
            Effect::AdvanceHighWatermark { end } => self.show_committed(end, around),
            Effect::Send { to, message } => self.send(&to, *message, around),
            Effect::Push { to, start, bytes_max } => pushes.push((to, start, bytes_max)),
            Effect::Repair { to, offsets } => self.send_repair(&to, offsets, around),
            Effect::ProposeInSync(change) => {
                around.wishes.push((self.name.clone(), Wish::ChangeInSync(*change)));
            }
        }
    }

    /// What is damaged can only be got from another replica, and only by a follower.
    pub(super) fn step_aside_if_damaged(&self, around: &mut Around<'_>) {
        if !self.damaged.is_empty() {
            self.want_another_leader(false, around);
        }
    }

    /// Reads what a follower lacks and sends it.
    fn push(&mut self, to: BrokerId, start: Offset, bytes_max: usize, around: &Around<'_>) -> Event {
        let batches = self.read(start..self.log.log_end(), bytes_max.min(APPEND_BYTES_TARGET));
        let continues = batches.first().is_some_and(|batch| batch.header().base_offset == start);
        let end = batches.last().map(|batch| batch.header().end_offset()).filter(|_| continues);
        let (Some(end), Part::Leading(leader)) = (end, &self.part) else {
            return Event::Pushed { to, end: start, bytes: 0 };
        };
        let bytes = batches.iter().map(|batch| batch.bytes().len()).sum();
        let batches = batches.iter().map(|batch| batch.bytes().clone()).collect();
        self.send(&to, leader.append_message(start, batches), around);
        Event::Pushed { to, end, bytes }
    }

    fn send_repair(&self, to: &BrokerId, offsets: Range<Offset>, around: &Around<'_>) {
        let start = offsets.start;
        let batches = self.read(offsets, APPEND_BYTES_TARGET);
        if !batches.is_empty() {
            let batches = batches.iter().map(|batch| batch.bytes().clone()).collect();
            let message = Message::new(self.assignment.leader_epoch, Body::Repair { start, batches });
            self.send(to, message, around);
        }
    }

    /// Batches from memory, or else from the files; none where they cannot be read.
    fn read(&self, offsets: Range<Offset>, bytes_max: usize) -> Vec<Batch> {
        let view = self.log.view();
        let in_memory = view.read_tail(offsets.start, offsets.end, bytes_max);
        in_memory.unwrap_or_else(|| view.reader(offsets.start).read(offsets.end, bytes_max).unwrap_or_default())
    }

    fn answered(&mut self, id: ProposalId) -> Publish {
        self.owed.remove(&id.get()).expect("a publisher is answered once")
    }
}
