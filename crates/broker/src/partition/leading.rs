//! Leading: what followers say is taken in, and what they lack is read from the log and sent. Owns the reading and the sending;
//! the replication core decides when.

use std::ops::Range;
use std::time::Duration;

use liftbridge_commitlog::{Batch, ReadError, Shortage};
use liftbridge_replication::{Assignment, Body, Event, Leader, Message};
use liftbridge_types::{BrokerId, Offset};

use crate::errors::PublishError;
use crate::partition::lifecycle::{OpenLog, refusal_for};
use crate::partition::mailbox::PeerEvent;
use crate::partition::perform::Buffers;
use crate::partition::{Partition, Wish};

/// Bytes read for one message to a follower. One batch is sent whole, even when it is larger.
const APPEND_BYTES_TARGET: usize = 1024 * 1024;
/// How long another replica is waited for to lead before it is asked for again.
const MAKE_WAY_RETRY: Duration = Duration::from_secs(1);

impl Partition {
    /// Has the leader take these events in.
    pub(super) fn lead(
        &self,
        leader: &mut Leader,
        open: &mut OpenLog,
        events: impl Iterator<Item = PeerEvent>,
        buffers: &mut Buffers,
    ) {
        let owed_before = open.owed.len();
        let watermark_before = leader.high_watermark();
        let now = self.host.clock.now();
        let effects = &mut buffers.effects;
        effects.clear();
        leader.step(now, Event::Tick { elapsed: self.host.clock.elapsed() }, effects);
        for event in events {
            let event = match event {
                PeerEvent::Message { from, message } => Event::Received { from, message },
                PeerEvent::Link { to, is_up } => Event::Link { to, up: is_up },
                PeerEvent::Session { is_lapsed: true } => Event::Lapsed,
                PeerEvent::Session { is_lapsed: false } => Event::Renewed,
                PeerEvent::InSyncRefused { epoch } => Event::InSyncRefused { epoch },
                PeerEvent::Damage { offsets } => {
                    self.step_aside(leader, open, offsets);
                    continue;
                }
            };
            leader.step(now, event, effects);
        }
        self.carry_out(leader, open, effects, None);
        if leader.high_watermark() > watermark_before {
            self.board.wake();
            // Those answered come back together, as they do after a sync where there is nobody to wait for.
            let answered = owed_before.saturating_sub(open.owed.len());
            let (waiting, sync_time) = (self.mailbox.lock().len(), open.sync_time);
            open.company.on_synced(answered, waiting, sync_time);
        }
    }

    /// Reads what a follower lacks and sends it; says how far that went.
    pub(super) fn push(
        &self,
        leader: &Leader,
        open: &mut OpenLog,
        to: BrokerId,
        start: Offset,
        bytes_max: usize,
    ) -> Event {
        let wanted = start..open.log.log_end();
        let batches = self.read(leader, open, wanted, bytes_max.min(APPEND_BYTES_TARGET));
        // Nothing may lie between: a follower takes only what follows its log.
        let continues = batches.first().is_some_and(|batch| batch.header().base_offset == start);
        let Some(end) = batches.last().map(|batch| batch.header().end_offset()).filter(|_| continues) else {
            return Event::Pushed { to, end: start, bytes: 0 };
        };
        let bytes = batches.iter().map(|batch| batch.bytes().len()).sum();
        let batches = batches.iter().map(|batch| batch.bytes().clone()).collect();
        self.send(&to, leader.append_message(start, batches));
        Event::Pushed { to, end, bytes }
    }

    /// Reads what a follower found damaged, or the first part of it, and sends it.
    pub(super) fn send_repair(&self, leader: &Leader, open: &mut OpenLog, to: &BrokerId, offsets: Range<Offset>) {
        let start = offsets.start;
        let batches = self.read(leader, open, offsets, APPEND_BYTES_TARGET);
        if !batches.is_empty() {
            let batches = batches.iter().map(|batch| batch.bytes().clone()).collect();
            self.send(to, Message::new(leader.leader_epoch(), Body::Repair { start, batches }));
        }
    }

    /// Batches from memory, or else from the files, which blocks; none where they cannot be read.
    fn read(&self, leader: &Leader, open: &mut OpenLog, wanted: Range<Offset>, bytes_max: usize) -> Vec<Batch> {
        let view = open.log.view();
        if let Some(batches) = view.read_tail(wanted.start, wanted.end, bytes_max) {
            return batches;
        }
        match view.reader(wanted.start).read(wanted.end, bytes_max) {
            Ok(batches) => batches,
            Err(error) => {
                tracing::error!(stream = %self.route.stream, partition = %self.route.partition, %error,
                    "a follower needs what cannot be read here");
                if let ReadError::Damaged { offsets, .. } = error {
                    self.step_aside(leader, open, offsets);
                }
                Vec::new()
            }
        }
    }

    /// There is no room here: another one is to lead, where one can. Says what publishers are told meanwhile.
    pub(super) fn make_way(&self, leader: &Leader, open: &mut OpenLog, shortage: Shortage) -> PublishError {
        let Some(to) = leader.successor() else { return refusal_for(shortage) };
        let now = self.host.clock.elapsed();
        if open.made_way_at.is_none_or(|at| now >= at.saturating_add(MAKE_WAY_RETRY)) {
            open.made_way_at = Some(now);
            let (epoch, to) = (leader.assignment().epoch, to.clone());
            tracing::info!(stream = %self.route.stream, partition = %self.route.partition, %to,
                "there is no room for more here: another replica is to lead");
            self.wish(Wish::MoveLeader { epoch, to, leaves: true });
        }
        PublishError::NotLeader
    }

    /// What is damaged here can only be got from another replica, and only by a follower: another one is to lead.
    pub(super) fn step_aside(&self, leader: &Leader, open: &mut OpenLog, damaged: Range<Offset>) {
        open.damaged.add(damaged);
        self.board.show_damage(&open.damaged);
        self.want_another_leader(leader, false);
    }

    /// Has another replica lead, if there is one that has everything; whether this one `leaves` the in-sync replicas with that.
    pub(super) fn want_another_leader(&self, leader: &Leader, leaves: bool) {
        match leader.successor() {
            Some(to) => self.wish(Wish::MoveLeader { epoch: leader.assignment().epoch, to: to.clone(), leaves }),
            None => self.want_another(leader.assignment(), leaves),
        }
    }

    /// Has another replica lead that has everything, as far as is agreed on, and can be reached.
    pub(super) fn want_another(&self, assignment: &Assignment, leaves: bool) {
        let Assignment { epoch, in_sync, eligible, .. } = assignment;
        let mut others = in_sync.iter().chain(eligible).filter(|id| **id != self.broker_id);
        if let Some(to) = others.find(|id| self.host.peers.is_linked(id)) {
            self.wish(Wish::MoveLeader { epoch: *epoch, to: to.clone(), leaves });
        }
    }
}
