//! The leader's part in bringing followers up to date. Owns whom it tells what and when; never the log that is read for them.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_types::{BrokerId, Offset, Timestamp};

use super::Leader;
use crate::divergence::{LogTail, Verdict};
use crate::effect::Effect;
use crate::message::{Body, Message};

impl Leader {
    /// When [`Event::Tick`](crate::Event::Tick) is due though nothing happens, in the driver's time; `None` = never. A leader
    /// whose followers are all linked and abreast never needs one.
    pub fn next_tick(&self) -> Option<Duration> {
        let speaking = self.replicas.followers().iter().filter_map(|follower| follower.speak_at());
        speaking.chain(self.propose_at()).min()
    }

    /// The message that carries `batches`, which begin at `start` or before, to a follower.
    pub fn append_message(&self, start: Offset, batches: Vec<Bytes>) -> Message {
        let previous = LogTail { epoch: self.history.epoch_before(start), end: start };
        let body = Body::Append { previous, high_watermark: self.high_watermark(), batches };
        Message::new(self.leader_epoch(), body)
    }

    pub(super) fn on_tick(&mut self, elapsed: Duration, effects: &mut Vec<Effect>) {
        self.elapsed = self.elapsed.max(elapsed);
        if !self.leading || self.replicas.followers().is_empty() {
            return;
        }
        self.speak(effects);
        self.maybe_propose_in_sync(effects);
    }

    pub(super) fn on_link(&mut self, to: &BrokerId, up: bool, effects: &mut Vec<Effect>) {
        let (now, log_end) = (self.elapsed, self.log_end());
        self.replicas.set_link(to, up, log_end, now);
        if self.leading {
            self.speak(effects);
        }
    }

    pub(super) fn on_message(&mut self, now: Timestamp, from: &BrokerId, message: Message, effects: &mut Vec<Effect>) {
        if let Some(answer) = message.answer_if_stale(self.leader_epoch()) {
            return effects.push(Effect::Send { to: from.clone(), message: Box::new(answer) });
        }
        if message.leader_epoch > self.leader_epoch() && message.body == Body::Fenced {
            // The metadata here will say so too, some time.
            self.superseded = true;
        }
        if message.leader_epoch != self.leader_epoch() || !self.leading {
            return;
        }
        let (elapsed, log_end) = (self.elapsed, self.log_end());
        let Some(follower) = self.replicas.follower_mut(from) else { return };
        match message.body {
            Body::Position { incarnation, tail, durable_end, intact, full } => {
                if follower.admit(incarnation, elapsed) {
                    self.on_position(from, tail, durable_end.min(tail.end), intact, effects);
                    if full {
                        self.on_full(from);
                    }
                }
            }
            Body::Progress { incarnation, durable_end } => {
                if follower.admit(incarnation, elapsed) {
                    follower.confirm(durable_end, log_end, elapsed);
                }
            }
            Body::Damaged { incarnation, offsets } => {
                if follower.admit(incarnation, elapsed) {
                    follower.set_damaged();
                    self.maybe_repair(from, offsets, effects);
                }
            }
            // A leader's words, or what only another epoch can mean.
            Body::Begin
            | Body::EpochEnd { .. }
            | Body::Reset { .. }
            | Body::Append { .. }
            | Body::Repair { .. }
            | Body::Fenced => return,
        }
        self.maybe_commit(now, effects);
        self.push_to(from, effects);
        self.greet(from, effects);
        self.maybe_propose_in_sync(effects);
    }

    pub(super) fn on_pushed(&mut self, to: &BrokerId, end: Offset, bytes: usize, effects: &mut Vec<Effect>) {
        let (now, high_watermark) = (self.elapsed, self.high_watermark());
        if let Some(follower) = self.replicas.follower_mut(to) {
            follower.on_pushed(end, bytes, high_watermark, now);
            self.push_to(to, effects);
        }
    }

    /// Has every follower sent what it lacks, as far as its window goes.
    pub(super) fn push_to_all(&mut self, effects: &mut Vec<Effect>) {
        let (log_end, window_bytes) = (self.log_end(), self.options.window_bytes);
        for follower in self.replicas.followers_mut() {
            if let Some((start, bytes_max)) = follower.start_push(log_end, window_bytes) {
                effects.push(Effect::Push { to: follower.id.clone(), start, bytes_max });
            }
        }
    }

    fn push_to(&mut self, to: &BrokerId, effects: &mut Vec<Effect>) {
        let (log_end, window_bytes) = (self.log_end(), self.options.window_bytes);
        if let Some(follower) = self.replicas.follower_mut(to)
            && let Some((start, bytes_max)) = follower.start_push(log_end, window_bytes)
        {
            effects.push(Effect::Push { to: to.clone(), start, bytes_max });
        }
    }

    /// A follower whose log is newly agreed on is told so at once, and alone if there is nothing to append.
    fn greet(&mut self, to: &BrokerId, effects: &mut Vec<Effect>) {
        let (now, log_end, high_watermark) = (self.elapsed, self.log_end(), self.high_watermark());
        if let Some(follower) = self.replicas.follower_mut(to)
            && follower.is_to_be_greeted(log_end)
        {
            follower.on_noticed(high_watermark, now);
            let message = Box::new(self.append_message(log_end, Vec::new()));
            effects.push(Effect::Send { to: to.clone(), message });
        }
    }

    /// A follower says how its log ends.
    fn on_position(
        &mut self,
        from: &BrokerId,
        tail: LogTail,
        durable_end: Offset,
        intact: bool,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match self.history.judge(tail) {
            Verdict::Parted(answer) => Body::EpochEnd { asked: tail, answer },
            Verdict::Gone => Body::Reset { asked: tail, start: self.history.start() },
            Verdict::Inside => {
                self.history.learn_from(tail);
                let (elapsed, log_end) = (self.elapsed, self.log_end());
                if let Some(follower) = self.replicas.follower_mut(from) {
                    follower.agree(tail.end, intact, elapsed);
                    follower.confirm(durable_end, log_end, elapsed);
                }
                return;
            }
        };
        let message = Box::new(Message::new(self.leader_epoch(), answer));
        effects.push(Effect::Send { to: from.clone(), message });
    }

    /// A follower has no room for more.
    fn on_full(&mut self, from: &BrokerId) {
        let elapsed = self.elapsed;
        if let Some(follower) = self.replicas.follower_mut(from) {
            follower.set_full(elapsed);
        }
    }

    /// Only who is out of every set that may be the valid one gets its damaged records anew: until then it might be elected,
    /// and the others be cut to what it has.
    fn maybe_repair(&mut self, from: &BrokerId, offsets: Range<Offset>, effects: &mut Vec<Effect>) {
        let is_out = !self.replicas.assignment().is_in_sync(from) && !self.replicas.is_proposed(from);
        let offsets = offsets.start.max(self.history.start())..offsets.end.min(self.log_end());
        if is_out && offsets.start < offsets.end {
            effects.push(Effect::Repair { to: from.clone(), offsets });
        }
    }

    /// Says what is due by now.
    fn speak(&mut self, effects: &mut Vec<Effect>) {
        let (now, high_watermark, leader_epoch) = (self.elapsed, self.high_watermark(), self.leader_epoch());
        let Self { replicas, history, .. } = self;
        for follower in replicas.followers_mut() {
            let body = if follower.is_to_be_asked(now) {
                Body::Begin
            } else if follower.is_notice_due(now)
                && let Some(next) = follower.next()
            {
                follower.on_noticed(high_watermark, now);
                let previous = LogTail { epoch: history.epoch_before(next), end: next };
                Body::Append { previous, high_watermark, batches: Vec::new() }
            } else {
                continue;
            };
            effects.push(Effect::Send { to: follower.id.clone(), message: Box::new(Message::new(leader_epoch, body)) });
        }
    }
}
