//! Carrying out what the leader decides, in the one order that keeps its promises: persist before you promise.
//!
//! One cycle:
//!
//! 1. append the batches to the log,
//! 2. answer publishers under `LEADER` (their message survives this process),
//! 3. send the batches to the followers, so that they write and sync while this broker does,
//! 4. force the log to the medium, once for all batches, where the sync policy says so,
//! 5. show the new high watermark, so that whoever hears of a commit can also read it,
//! 6. answer publishers under `ALL` (their message survives the machine),
//! 7. wake subscribers.
//!
//! Where there are followers, 5 to 7 come when the last of them that is in sync says that it has the batch on its medium.
//!
//! A crash after 1, 2 or 3 may lose the batch; nobody under `ALL` has been told otherwise, and no subscriber has seen it. What a
//! follower has by then and this broker lost is the next leader's to keep or to cut. A crash after 4 keeps the batch here,
//! whether or not anybody was told.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::{AppendError, BatchBuilder, SyncPolicy};
use liftbridge_replication::{Effect, Event, Leader, Proposal as LeaderProposal, Refusal};
use liftbridge_types::{AckPolicy, Offset, Timestamp};

use crate::errors::PublishError;
use crate::partition::lifecycle::{OpenLog, refusal_for};
use crate::partition::owed::Owed;
use crate::partition::proposal::Proposal;
use crate::partition::role::{Replica, RoleHere};
use crate::partition::{Partition, Wish};
use crate::requests::Acked;

/// Payload at which a batch is closed, whatever the number of its messages.
const BATCH_BYTES_TARGET: usize = 1024 * 1024;

/// Buffers of a batch under construction, lent by the worker.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    builder: BatchBuilder,
    pub(super) effects: Vec<Effect>,
}

/// The log cannot be written any more.
#[derive(Debug)]
pub(super) struct LogFailed {
    /// What the storage said.
    pub(super) reason: String,
}

/// One cycle of one partition.
pub(super) struct Cycle<'a> {
    partition: &'a Partition,
    leader: &'a mut Leader,
    open: &'a mut OpenLog,
    buffers: &'a mut Buffers,
    /// Whether expected offsets count.
    concurrency_control: bool,
    /// Publishers who wait for this cycle's sync.
    waiting_count: usize,
    /// Payload of the batch being built.
    batch_payload_bytes: usize,
    /// When the cycle began; acknowledgements are stamped with a newer time.
    began_at: Timestamp,
    /// Why messages are refused that the leader had let in.
    failure: Option<PublishError>,
    /// Why the log cannot be written any more.
    log_failed: Option<LogFailed>,
}

impl<'a> Cycle<'a> {
    /// A cycle that has done nothing.
    pub(super) fn new(
        partition: &'a Partition,
        leader: &'a mut Leader,
        open: &'a mut OpenLog,
        buffers: &'a mut Buffers,
        concurrency_control: bool,
    ) -> Self {
        // After a turn that panicked they may hold what was never appended.
        buffers.builder.clear();
        buffers.effects.clear();
        let began_at = partition.host.clock.now();
        let mut cycle = Self {
            partition,
            leader,
            open,
            buffers,
            concurrency_control,
            waiting_count: 0,
            batch_payload_bytes: 0,
            began_at,
            failure: None,
            log_failed: None,
        };
        cycle.pass_time();
        cycle
    }

    /// A leader with followers goes by the time.
    fn pass_time(&mut self) {
        if self.leader.is_replicated() {
            let elapsed = self.partition.host.clock.elapsed();
            self.leader.step(self.began_at, Event::Tick { elapsed }, &mut self.buffers.effects);
            self.carry_out();
        }
    }

    /// Puts the message into the batch being built, or refuses it. Appends the batch first when it is full.
    pub(super) fn propose(&mut self, proposal: Proposal) {
        let Proposal { message, ack_policy, expected_offset, reply, permit, .. } = proposal;
        let payload_bytes = message.payload_bytes();
        if self.is_full(payload_bytes) {
            self.append();
        }
        if let Some(LogFailed { reason }) = &self.log_failed {
            // Unlike those that were let in it is certainly not stored.
            return reply.answer(Err(PublishError::Offline { reason: reason.clone() }));
        }
        let id = self.open.owed.insert(Owed { reply, expected_offset, _permit: permit });
        let expected_offset = if self.concurrency_control { expected(expected_offset) } else { None };
        let proposal = LeaderProposal { id, ack_policy, expected_offset };
        self.leader.step(self.began_at, Event::Proposed(proposal), &mut self.buffers.effects);
        let let_in = self.buffers.effects.contains(&Effect::AddToBatch { id });
        self.carry_out();
        if let_in {
            self.waiting_count += usize::from(ack_policy == AckPolicy::All);
            let pushed = self.buffers.builder.push(message.key.as_deref(), &message.value, &message.headers);
            pushed.expect("`Proposal::check` refused what no batch can hold, and `is_full` made room");
            self.batch_payload_bytes += payload_bytes;
        }
    }

    /// Appends what is left and commits everything appended.
    ///
    /// # Errors
    /// When the log cannot be written any more. Everybody has been told by then.
    pub(super) fn finish(mut self) -> Result<(), LogFailed> {
        self.append();
        if self.log_failed.is_none() {
            self.commit();
        }
        if self.buffers.builder.bytes() > 2 * BATCH_BYTES_TARGET {
            // One giant message must not cost every worker that much memory for good.
            self.buffers.builder = BatchBuilder::new();
        }
        self.log_failed.map_or(Ok(()), Err)
    }

    fn is_full(&self, payload_bytes: usize) -> bool {
        let builder = &self.buffers.builder;
        let message_count = usize::try_from(builder.record_count()).unwrap_or(usize::MAX);
        message_count >= self.partition.host.limits.batch_messages_max
            || (!builder.is_empty() && self.batch_payload_bytes.saturating_add(payload_bytes) > BATCH_BYTES_TARGET)
    }

    /// Steps 1 to 3.
    fn append(&mut self) {
        if self.buffers.builder.is_empty() {
            return;
        }
        let partition = self.partition;
        let now = partition.host.clock.now();
        let message_count = u64::from(self.buffers.builder.record_count());
        let epoch = self.leader.leader_epoch();
        self.open.log.note_high_watermark(self.leader.high_watermark());
        match self.open.log.append(&mut self.buffers.builder, epoch, now) {
            Ok(appended) => {
                self.open.on_appended(&partition.route);
                let metrics = partition.host.metrics();
                metrics.messages_in.increment(message_count);
                metrics.bytes_in.increment(self.batch_payload_bytes as u64);
                metrics.append_batch_messages.record(f64::from(u32::try_from(message_count).unwrap_or(u32::MAX)));
                let last = record_time(appended.time, message_count - 1);
                partition.board.show_appended(appended.offsets.end, appended.time, last);
                let event = Event::Appended { offsets: appended.offsets, time: appended.time };
                self.leader.step(now, event, &mut self.buffers.effects);
            }
            Err(error) => self.on_append_failed(&error),
        }
        self.buffers.builder.clear();
        self.batch_payload_bytes = 0;
        self.carry_out();
    }

    /// A full disk, or no descriptor, costs one batch and is tried again with the next, here or where there is room; anything
    /// else ends the leadership.
    fn on_append_failed(&mut self, error: &AppendError) {
        if let AppendError::Storage(storage) = error
            && let Some(shortage) = storage.shortage()
        {
            self.open.on_shortage(shortage, &self.partition.route);
            self.failure = Some(self.partition.make_way(self.leader, self.open, shortage));
            self.leader.step(self.began_at, Event::AppendFailed, &mut self.buffers.effects);
        } else {
            self.on_log_failed(error);
        }
    }

    /// Ends the leadership. Nobody can say what is on the medium of what was let in.
    fn on_log_failed(&mut self, error: &AppendError) {
        let reason = error.to_string();
        self.failure = Some(PublishError::WentOffline { reason: reason.clone() });
        self.log_failed = Some(LogFailed { reason });
        self.leader.step(self.began_at, Event::Resigned, &mut self.buffers.effects);
    }

    /// Steps 4 to 7.
    fn commit(&mut self) {
        let durable_end = match self.partition.host.sync {
            SyncPolicy::Commit if self.open.log.durable_end() < self.open.log.log_end() => self.sync(),
            SyncPolicy::Commit | SyncPolicy::Interval(_) | SyncPolicy::Never => Some(self.open.log.log_end()),
        };
        let Some(end) = durable_end else { return };
        let now = self.partition.host.clock.now();
        self.leader.step(now, Event::DurableEnd { end }, &mut self.buffers.effects);
        if !self.buffers.effects.is_empty() {
            self.carry_out();
            self.partition.board.wake();
        }
    }

    /// Forces the log to the medium; `None` when that failed, which ends the leadership: what was appended since the last
    /// success may or may not be there, and trying again proves nothing.
    fn sync(&mut self) -> Option<Offset> {
        let partition = self.partition;
        let (synced, sync_time) = partition.timed_sync(self.open);
        let waiting = partition.mailbox.lock().len();
        // With followers, those who wait are answered when these have synced too, and come back then.
        let answered = if self.leader.is_replicated() { 0 } else { self.waiting_count };
        self.open.company.on_synced(answered, waiting, sync_time);
        if let Err(error) = &synced {
            self.on_log_failed(error);
            self.carry_out();
        }
        synced.ok()
    }

    fn carry_out(&mut self) {
        self.partition.carry_out(self.leader, self.open, &mut self.buffers.effects, self.failure.as_ref());
    }
}

impl Partition {
    /// Has the leader, if this broker is it, take in an event that belongs to no cycle, and does what follows. `failure` is what
    /// publishers are told whose messages the leader had let in and now refuses.
    pub(super) fn step_alone(&self, replica: &mut Replica, event: Event, failure: Option<&PublishError>) {
        let Replica { open, role: RoleHere::Leading(leader) } = replica else { return };
        let mut effects = Vec::new();
        leader.step(self.host.clock.now(), event, &mut effects);
        self.carry_out(leader, open, &mut effects, failure);
        self.board.wake();
    }

    /// Does what the leader decided, in its order; what followers lack is read and sent after the rest.
    pub(super) fn carry_out(
        &self,
        leader: &mut Leader,
        open: &mut OpenLog,
        effects: &mut Vec<Effect>,
        failure: Option<&PublishError>,
    ) {
        let mut pushes = Vec::new();
        loop {
            for effect in effects.drain(..) {
                match effect {
                    // Done by whoever holds the message.
                    Effect::AddToBatch { .. } => {}
                    Effect::AdvanceHighWatermark { end } => self.board.show_committed(end),
                    Effect::Acknowledge { id, offset, received_at, acknowledged_at } => {
                        if let Some(owed) = open.owed.take(id) {
                            let route = Arc::clone(&self.route);
                            // Messages of one batch have times that differ, and may come to lie after now.
                            let acked_at = acknowledged_at.max(received_at);
                            owed.reply.answer(Ok(Acked { route, offset, received_at, acked_at }));
                        }
                    }
                    Effect::Refuse { id, refusal } => {
                        if let Some(owed) = open.owed.take(id) {
                            let error = self.publish_error(refusal, owed.expected_offset, failure);
                            // Others have no room, or are gone; but here, too, it is room that publishing waits for.
                            let is_short = matches!(error, PublishError::TooFewInSync { .. });
                            let shortage = open.shortage().filter(|_| is_short);
                            owed.reply.answer(Err(shortage.map_or(error, refusal_for)));
                        }
                    }
                    Effect::Send { to, message } => self.send(&to, *message),
                    Effect::Push { to, start, bytes_max } => pushes.push((to, start, bytes_max)),
                    Effect::Repair { to, offsets } => self.send_repair(leader, open, &to, offsets),
                    Effect::ProposeInSync(change) => self.wish(Wish::ChangeInSync(*change)),
                }
            }
            if pushes.is_empty() {
                return;
            }
            for (to, start, bytes_max) in pushes.drain(..) {
                let pushed = self.push(leader, open, to, start, bytes_max);
                leader.step(self.host.clock.now(), pushed, effects);
            }
        }
    }

    /// What a publisher is told. `failure` is why a message was not acknowledged that the leader had let in.
    fn publish_error(&self, refusal: Refusal, expected: i64, failure: Option<&PublishError>) -> PublishError {
        match refusal {
            Refusal::Readonly => PublishError::Readonly { partition: self.route.partition },
            Refusal::IncorrectOffset { next } => PublishError::IncorrectOffset { expected, next },
            Refusal::TooFewInSync { in_sync_count, minimum } => PublishError::TooFewInSync { in_sync_count, minimum },
            Refusal::Lapsed => PublishError::NotLeader,
            Refusal::NotAppended | Refusal::Resigned => failure.cloned().unwrap_or(PublishError::Closed),
        }
    }

    /// Forces the log to the medium and measures how long that takes.
    pub(super) fn timed_sync(&self, open: &mut OpenLog) -> (Result<Offset, AppendError>, Duration) {
        let before = self.host.clock.elapsed();
        let synced = open.log.sync();
        let sync_time = self.host.clock.elapsed().saturating_sub(before);
        open.sync_time = sync_time;
        self.host.metrics().log_sync_seconds.record(sync_time.as_secs_f64());
        (synced, sync_time)
    }
}

/// The offset a publisher expects; `None` = any. One that no message can get is kept as one that none does.
fn expected(offset: i64) -> Option<Offset> {
    if offset == -1 { None } else { Some(u64::try_from(offset).map_or(Offset::MAX, Offset::new)) }
}

/// The time of the record `index` places after one stored at `first`.
fn record_time(first: Timestamp, index: u64) -> Timestamp {
    Timestamp::from_nanos(first.as_nanos().saturating_add_unsigned(index))
}
