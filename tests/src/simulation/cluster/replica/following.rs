//! Following: what the leader says is done to the log. Owns the order: cut, append after verifying, sync once for all, tell what
//! is durable, show the high watermark.

use std::time::Duration;

use bytes::Bytes;
use liftbridge_commitlog::{AppendError, BatchHeader, Damage, Repair};
use liftbridge_replication::{Body, FollowerEffect, FollowerEvent, Message};
use liftbridge_types::{LeaderEpoch, Offset};

use super::{Around, DAMAGE_RETRY, Failed, Part, PeerEvent, Replica, is_disk_full};
use crate::simulation::cluster::words::Said;

/// Claims of batches that are made true one by one in a turn.
const CLAIMS_SYNCED_MAX: u32 = 2;

/// What became of a batch.
enum Took {
    Stored((LeaderEpoch, Offset)),
    NoRoom,
    Nothing,
}

impl Replica {
    pub(super) fn follow(&mut self, events: Vec<PeerEvent>, around: &mut Around<'_>) -> Result<(), Failed> {
        for event in events {
            match event {
                PeerEvent::Message { from, message } => {
                    let effects = self.step_following(FollowerEvent::Received { from: &from, message: &message });
                    self.carry_out_following(effects, Some(&message), around)?;
                }
                PeerEvent::Link { to, up } => {
                    if up && matches!(&self.part, Part::Following(follower) if *follower.leader() == to) {
                        let effects = self.step_following(FollowerEvent::Linked);
                        self.carry_out_following(effects, None, around)?;
                    }
                }
                PeerEvent::Session { .. } | PeerEvent::InSyncRefused { .. } => {}
            }
        }
        self.make_durable()?;
        if std::mem::take(&mut self.claims_settled) <= CLAIMS_SYNCED_MAX {
            self.log.restore_claims();
        }
        let end = self.log.durable_end();
        let effects = self.step_following(FollowerEvent::DurableEnd { end });
        self.carry_out_following(effects, None, around)
    }

    /// Somebody read here what cannot be read any more.
    pub(in crate::simulation::cluster) fn note_damage(&mut self, offsets: std::ops::Range<Offset>) {
        if matches!(self.part, Part::Following(_)) && offsets.start < self.high_watermark() && self.damaged.add(offsets)
        {
            self.damage_told_at = Duration::ZERO;
        }
    }

    /// Asks for what is damaged, from time to time.
    pub(super) fn tell_damage(&mut self, around: &Around<'_>) {
        if let Some(offsets) = self.damaged.first().cloned()
            && around.elapsed >= self.damage_told_at + DAMAGE_RETRY
        {
            self.damage_told_at = around.elapsed;
            let effects = self.step_following(FollowerEvent::Damaged { offsets });
            self.say_all(effects, around);
        }
    }

    /// Old segments are gone, and damage with them.
    pub(super) fn trim_following(&mut self, start: Offset, around: &Around<'_>) {
        self.damaged.trim(start);
        let mut effects = self.step_following(FollowerEvent::Trimmed { start });
        if self.damaged.is_empty() {
            effects.extend(self.step_following(FollowerEvent::Repaired { epochs: &self.log.leader_epochs() }));
        }
        self.say_all(effects, around);
    }

    /// Says what a follower wants to say, where it can want nothing else.
    pub(super) fn say_all(&self, effects: Vec<FollowerEffect>, around: &Around<'_>) {
        for effect in effects {
            if let FollowerEffect::Send { to, message } = effect {
                self.send(&to, message, around);
            }
        }
    }

    fn step_following(&mut self, event: FollowerEvent<'_>) -> Vec<FollowerEffect> {
        let mut effects = Vec::new();
        if let Part::Following(follower) = &mut self.part {
            follower.step(event, &mut effects);
        }
        effects
    }

    fn carry_out_following(
        &mut self,
        effects: Vec<FollowerEffect>,
        message: Option<&Message>,
        around: &mut Around<'_>,
    ) -> Result<(), Failed> {
        for effect in effects {
            match effect {
                FollowerEffect::Append => {
                    if let Some(Message { leader_epoch, body: Body::Append { batches, .. } }) = message {
                        self.append_all(*leader_epoch, batches, around)?;
                    }
                }
                FollowerEffect::Truncate { end } => {
                    around.outbox.say(Said::Cut { partition: self.key(), log: end..self.log.log_end() });
                    self.log.truncate(end).map_err(|error| error.to_string())?;
                    self.damaged.truncate(end);
                }
                FollowerEffect::Reset { start } => {
                    self.log.reset(start).map_err(|error| error.to_string())?;
                    self.damaged = Damage::default();
                }
                FollowerEffect::Repair => {
                    if let Some(Message { body: Body::Repair { start, batches }, .. }) = message {
                        self.repair(*start, batches, around)?;
                    }
                }
                FollowerEffect::AdvanceHighWatermark { end } => self.show_committed(end, around),
                FollowerEffect::Send { to, message } => self.send(&to, message, around),
                FollowerEffect::Fail(fault) => return Err(format!("{}{fault:?}", super::IRRECONCILABLE)),
            }
        }
        Ok(())
    }

    fn append_all(&mut self, leader_epoch: LeaderEpoch, batches: &[Bytes], around: &Around<'_>) -> Result<(), Failed> {
        let mut appended = Vec::new();
        let mut is_full = false;
        for batch in batches {
            match self.append_one(leader_epoch, batch)? {
                Took::Stored(place) => appended.push(place),
                Took::Nothing => break,
                Took::NoRoom => {
                    is_full = true;
                    break;
                }
            }
        }
        let end = self.log.log_end();
        self.step_following(FollowerEvent::Appended { batches: &appended, end });
        if is_full {
            self.note_full(around);
            let effects = self.step_following(FollowerEvent::Full);
            self.say_all(effects, around);
        } else if !appended.is_empty() {
            self.full = false;
        }
        Ok(())
    }

    /// There is room again.
    pub(super) fn tell_room(&mut self, around: &Around<'_>) {
        let effects = self.step_following(FollowerEvent::Room);
        self.say_all(effects, around);
    }

    /// Appends one batch if it continues the log and there is room.
    fn append_one(&mut self, leader_epoch: LeaderEpoch, batch: &Bytes) -> Result<Took, Failed> {
        let Ok(header) = BatchHeader::peek(batch) else { return Ok(Took::Nothing) };
        if header.leader_epoch > leader_epoch {
            return Ok(Took::Nothing);
        }
        // What the batch claims about the log before it has to be true of this one, too.
        if header.stable_end.is_some_and(|stable| stable > self.log.durable_end()) {
            self.claims_settled += 1;
            if self.claims_settled <= CLAIMS_SYNCED_MAX {
                self.make_durable()?;
            } else if let Err(error) = self.log.void_claims() {
                if !is_disk_full(&error) {
                    return Err(error.to_string());
                }
                self.make_durable()?;
            }
        }
        match self.log.append_batches(batch) {
            Ok(_) => Ok(Took::Stored((header.leader_epoch, header.base_offset))),
            Err(error) if is_disk_full(&error) => Ok(Took::NoRoom),
            Err(error @ (AppendError::Storage(_) | AppendError::Failed { .. })) => Err(error.to_string()),
            Err(_) => Ok(Took::Nothing),
        }
    }

    fn repair(&mut self, start: Offset, batches: &[Bytes], around: &Around<'_>) -> Result<(), Failed> {
        let Some(damaged) = self.damaged.at(start).cloned() else { return Ok(()) };
        match self.log.repair(start..damaged.end, batches) {
            Ok(Repair::Whole(whole)) => self.damaged.remove(&whole),
            Ok(Repair::Wider(wider)) => {
                self.damaged.add(wider);
            }
            Err(error @ (AppendError::Storage(_) | AppendError::Failed { .. })) => return Err(error.to_string()),
            Err(_) => {}
        }
        if self.damaged.is_empty() {
            let effects = self.step_following(FollowerEvent::Repaired { epochs: &self.log.leader_epochs() });
            self.say_all(effects, around);
        }
        Ok(())
    }

    fn make_durable(&mut self) -> Result<(), Failed> {
        if self.log.durable_end() < self.log.log_end() {
            self.log.sync().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
