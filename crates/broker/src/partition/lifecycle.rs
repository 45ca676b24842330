//! The life of a partition: open, paused, offline, deleted, stopped. Every change of state is in this file, and what each
//! leaves behind; never what happens to a message meanwhile.
//!
//! ```text
//!            resume            storage failure
//!   paused ---------> open -----------------------> offline
//!     ^                | |                             |
//!     '----------------' '---------> deleted <---------'   (from every state; so is stopped)
//!            pause
//! ```
//!
//! A log that could not be opened for want of descriptors is offline too, and tried again until it can.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::{
    AppendError, CommitLog, Damage, LogOptions, OpenError, RecoveryReport, RetentionLimits, Shortage,
};
use liftbridge_replication::{Assignment, Event, FollowerEvent};
use liftbridge_types::{BrokerIncarnation, StreamSettings};
use parking_lot::{Condvar, Mutex};

use crate::begun_logs::LogKey;
use crate::errors::PublishError;
use crate::partition::company::Company;
use crate::partition::mailbox::Mailbox;
use crate::partition::owed::OwedAnswers;
use crate::partition::replicating::TROUBLE_RETRY;
use crate::partition::role::{Replica, RoleHere};
use crate::partition::task::Activity;
use crate::partition::upkeep::Duty;
use crate::partition::{Board, Partition, PartitionHost, PartitionSpec, RunState};
use crate::requests::PartitionRoute;
use crate::tail_budget::TailShare;

/// What only the partition's turns touch.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) state: State,
    /// What is agreed about its replicas.
    pub(super) assignment: Assignment,
    /// Which life of this broker's process this is, once that is known.
    pub(super) incarnation: Option<BrokerIncarnation>,
    /// When the next tick is under way for, in the clock's elapsed time.
    pub(super) tick_at: Option<Duration>,
    /// The settings of its stream.
    pub(super) settings: StreamSettings,
    /// Whether publishes are refused, kept over a pause.
    pub(super) readonly: bool,
    /// Whether a reminder to clean is under way, so that there is never a second one.
    pub(super) clean_scheduled: bool,
    /// Whether a reminder to sync is under way.
    pub(super) sync_scheduled: bool,
}

/// In which phase of its life a partition is.
#[derive(Debug)]
pub(super) enum State {
    /// Its log is open, and this broker has a part in it.
    Open(Box<Replica>),
    /// Its files are closed until it is resumed.
    Paused,
    /// Its storage failed.
    Offline {
        /// What the storage said.
        reason: String,
        /// Whether nothing is broken, so that opening it is tried again.
        passing: bool,
    },
    /// It is gone, with its files.
    Deleted,
    /// The server is stopping.
    Stopped,
}

impl State {
    /// Why a publish is refused that finds the partition in this state.
    pub(super) fn refusal(&self) -> PublishError {
        match self {
            // It is open, and another broker leads it.
            Self::Open(_) => PublishError::NotLeader,
            Self::Paused | Self::Deleted => PublishError::Closed,
            Self::Offline { reason, .. } => PublishError::Offline { reason: reason.clone() },
            Self::Stopped => PublishError::ShuttingDown,
        }
    }
}

/// An open log and what belongs to it, whatever this broker's part.
#[derive(Debug)]
pub(super) struct OpenLog {
    pub(super) log: CommitLog,
    pub(super) owed: OwedAnswers,
    /// Whom the next turn waits for.
    pub(super) company: Company,
    /// How long the last sync took.
    pub(super) sync_time: Duration,
    /// Offsets that had been durable and cannot be read any more. A follower gets them from its leader.
    pub(super) damaged: Damage,
    /// What its in-memory tail takes of the node's.
    pub(super) tail: TailShare,
    /// Batches of this turn that claim about the medium what was not true here when they came.
    pub(super) claims_settled: u32,
    /// Whether the files are as a clean stop leaves them.
    pub(super) parked: bool,
    /// What the last append found too little of, while no more was found since.
    shortage: Option<Shortage>,
    /// When another replica was last asked for to lead, for want of room here; in the clock's elapsed time.
    pub(super) made_way_at: Option<Duration>,
}

/// Bytes of log that may be scanned at every start rather than closed cleanly at the first.
const RESCAN_BYTES_MAX: u64 = 1024 * 1024;

impl OpenLog {
    /// An append went well.
    pub(super) fn on_appended(&mut self, route: &PartitionRoute) {
        self.parked = false;
        self.on_room(route);
    }

    /// There is room, as far as is known.
    pub(super) fn on_room(&mut self, route: &PartitionRoute) {
        if self.shortage.take().is_some() {
            tracing::info!(stream = %route.stream, partition = %route.partition, "there is room again: publishing goes on");
        }
    }

    /// What there is too little of to append anything, as far as is known.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        self.shortage
    }

    /// An append found too little of something.
    pub(super) fn on_shortage(&mut self, shortage: Shortage, route: &PartitionRoute) {
        if self.shortage.replace(shortage) == Some(shortage) {
            return;
        }
        let reason = refusal_for(shortage);
        tracing::error!(stream = %route.stream, partition = %route.partition, %reason, "publishes are refused until then");
    }
}

/// Why a log could not be opened, in the storage's words.
pub(super) enum NotOpened {
    /// There was no descriptor for it.
    Passing(String),
    /// Something is wrong with it.
    Failed(String),
}

/// What publishers are told of a shortage.
pub(super) fn refusal_for(shortage: Shortage) -> PublishError {
    match shortage {
        Shortage::Space => PublishError::DiskFull,
        Shortage::Files => PublishError::FilesExhausted,
    }
}

impl Partition {
    /// Opens a partition, recovering its log if need be; a log that cannot be opened makes it offline.
    pub(super) fn open(host: Arc<PartitionHost>, spec: PartitionSpec) -> Arc<Self> {
        let is_replicated = spec.assignment.replicas.len() > 1;
        let core = Core {
            state: State::Paused,
            assignment: spec.assignment,
            incarnation: spec.incarnation,
            tick_at: None,
            settings: spec.settings,
            readonly: spec.readonly,
            clean_scheduled: false,
            sync_scheduled: false,
        };
        let partition = Arc::new(Self {
            host,
            route: spec.route,
            directory: spec.directory,
            stream_id: spec.stream_id,
            broker_id: spec.broker_id,
            board: Board::new(RunState::Paused, spec.readonly),
            mailbox: Mutex::new(Mailbox::new(spec.paused)),
            company_came: Condvar::new(),
            core: Mutex::new(core),
            activity: Activity::new(),
        });
        partition.board.show_replicated(is_replicated);
        // Nobody else knows the partition yet, so this is its first turn.
        let mut core = partition.core.lock();
        if spec.paused {
            partition.show_paused(&core);
        } else {
            partition.resume_if_paused(&mut core);
        }
        drop(core);
        partition
    }

    /// Paused or new becomes open, or offline should that fail.
    pub(super) fn resume_if_paused(self: &Arc<Self>, core: &mut Core) {
        if !matches!(core.state, State::Paused) {
            return;
        }
        match self.open_log(core) {
            Ok(replica) => {
                self.board.show_open(replica.open.log.view(), replica.role.high_watermark());
                self.board.show_damage(&replica.open.damaged);
                core.state = State::Open(Box::new(replica));
                self.enter_role(core);
                self.plan_cleaning(core);
            }
            Err(NotOpened::Passing(reason)) => self.open_later(core, reason),
            Err(NotOpened::Failed(reason)) => self.become_offline(core, reason),
        }
    }

    /// Paused becomes offline for as long as no file can be opened.
    fn open_later(self: &Arc<Self>, core: &mut Core, reason: String) {
        tracing::error!(stream = %self.route.stream, partition = %self.route.partition, %reason,
            "partition is offline until its files can be opened: trying again and again");
        self.board.show_closed(RunState::Offline { reason: reason.clone() }, false);
        core.state = State::Offline { reason, passing: true };
        self.host.upkeep.schedule(TROUBLE_RETRY, Duty::Tick, Arc::downgrade(self));
    }

    /// Offline for want of descriptors becomes open, or offline again.
    pub(super) fn maybe_open_again(self: &Arc<Self>, core: &mut Core) {
        if matches!(core.state, State::Offline { passing: true, .. }) {
            core.state = State::Paused;
            self.resume_if_paused(core);
        }
    }

    /// Open becomes paused: files closed, subscriptions ended. Publishes that wait behind are refused as they come up.
    pub(super) fn become_paused(&self, core: &mut Core) {
        if let State::Open(replica) = &mut core.state {
            self.resign(replica, &PublishError::Closed);
            self.close_cleanly(replica);
        } else if !matches!(core.state, State::Offline { passing: true, .. }) {
            return;
        }
        core.state = State::Paused;
        self.board.show_closed(RunState::Paused, false);
    }

    /// Open becomes offline, with the reason. Logged here and nowhere else. What is committed can still be read.
    pub(super) fn become_offline(self: &Arc<Self>, core: &mut Core, reason: String) {
        if matches!(core.state, State::Deleted | State::Stopped) {
            return;
        }
        tracing::error!(stream = %self.route.stream, partition = %self.route.partition, %reason,
            "partition is offline until the server restarts");
        self.host.metrics().partition_failures.increment(1);
        // First the state: it holds even if a bug makes the farewell panic.
        let before = std::mem::replace(&mut core.state, State::Offline { reason: reason.clone(), passing: false });
        self.board.show_closed(RunState::Offline { reason: reason.clone() }, true);
        if let State::Open(mut replica) = before {
            self.resign(&mut replica, &PublishError::WentOffline { reason });
            self.hand_on(&mut replica);
            self.plan_hand_on(core);
        } else {
            self.hand_on_again(core);
        }
    }

    /// Offline, and named leader all the same, because it is so since a start or what was wished is lost: has another one lead, and
    /// asks for that until one does.
    pub(super) fn hand_on_again(self: &Arc<Self>, core: &mut Core) {
        // One that only lacks descriptors is opened again and again, which has ticks of its own.
        let is_broken = matches!(core.state, State::Offline { passing: false, .. });
        if is_broken && core.assignment.leader.as_ref() == Some(&self.broker_id) && core.tick_at.is_none() {
            self.want_another(&core.assignment, true);
            self.plan_hand_on(core);
        }
    }

    fn plan_hand_on(self: &Arc<Self>, core: &mut Core) {
        if core.assignment.replicas.len() > 1 {
            core.tick_at = Some(self.host.clock.elapsed().saturating_add(TROUBLE_RETRY));
            self.host.upkeep.schedule(TROUBLE_RETRY, Duty::Tick, Arc::downgrade(self));
        }
    }

    /// Has others do what cannot be done here any more: lead, or be waited for.
    fn hand_on(&self, replica: &mut Replica) {
        match &mut replica.role {
            RoleHere::Leading(leader) => self.want_another_leader(leader, true),
            RoleHere::Following(follower) => {
                let nothing = follower.log_end()..follower.log_end();
                self.tell(follower, FollowerEvent::Damaged { offsets: nothing });
            }
            RoleHere::Waiting { .. } => {}
        }
    }

    /// Any state becomes deleted: subscriptions ended, files removed. What cannot be removed now goes with the directory of
    /// its stream, whose removal is tried until it succeeds.
    pub(super) fn become_deleted(&self, core: &mut Core) {
        if let State::Open(replica) = &mut core.state {
            self.resign(replica, &PublishError::Closed);
            replica.open.log.mark_deleted();
        }
        // Files are closed before they are removed.
        core.state = State::Deleted;
        self.board.show_closed(RunState::Deleted, false);
        self.board.show_damage(&Damage::default());
        if let Err(error) = self.host.volume.remove_directory(&self.directory) {
            tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %error,
                "could not remove the files of a deleted partition");
        }
    }

    /// Any state but deleted becomes stopped, leaving clean files.
    pub(super) fn become_stopped(&self, core: &mut Core) {
        if let State::Open(replica) = &mut core.state {
            self.resign(replica, &PublishError::Stopped);
            if !replica.open.parked {
                self.close_cleanly(replica);
            }
        }
        self.stop_at_once(core);
    }

    /// Any state but deleted becomes stopped, leaving the files to recovery.
    pub(super) fn stop_at_once(&self, core: &mut Core) {
        if let State::Open(replica) = &mut core.state {
            self.resign(replica, &PublishError::Stopped);
        }
        if !matches!(core.state, State::Deleted) {
            core.state = State::Stopped;
            self.board.show_closed(RunState::Stopped, false);
        }
    }

    /// Refuses publishes, or takes them again.
    pub(super) fn apply_readonly(&self, core: &mut Core, readonly: bool) {
        core.readonly = readonly;
        if let State::Open(replica) = &mut core.state {
            self.step_alone(replica, Event::SetReadonly(readonly), None);
        }
        self.board.show_readonly(readonly);
    }

    /// Ends the leadership, if this broker has it; everybody who waits is told `cause`. What they wait for is in the log, and may
    /// stay there.
    fn resign(&self, replica: &mut Replica, cause: &PublishError) {
        self.step_alone(replica, Event::Resigned, Some(cause));
    }

    fn open_log(&self, core: &Core) -> Result<Replica, NotOpened> {
        let (mut log, report) = self.recover_log(core)?;
        let role = self.begin_role(core, &log, log.high_watermark(), false);
        // A long log is not to be scanned again after a second crash. A short one is scanned faster than that is written
        // down, and thousands of them may be opened at one start.
        if !report.clean && log.size_bytes() >= RESCAN_BYTES_MAX {
            self.tolerate_shortage(log.park(role.high_watermark()))?;
        }
        let damaged = self.known_damage(&log, report);
        let tail = self.host.tails.share();
        let open = OpenLog {
            log,
            owed: OwedAnswers::default(),
            company: Company::default(),
            sync_time: Duration::ZERO,
            damaged,
            tail,
            claims_settled: 0,
            parked: true,
            shortage: None,
            made_way_at: None,
        };
        Ok(Replica { open, role })
    }

    /// What recovery found, and what was known before the log was closed: a log that was closed cleanly is not searched.
    fn known_damage(&self, log: &CommitLog, report: RecoveryReport) -> Damage {
        let (_, mut damaged) = self.board.storage();
        damaged.trim(log.log_start());
        damaged.truncate(log.log_end());
        for found in report.damaged {
            damaged.add(found);
        }
        damaged
    }

    /// Opens the log, with everything in it on the medium.
    pub(super) fn recover_log(&self, core: &Core) -> Result<(CommitLog, RecoveryReport), NotOpened> {
        let directory = self.host.volume.directory(&self.directory);
        let storage = self.host.begun_logs.watched(self.log_key(), directory);
        let opened = CommitLog::open(storage, self.log_options(&core.settings));
        let (mut log, report) = opened.map_err(|error| match &error {
            OpenError::Storage(storage) if storage.shortage() == Some(Shortage::Files) => {
                NotOpened::Passing(error.to_string())
            }
            OpenError::Storage(_) | OpenError::NewerFormat { .. } | OpenError::EndDamaged { .. } => {
                NotOpened::Failed(error.to_string())
            }
        })?;
        self.log_recovery(&report);
        // Whatever recovery kept is this replica's; on the medium it may count as committed.
        if log.durable_end() < log.log_end() {
            self.tolerate_shortage(log.sync().map(drop))?;
        }
        Ok((log, report))
    }

    /// What its log is known by.
    pub(super) fn log_key(&self) -> LogKey {
        (self.stream_id, self.route.partition)
    }

    /// What there is too little of for storing does not keep a log from being read.
    pub(super) fn tolerate_shortage(&self, result: Result<(), AppendError>) -> Result<(), NotOpened> {
        match result {
            Err(AppendError::Storage(error)) if error.shortage().is_some() => {
                tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %error,
                    "the log is open, but was not checkpointed");
                Ok(())
            }
            other => other.map_err(|error| NotOpened::Failed(error.to_string())),
        }
    }

    fn log_recovery(&self, report: &RecoveryReport) {
        let PartitionRoute { stream, partition, .. } = self.route.as_ref();
        if report.bytes_cut > 0 || !report.rebuilt.is_empty() {
            tracing::info!(%stream, %partition, bytes_cut = report.bytes_cut, rebuilt = ?report.rebuilt,
                "log recovered after an unclean stop");
        }
        for damaged in &report.damaged {
            tracing::error!(%stream, %partition, start = %damaged.start, end = %damaged.end,
                "stored messages are damaged: these offsets cannot be read, everything else is served");
        }
    }

    /// Closes the files so that the next open has nothing to recover. A failure costs the next open time, nothing else.
    fn close_cleanly(&self, replica: &mut Replica) {
        if let Err(error) = replica.open.log.park(replica.role.high_watermark()) {
            tracing::warn!(stream = %self.route.stream, partition = %self.route.partition, %error,
                "could not close the log cleanly: it will be recovered when it is opened again");
        }
    }

    /// How the log behaves under these settings.
    fn log_options(&self, settings: &StreamSettings) -> LogOptions {
        LogOptions {
            segment_bytes_max: settings.segment_max_bytes,
            segment_age_max: settings.segment_max_age.or(settings.retention_max_age),
            sync: self.host.sync,
            retention: RetentionLimits {
                bytes: settings.retention_max_bytes,
                messages: settings.retention_max_messages,
                age: settings.retention_max_age,
            },
            ..LogOptions::default()
        }
    }
}
