//! Following: what the leader says is done to the log, in the one order that keeps what is promised with it.
//!
//! For each message, what the replication core makes of it:
//!
//! 1. cut, or begin anew, durably,
//! 2. append, after batches and their places were verified.
//!
//! And once for all the messages of a turn:
//!
//! 3. force the log to the medium, where the sync policy says so,
//! 4. tell the leader what is durable,
//! 5. show the new high watermark and wake readers.
//!
//! A crash before 3 loses what nobody was told of. The leader may commit as soon as it has heard 4, and not before.
//!
//! A batch carries a claim of the log it was first appended to: what lay before its stable end was on that medium then.
//! Recovery takes the claim for its own log's (`A5`), so it is made true here before the batch is written: what lies before
//! its stable end is synced first. A follower that catches up gets many such batches at once, and would never come to an end
//! with a sync for each while the leader goes on: from the third in a turn on it notes instead that the claims are not true here,
//! until they are again.

use bytes::Bytes;
use liftbridge_commitlog::{AppendError, BatchHeader, Damage, LeaderPart, Repair, SyncPolicy};
use liftbridge_replication::{Body, Follower, FollowerEffect, FollowerEvent, Message};
use liftbridge_types::{LeaderEpoch, Offset};

use crate::partition::Partition;
use crate::partition::lifecycle::OpenLog;
use crate::partition::mailbox::PeerEvent;
use crate::partition::perform::LogFailed;

/// Claims of batches that are made true one by one in a turn; more than a follower meets that keeps up.
const CLAIMS_SYNCED_MAX: u32 = 2;

/// Why a batch from the leader was not appended.
enum NotAppended {
    /// It is not what continues this log: the leader will ask where the log ends.
    Refused,
    /// There is no room for it.
    NoRoom,
    /// The log cannot be written any more.
    Failed(LogFailed),
}

impl Partition {
    /// Has the follower take these events in.
    ///
    /// # Errors
    /// When the log cannot be written any more, or must not be.
    pub(super) fn follow(
        &self,
        follower: &mut Follower,
        open: &mut OpenLog,
        events: impl Iterator<Item = PeerEvent>,
    ) -> Result<(), LogFailed> {
        let watermark_before = follower.high_watermark();
        let mut effects = Vec::new();
        for event in events {
            match event {
                PeerEvent::Message { from, message } => {
                    follower.step(FollowerEvent::Received { from: &from, message: &message }, &mut effects);
                    self.carry_out_following(follower, open, &mut effects, Some(&message))?;
                }
                PeerEvent::Link { to, is_up } if is_up && to == *follower.leader() => {
                    follower.step(FollowerEvent::Linked, &mut effects);
                    self.carry_out_following(follower, open, &mut effects, None)?;
                }
                PeerEvent::Damage { offsets } => {
                    // Only what is committed was ever whole; of the rest the leader speaks anyway.
                    if offsets.start < follower.high_watermark() && open.damaged.add(offsets.clone()) {
                        follower.step(FollowerEvent::Damaged { offsets }, &mut effects);
                        self.carry_out_following(follower, open, &mut effects, None)?;
                    }
                }
                // A leader's matters, or nothing new.
                PeerEvent::Link { .. } | PeerEvent::Session { .. } | PeerEvent::InSyncRefused { .. } => {}
            }
        }
        self.make_durable(open)?;
        let is_catching_up = std::mem::take(&mut open.claims_settled) > CLAIMS_SYNCED_MAX;
        if !is_catching_up {
            open.log.restore_claims();
        }
        let end = self.stable_end(&open.log);
        follower.step(FollowerEvent::DurableEnd { end }, &mut effects);
        self.carry_out_following(follower, open, &mut effects, None)?;
        if follower.high_watermark() > watermark_before {
            open.log.note_high_watermark(follower.high_watermark());
            self.board.wake();
        }
        Ok(())
    }

    fn carry_out_following(
        &self,
        follower: &mut Follower,
        open: &mut OpenLog,
        effects: &mut Vec<FollowerEffect>,
        message: Option<&Message>,
    ) -> Result<(), LogFailed> {
        for effect in effects.drain(..) {
            match effect {
                FollowerEffect::Append => {
                    if let Some(Message { leader_epoch, body: Body::Append { batches, .. } }) = message {
                        self.append_all(follower, open, *leader_epoch, batches)?;
                    }
                }
                FollowerEffect::Truncate { end } => {
                    tracing::info!(stream = %self.route.stream, partition = %self.route.partition, %end,
                        log_end = %open.log.log_end(), leader = %follower.leader(),
                        "cutting off what another leader wrote and nobody committed");
                    open.log.truncate(end).map_err(failed)?;
                    open.parked = false;
                    self.board.show_log_end(end);
                    open.damaged.truncate(end);
                }
                FollowerEffect::Reset { start } => {
                    tracing::info!(stream = %self.route.stream, partition = %self.route.partition, %start,
                        "too far behind: going on where the leader's log starts");
                    open.log.reset(start).map_err(failed)?;
                    open.parked = false;
                    open.damaged = Damage::default();
                    self.board.show_log_end(start);
                }
                FollowerEffect::Repair => {
                    if let Some(Message { body: Body::Repair { start, batches }, .. }) = message {
                        self.repair(follower, open, *start, batches)?;
                    }
                }
                FollowerEffect::AdvanceHighWatermark { end } => self.board.show_committed(end),
                FollowerEffect::Send { to, message } => self.send(&to, message),
                FollowerEffect::Fail(fault) => {
                    let reason = format!(
                        "the leader `{}` (epoch {}) would have the log end at {}, below the high watermark {}: \
                         one of the two has lost what was committed; see which, and remove the other's replica",
                        follower.leader(),
                        fault.leader_epoch,
                        fault.cut,
                        fault.high_watermark
                    );
                    return Err(LogFailed { reason });
                }
            }
        }
        Ok(())
    }

    fn append_all(
        &self,
        follower: &mut Follower,
        open: &mut OpenLog,
        leader_epoch: LeaderEpoch,
        batches: &[Bytes],
    ) -> Result<(), LogFailed> {
        let mut appended = Vec::with_capacity(batches.len());
        let mut is_full = false;
        for batch in batches {
            match self.append_one(open, leader_epoch, batch) {
                Ok(place) => appended.push(place),
                Err(NotAppended::Refused) => break,
                Err(NotAppended::NoRoom) => {
                    is_full = true;
                    break;
                }
                Err(NotAppended::Failed(failed)) => return Err(failed),
            }
        }
        let end = open.log.log_end();
        self.board.show_log_end(end);
        // It decides nothing new: what was appended is said when it is durable.
        follower.step(FollowerEvent::Appended { batches: &appended, end }, &mut Vec::new());
        if is_full {
            self.tell(follower, FollowerEvent::Full);
        }
        Ok(())
    }

    /// Appends one batch, unchanged, if it verifies and continues the log.
    fn append_one(
        &self,
        open: &mut OpenLog,
        leader_epoch: LeaderEpoch,
        batch: &Bytes,
    ) -> Result<(LeaderEpoch, Offset), NotAppended> {
        let refused = |reason: &dyn std::fmt::Display| {
            tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %reason,
                "a batch from the leader was not appended");
            NotAppended::Refused
        };
        let header = BatchHeader::peek(batch).map_err(|error| refused(&error))?;
        if header.leader_epoch > leader_epoch {
            return Err(refused(&format_args!(
                "it is of epoch {}, the leader's is {leader_epoch}",
                header.leader_epoch
            )));
        }
        self.settle_claim(open, &header).map_err(NotAppended::Failed)?;
        match open.log.append_batches(batch) {
            Ok(_) => {
                open.on_appended(&self.route);
                Ok((header.leader_epoch, header.base_offset))
            }
            Err(AppendError::Storage(error)) => match error.shortage() {
                Some(shortage) => {
                    open.on_shortage(shortage, &self.route);
                    Err(NotAppended::NoRoom)
                }
                None => Err(NotAppended::Failed(failed(error.into()))),
            },
            Err(error @ AppendError::Failed { .. }) => Err(NotAppended::Failed(failed(error))),
            Err(
                error
                @ (AppendError::NotContiguous { .. } | AppendError::StaleEpoch { .. } | AppendError::Malformed(_)),
            ) => Err(refused(&error)),
        }
    }

    /// Makes true what a batch claims about what is before it, or notes that it is not.
    fn settle_claim(&self, open: &mut OpenLog, header: &LeaderPart) -> Result<(), LogFailed> {
        let is_true = header.stable_end.is_none_or(|stable| stable <= open.log.durable_end());
        if is_true || self.host.sync != SyncPolicy::Commit {
            return Ok(());
        }
        open.claims_settled += 1;
        if open.claims_settled <= CLAIMS_SYNCED_MAX {
            return self.make_durable(open);
        }
        match open.log.void_claims() {
            // Without room for the note there is none for batches either, or they wait for syncs.
            Err(AppendError::Storage(error)) if error.shortage().is_some() => self.make_durable(open),
            noted => noted.map_err(failed),
        }
    }

    /// Puts good records in the place of damaged ones.
    fn repair(
        &self,
        follower: &mut Follower,
        open: &mut OpenLog,
        start: Offset,
        batches: &[Bytes],
    ) -> Result<(), LogFailed> {
        // What lies before `start` is gone at the leader, and goes here with the next cleaning.
        let Some(damaged) = open.damaged.at(start).cloned() else { return Ok(()) };
        match open.log.repair(start..damaged.end, batches) {
            Ok(Repair::Wider(wider)) => {
                open.damaged.add(wider);
            }
            Ok(Repair::Whole(whole)) => {
                let (start, end) = (whole.start, whole.end);
                tracing::info!(stream = %self.route.stream, partition = %self.route.partition, %start, %end,
                    "damaged messages were fetched from the leader and can be read again");
                open.damaged.remove(&whole);
            }
            Err(AppendError::Storage(error)) if error.shortage().is_none() => return Err(failed(error.into())),
            Err(error @ AppendError::Failed { .. }) => return Err(failed(error)),
            Err(error) => {
                tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %error,
                    "what is damaged was not repaired by what the leader sent");
            }
        }
        if open.damaged.is_empty() {
            self.tell(follower, FollowerEvent::Repaired { epochs: &open.log.leader_epochs() });
        }
        Ok(())
    }

    /// Forces the log to the medium where the sync policy says that this comes before a promise.
    fn make_durable(&self, open: &mut OpenLog) -> Result<(), LogFailed> {
        if self.host.sync == SyncPolicy::Commit && open.log.durable_end() < open.log.log_end() {
            self.timed_sync(open).0.map_err(failed)?;
        }
        Ok(())
    }
}

fn failed(error: AppendError) -> LogFailed {
    LogFailed { reason: error.to_string() }
}
