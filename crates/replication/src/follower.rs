//! The follower's part. Owns what of a leader's words is believed, where the log is cut, and how far it counts as committed here;
//! never the log itself.

#[cfg(test)]
mod tests;

use std::ops::Range;

use liftbridge_types::{BrokerId, LeaderEpoch, Offset};

use crate::assignment::BrokerLife;
use crate::divergence::{History, LogTail};
use crate::leader::LogState;
use crate::message::{Body, Message};

/// What can happen to a follower. A closed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerEvent<'a> {
    /// The way to the leader opened.
    Linked,
    /// Another broker said something. What of it has to be done to the log comes as effects, to be carried out before the next
    /// event.
    Received {
        /// Which one.
        from: &'a BrokerId,
        /// What. The driver keeps it until it has carried out the effects: batches are in it.
        message: &'a Message,
    },
    /// What [`FollowerEffect::Append`] asked for was written, not necessarily durably.
    Appended {
        /// The epoch and first offset of each batch.
        batches: &'a [(LeaderEpoch, Offset)],
        /// The end of the log.
        end: Offset,
    },
    /// Everything before `end` is on stable storage.
    DurableEnd {
        /// The end of it.
        end: Offset,
    },
    /// Everything before this was removed from the log.
    Trimmed {
        /// Where the log starts now.
        start: Offset,
    },
    /// Records that had been on stable storage cannot be read any more. Reported again from time to time until they can.
    Damaged {
        /// Which ones.
        offsets: Range<Offset>,
    },
    /// Nothing is damaged any more.
    Repaired {
        /// Every epoch with records in the log and the offset of its first one: what was damaged may have hidden some.
        epochs: &'a [(LeaderEpoch, Offset)],
    },
    /// There was no room for what [`FollowerEffect::Append`] asked for, or for a part of it.
    Full,
    /// There is room again.
    Room,
}

/// One decision of a follower. The driver carries effects out in the order they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerEffect {
    /// Append the batches of the message at hand, all or none, after verifying them, and report [`FollowerEvent::Appended`].
    Append,
    /// Remove everything at or after `end`, durably.
    Truncate {
        /// The new end of the log.
        end: Offset,
    },
    /// Remove everything, durably, and go on at `start`.
    Reset {
        /// Where the log starts and ends then.
        start: Offset,
    },
    /// Put the batches of the message at hand in the place of what is damaged, and report what is left of it.
    Repair,
    /// Everything before `end` is committed: readers may see it.
    AdvanceHighWatermark {
        /// The new high watermark, larger than the one before.
        end: Offset,
    },
    /// Send this. It may be lost.
    Send {
        /// To which broker.
        to: BrokerId,
        /// What.
        message: Message,
    },
    /// The leader's log lacks what is committed here, so one of the two is wrong. Stop, and say so loudly: cutting would destroy
    /// what may be the last copy.
    Fail(FollowerFault),
}

/// What a follower cannot go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerFault {
    /// Where the leader would have the log end.
    pub cut: Offset,
    /// The end of what is committed here.
    pub high_watermark: Offset,
    /// The leadership in question.
    pub leader_epoch: LeaderEpoch,
}

/// A follower of one partition, in one leadership.
///
/// Invariants:
/// - Nothing is appended but right behind a record of the epoch that stands there in the leader's log. So the log is always the
///   beginning of that of some leader, and once something was appended, of this one.
/// - Nothing below the high watermark is cut.
/// - The high watermark never goes back, and passes neither the durable end here nor what the leader said.
#[derive(Debug)]
pub struct Follower {
    me: BrokerLife,
    leader: BrokerId,
    leader_epoch: LeaderEpoch,
    history: History,
    durable_end: Offset,
    high_watermark: Offset,
    /// What the leader said is committed.
    leader_high_watermark: Offset,
    /// Whether the log is known to be the beginning of the leader's.
    agreed: bool,
    /// Where the log ended when the leader was last told so; the answer is awaited.
    told: Option<LogTail>,
    /// The damage at the lowest offsets of what was reported and not repaired.
    damaged: Option<Range<Offset>>,
    /// Whether there is no room for more.
    full: bool,
    /// Whether it has met what it cannot go on with.
    failed: bool,
}

impl Follower {
    /// Begins to follow `leader`, and says so to it, and whether its log is `full`.
    pub fn new(
        me: BrokerLife,
        leader: BrokerId,
        leader_epoch: LeaderEpoch,
        log: LogState,
        full: bool,
        effects: &mut Vec<FollowerEffect>,
    ) -> Self {
        let high_watermark = log.high_watermark.min(log.durable_end).min(log.history.end());
        let mut follower = Self {
            me,
            leader,
            leader_epoch,
            history: log.history,
            durable_end: log.durable_end,
            high_watermark,
            leader_high_watermark: high_watermark,
            agreed: false,
            told: None,
            damaged: None,
            full,
            failed: false,
        };
        follower.tell_position(effects);
        follower
    }

    /// The broker that is followed.
    pub fn leader(&self) -> &BrokerId {
        &self.leader
    }

    /// In which leadership.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The end of what is committed, as far as is known and stored here.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The end of what is written.
    pub fn log_end(&self) -> Offset {
        self.history.end()
    }

    /// Takes in one event and pushes what follows from it, in the order it is to be carried out.
    pub fn step(&mut self, event: FollowerEvent<'_>, effects: &mut Vec<FollowerEffect>) {
        if self.failed {
            return;
        }
        match event {
            FollowerEvent::Linked => self.tell_position(effects),
            FollowerEvent::Received { from, message } => self.on_message(from, message, effects),
            FollowerEvent::Appended { batches, end } => {
                for (epoch, start) in batches {
                    self.history.append(*epoch, *start);
                }
                self.history.extend(end);
            }
            FollowerEvent::DurableEnd { end } => self.on_durable(end, effects),
            FollowerEvent::Trimmed { start } => self.history.trim(start),
            FollowerEvent::Damaged { offsets } => {
                let is_lowest = self.damaged.as_ref().is_none_or(|known| offsets.start <= known.start);
                self.damaged = if is_lowest { Some(offsets.clone()) } else { self.damaged.take() };
                self.send(Body::Damaged { incarnation: self.me.incarnation, offsets }, effects);
            }
            FollowerEvent::Repaired { epochs } => {
                self.damaged = None;
                self.history.learn(epochs);
                self.tell_position(effects);
            }
            FollowerEvent::Full => {
                self.full = true;
                self.tell_position(effects);
            }
            FollowerEvent::Room => {
                self.full = false;
                self.tell_position(effects);
            }
        }
    }

    fn on_message(&mut self, from: &BrokerId, message: &Message, effects: &mut Vec<FollowerEffect>) {
        if let Some(answer) = message.answer_if_stale(self.leader_epoch) {
            return effects.push(FollowerEffect::Send { to: from.clone(), message: answer });
        }
        // Of a later leadership the metadata here has not heard yet; when it has, this follower is another one.
        if message.leader_epoch != self.leader_epoch || *from != self.leader {
            return;
        }
        match &message.body {
            Body::Begin => self.tell_position(effects),
            Body::EpochEnd { asked, answer } => self.on_epoch_end(*asked, *answer, effects),
            Body::Reset { asked, start } => self.on_reset(*asked, *start, effects),
            Body::Append { previous, high_watermark, batches } => {
                self.on_append(*previous, *high_watermark, batches.is_empty(), effects);
            }
            Body::Repair { .. } => {
                if self.damaged.is_some() {
                    effects.push(FollowerEffect::Repair);
                }
            }
            // A follower's words, or what only another epoch can mean.
            Body::Position { .. } | Body::Progress { .. } | Body::Damaged { .. } | Body::Fenced => {}
        }
    }

    /// Cuts the log to where both may agree, and asks again.
    fn on_epoch_end(&mut self, asked: LogTail, answer: LogTail, effects: &mut Vec<FollowerEffect>) {
        if asked != self.history.tail() {
            // Late: what it is about is not so any more.
            return;
        }
        let cut = self.history.cut(answer);
        if cut < self.high_watermark && self.damaged.is_some() {
            // Whole epochs may be hidden in what is damaged, so that the logs seem to part where they do not. It is asked again
            // when they are known.
            return;
        }
        if cut < self.high_watermark || cut >= self.log_end() {
            return self.fail(cut, effects);
        }
        effects.push(FollowerEffect::Truncate { end: cut });
        self.history.truncate(cut);
        self.durable_end = self.durable_end.min(cut);
        self.damaged = self.damaged.take().filter(|damaged| damaged.start < cut);
        self.agreed = false;
        self.tell_position(effects);
    }

    /// Goes on where the leader's log starts.
    fn on_reset(&mut self, asked: LogTail, start: Offset, effects: &mut Vec<FollowerEffect>) {
        if asked != self.history.tail() {
            return;
        }
        // What the leader has removed by its retention was committed, so nothing is lost with it here.
        if start < self.high_watermark && start < self.log_end() {
            return self.fail(start, effects);
        }
        effects.push(FollowerEffect::Reset { start });
        self.history.reset(start);
        self.durable_end = start;
        self.agreed = false;
        self.damaged = None;
        self.advance(start, effects);
        self.tell_position(effects);
    }

    fn on_append(
        &mut self,
        previous: LogTail,
        high_watermark: Offset,
        is_bare: bool,
        effects: &mut Vec<FollowerEffect>,
    ) {
        let tail = self.history.tail();
        // An empty log has no record before; there is nothing that could differ.
        let continues = previous.end == tail.end && (tail.epoch.is_none() || previous.epoch == tail.epoch);
        if !continues {
            return self.on_append_elsewhere(previous, high_watermark, effects);
        }
        self.agreed = true;
        self.leader_high_watermark = self.leader_high_watermark.max(high_watermark);
        if self.full && !is_bare {
            self.maybe_tell_position(effects);
            return self.advance(self.leader_high_watermark.min(self.durable_end), effects);
        }
        self.told = None;
        if !is_bare {
            effects.push(FollowerEffect::Append);
        } else if self.durable_end == tail.end {
            // The leader knows then that it was heard. What is not durable yet is confirmed when it is.
            self.tell_progress(effects);
        }
        self.advance(self.leader_high_watermark.min(self.durable_end), effects);
    }

    /// An append that does not fit here came twice, or one before it is lost.
    fn on_append_elsewhere(&mut self, previous: LogTail, high_watermark: Offset, effects: &mut Vec<FollowerEffect>) {
        if self.agreed && previous.end < self.log_end() {
            self.tell_progress(effects);
            // The batches are known; the watermark may be news.
            self.leader_high_watermark = self.leader_high_watermark.max(high_watermark);
            return self.advance(self.leader_high_watermark.min(self.durable_end), effects);
        }
        self.maybe_tell_position(effects);
    }

    /// Said once, not to every one of the appends that follow the one that is lost or had no room; if that is lost too, the
    /// leader asks.
    fn maybe_tell_position(&mut self, effects: &mut Vec<FollowerEffect>) {
        if self.told != Some(self.history.tail()) {
            self.tell_position(effects);
        }
    }

    fn on_durable(&mut self, end: Offset, effects: &mut Vec<FollowerEffect>) {
        let end = end.min(self.log_end());
        if end <= self.durable_end {
            return;
        }
        self.durable_end = end;
        if self.agreed {
            self.tell_progress(effects);
            self.advance(self.leader_high_watermark.min(end), effects);
        }
    }

    fn advance(&mut self, end: Offset, effects: &mut Vec<FollowerEffect>) {
        if end > self.high_watermark {
            self.high_watermark = end;
            effects.push(FollowerEffect::AdvanceHighWatermark { end });
        }
    }

    fn tell_position(&mut self, effects: &mut Vec<FollowerEffect>) {
        let tail = self.history.tail();
        self.told = Some(tail);
        let (incarnation, durable_end) = (self.me.incarnation, self.durable_end);
        let (intact, full) = (self.damaged.is_none(), self.full);
        self.send(Body::Position { incarnation, tail, durable_end, intact, full }, effects);
    }

    fn tell_progress(&self, effects: &mut Vec<FollowerEffect>) {
        self.send(Body::Progress { incarnation: self.me.incarnation, durable_end: self.durable_end }, effects);
    }

    fn send(&self, body: Body, effects: &mut Vec<FollowerEffect>) {
        let message = Message::new(self.leader_epoch, body);
        effects.push(FollowerEffect::Send { to: self.leader.clone(), message });
    }

    fn fail(&mut self, cut: Offset, effects: &mut Vec<FollowerEffect>) {
        self.failed = true;
        let (high_watermark, leader_epoch) = (self.high_watermark, self.leader_epoch);
        effects.push(FollowerEffect::Fail(FollowerFault { cut, high_watermark, leader_epoch }));
    }
}
