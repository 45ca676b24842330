//! The partition under test: its log and its leader, driven as the server drives them. Owns the order in which effects are
//! carried out; judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::{
    AppendError, Appended, BatchBuilder, CommitLog, LogOptions, OpenError, RecoveryReport, Storage,
};
use liftbridge_replication::{
    Assignment, BrokerLife, Effect, Event, History, Leader, LeaderOptions, LogState, Proposal, ProposalId, Refusal,
};
use liftbridge_types::{AckPolicy, BrokerId, BrokerIncarnation, LeaderEpoch, Offset, Timestamp};

/// Where the partition lies on its volume.
pub(super) const DIRECTORY: &str = "partition";

/// A message on its way in.
#[derive(Clone, Debug)]
pub(super) struct Publish {
    pub(super) value: Vec<u8>,
    pub(super) ack_policy: AckPolicy,
    pub(super) expected_offset: Option<Offset>,
}

/// What the partition told somebody.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// A publisher: the message is stored as its policy wants.
    Acked { publish: Publish, offset: Offset },
    /// A publisher: the message is not stored, or nobody knows.
    Refused { publish: Publish, refusal: Refusal },
    /// Subscribers: everything before this end is committed.
    Committed { end: Offset },
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Batched {
    /// Nobody was let in.
    Nothing,
    /// It was written.
    Written { values: Vec<Vec<u8>>, appended: Appended },
    /// It was not.
    Failed { values: Vec<Vec<u8>>, error: AppendError },
}

/// The log and its leader.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) log: CommitLog,
    leader: Leader,
    builder: BatchBuilder,
    waiting: BTreeMap<usize, Publish>,
    published: usize,
    /// Whether a written message counts as durable, which is what a policy of never syncing means.
    trusts_writes: bool,
}

impl Partition {
    /// Opens the log and takes the lead of it.
    pub(super) fn open(
        storage: Arc<dyn Storage>,
        options: LogOptions,
        epoch: LeaderEpoch,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let (log, report) = CommitLog::open(storage, options)?;
        let leader = leader(&log, log.high_watermark(), epoch);
        let trusts_writes = options.sync != liftbridge_commitlog::SyncPolicy::Commit;
        let builder = BatchBuilder::new();
        Ok((Self { log, leader, builder, waiting: BTreeMap::new(), published: 0, trusts_writes }, report))
    }

    /// The end of what is committed.
    pub(super) fn high_watermark(&self) -> Offset {
        self.leader.high_watermark()
    }

    /// Proposes these messages and writes those that are let in as one batch.
    pub(super) fn publish(&mut self, now: Timestamp, publishes: Vec<Publish>, told: &mut Vec<Told>) -> Batched {
        let mut values = Vec::new();
        for publish in publishes {
            self.published += 1;
            let id = ProposalId::new(self.published);
            let Publish { ack_policy, expected_offset, .. } = publish;
            self.waiting.insert(id.get(), publish);
            let proposal = Event::Proposed(Proposal { id, ack_policy, expected_offset });
            for added in self.step(now, proposal, told) {
                let value = self.waiting[&added.get()].value.clone();
                self.builder.push(None, &value, &[]).expect("values are small");
                values.push(value);
            }
        }
        if values.is_empty() {
            return Batched::Nothing;
        }
        self.log.note_high_watermark(self.leader.high_watermark());
        match self.log.append(&mut self.builder, self.leader.leader_epoch(), now) {
            Ok(appended) => {
                let event = Event::Appended { offsets: appended.offsets.clone(), time: appended.time };
                self.step(now, event, told);
                if self.trusts_writes {
                    self.report_durable(now, self.log.log_end(), told);
                }
                Batched::Written { values, appended }
            }
            Err(error) => {
                self.builder.clear();
                self.step(now, Event::AppendFailed, told);
                Batched::Failed { values, error }
            }
        }
    }

    /// Tells the leader how far this replica is durable.
    pub(super) fn report_durable(&mut self, now: Timestamp, end: Offset, told: &mut Vec<Told>) {
        self.step(now, Event::DurableEnd { end }, told);
    }

    /// Ends the leadership; what waits is refused.
    pub(super) fn resign(&mut self, now: Timestamp, told: &mut Vec<Told>) {
        self.step(now, Event::Resigned, told);
    }

    /// Takes the lead anew, after a resignation.
    pub(super) fn lead(&mut self, epoch: LeaderEpoch) {
        self.leader = leader(&self.log, self.leader.high_watermark(), epoch);
    }

    /// Publishers that have no answer yet.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Hands one event to the leader and carries out what follows; the messages that were let into the batch.
    fn step(&mut self, now: Timestamp, event: Event, told: &mut Vec<Told>) -> Vec<ProposalId> {
        let mut effects = Vec::new();
        self.leader.step(now, event, &mut effects);
        let mut added = Vec::new();
        for effect in effects {
            match effect {
                Effect::AddToBatch { id } => added.push(id),
                Effect::Acknowledge { id, offset, .. } => {
                    let publish = self.answered(id);
                    told.push(Told::Acked { publish, offset });
                }
                Effect::Refuse { id, refusal } => {
                    let publish = self.answered(id);
                    told.push(Told::Refused { publish, refusal });
                }
                Effect::AdvanceHighWatermark { end } => told.push(Told::Committed { end }),
                Effect::Send { .. } | Effect::Push { .. } | Effect::Repair { .. } | Effect::ProposeInSync(_) => {
                    unreachable!("a sole replica has nobody to say anything to")
                }
            }
        }
        added
    }

    fn answered(&mut self, id: ProposalId) -> Publish {
        self.waiting.remove(&id.get()).expect("a publisher is answered once")
    }
}

/// The leader of a log that nobody else keeps.
fn leader(log: &CommitLog, high_watermark: Offset, epoch: LeaderEpoch) -> Leader {
    let me = BrokerLife { id: BrokerId::new("sole").expect("a legal name"), incarnation: BrokerIncarnation::new(1) };
    let history = History::new(log.leader_epochs(), log.log_start(), log.log_end());
    let state = LogState { high_watermark, durable_end: log.durable_end(), history };
    Leader::new(me.clone(), Assignment::sole(me.id, epoch), state, LeaderOptions::default(), Duration::ZERO)
}
