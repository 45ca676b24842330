//! The world: a volume, a partition on it, publishers, subscribers and accidents. Owns carrying out actions and asking the
//! checkers; the rules are theirs.

mod accidents;
mod reading;
mod writing;

use std::time::Duration;

use liftbridge_commitlog::{FaultyVolume, ForwardReader, LogOptions, RetentionLimits, SyncPolicy, Volume};
use liftbridge_types::{LeaderEpoch, Offset, Timestamp};

use super::action::Action;
use super::checkers::{AckedMessages, Offsets, Stop, Watermark, check_recovered};
use super::model::Model;
use super::partition::{DIRECTORY, Partition};
use super::read_back::read;
use super::trace::Trace;
use crate::dice::Dice;

/// Openings that may fail one after the other: each planned fault fails one, and a full disk is made room on.
const OPENINGS_MAX: usize = 32;

/// Of so many operations of an opening any may be the last before a power cut.
const OPENING_OPERATIONS: u64 = 24;
/// Most nanoseconds that the clock is set back by.
const CLOCK_STEP_MAX: u64 = 3_000_000_000;

/// When it begins.
const BEGINNING: Timestamp = Timestamp::from_nanos(1_000_000_000);

/// How a step went: a sentence for the trace, or the broken rule.
type Step = Result<String, String>;

/// The world of one seed.
pub(super) struct World {
    dice: Dice,
    now: Timestamp,
    volume: FaultyVolume,
    options: LogOptions,
    /// `None` only while it is being opened.
    partition: Option<Partition>,
    subscriber: Option<ForwardReader>,
    model: Model,
    /// Up to where the log may start, once a clean-up that failed half-way is finished by opening it.
    unsure_start: Option<Offset>,
    acked: AckedMessages,
    offsets: Offsets,
    watermark: Watermark,
    trace: Trace,
    published: u64,
    lives: u64,
}

impl World {
    /// The world as it is before the first step.
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let options = options(&mut dice);
        Self {
            now: BEGINNING,
            volume: FaultyVolume::new(dice.number()),
            options,
            partition: None,
            subscriber: None,
            model: Model::default(),
            unsure_start: None,
            acked: AckedMessages::default(),
            offsets: Offsets,
            watermark: Watermark::default(),
            trace: Trace::default(),
            published: 0,
            lives: 0,
            dice,
        }
    }

    /// One step.
    pub(super) fn step(&mut self, step: u64) -> Result<(), String> {
        if self.partition.is_none() {
            let opened = self.open(Stop::Failed)?;
            self.trace.tell(format!("{step} {opened}"));
        }
        self.now = self.now.plus(Duration::from_micros(1 + self.dice.below(1000)));
        let action = Action::roll(&mut self.dice);
        let told = self.act(action)?;
        self.trace.tell(format!("{step} {action:?}: {told}"));
        Ok(())
    }

    /// What happened so far.
    pub(super) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Messages acknowledged under `ALL` so far.
    pub(super) fn acked_count(&self) -> usize {
        self.acked.len()
    }

    /// Times the partition was opened so far.
    pub(super) fn lives(&self) -> u64 {
        self.lives
    }

    /// How much time has passed so far, going by its clock.
    pub(super) fn virtual_time(&self) -> Duration {
        self.now.since(BEGINNING)
    }

    fn act(&mut self, action: Action) -> Step {
        match action {
            Action::Publish => self.publish(),
            Action::Sync => self.sync(),
            Action::SyncAcrossAppend => self.sync_across_append(),
            Action::Checkpoint => self.checkpoint(),
            Action::Clean => self.clean(),
            Action::Depose => self.depose(),
            Action::Park => self.park(),
            Action::Read => self.read(),
            Action::ReadReverse => self.read_reverse(),
            Action::Follow => self.follow(),
            Action::LookUpTime => self.look_up_time(),
            Action::Restart => self.restart(),
            Action::Kill => self.kill(),
            Action::Crash => self.crash(),
            Action::FailOperation => Ok(self.fail_operation()),
            Action::FailSyncs => Ok(self.fail_syncs()),
            Action::FillDisk => Ok(self.fill_disk()),
            Action::FreeDisk => Ok(self.free_disk()),
            Action::FlipBitInLog => Ok(self.flip_bit_in_log()),
            Action::FlipBitInDerivedFile => Ok(self.flip_bit_in_derived_file()),
            Action::LoseDerivedFile => Ok(self.lose_derived_file()),
            Action::StepClockBack => {
                let nanos = self.now.as_nanos() - i64::try_from(self.dice.below(CLOCK_STEP_MAX)).expect("it is small");
                self.now = Timestamp::from_nanos(nanos.max(1));
                Ok(format!("to {}", self.now))
            }
            Action::Wait => {
                self.now = self.now.plus(Duration::from_millis(self.dice.below(2000)));
                Ok(format!("until {}", self.now))
            }
        }
    }

    fn partition(&mut self) -> &mut Partition {
        self.partition.as_mut().expect("a step begins with an open partition")
    }

    /// Opens the partition, however many of the planned faults get in the way, and judges what it holds.
    fn open(&mut self, mut stop: Stop) -> Step {
        let mut last = String::new();
        for _ in 0..OPENINGS_MAX {
            self.lives += 1;
            let epoch = LeaderEpoch::new(self.lives);
            let cut_power_after = self.dice.percent(10).then(|| self.dice.below(OPENING_OPERATIONS));
            self.volume.cut_power(cut_power_after);
            match Partition::open(self.volume.directory(DIRECTORY), self.options, epoch) {
                Ok((partition, report)) => {
                    self.volume.cut_power(None);
                    let start = partition.log.log_start();
                    if self.unsure_start.take().is_some_and(|latest| (self.model.start..=latest).contains(&start)) {
                        self.model.retain_from(start);
                    }
                    let found = read(&partition.log.view(), Offset::ZERO, Offset::MAX)?;
                    self.model.concede(&found.damaged);
                    check_recovered(&self.model, &partition.log, &report, &found, stop)?;
                    self.model.adopt(&found.seen, partition.log.log_end());
                    self.acked.check(&self.model)?;
                    self.watermark.on_told(partition.high_watermark(), self.model.durable_end)?;
                    let told = format!("opened at {} with {report:?}", self.model.end);
                    self.partition = Some(partition);
                    return Ok(told);
                }
                // Whatever it was, a volume that works again must open again.
                Err(error) => {
                    last = error.to_string();
                    if cut_power_after.is_some() {
                        self.volume.crash();
                    }
                    // What was parked is safe from a medium that fails, but what had been cut off before may come back.
                    if stop == Stop::Killed || cut_power_after.is_some() {
                        stop = Stop::Failed;
                        self.forget_what_was_not_promised();
                    }
                    self.mend_volume();
                }
            }
        }
        Err(format!("a log on a volume that works again does not open: {last}"))
    }

    fn mend_volume(&mut self) {
        self.volume.fail_syncs(None);
        self.volume.limit_free_bytes(None);
    }

    /// Lets the partition go, as a process that ends without a word.
    fn drop_partition(&mut self) {
        self.partition = None;
        self.subscriber = None;
    }

    /// Whether the sync policy promises anything for a crash of the machine.
    fn survives_crashes(&self) -> bool {
        self.options.sync == SyncPolicy::Commit
    }
}

/// Sizes and limits so small that every edge is met often.
fn options(dice: &mut Dice) -> LogOptions {
    let some = |dice: &mut Dice, value: u64| dice.percent(40).then_some(value);
    LogOptions {
        segment_bytes_max: 500 + dice.below(4000),
        segment_age_max: some(dice, 5).map(Duration::from_secs),
        index_interval_bytes: 100 + u32::try_from(dice.below(400)).expect("it is small"),
        checkpoint_interval_bytes: 200 + dice.below(8000),
        tail_bytes_max: dice.index(3000),
        refuse_damaged_end: false,
        sync: if dice.percent(85) { SyncPolicy::Commit } else { SyncPolicy::Never },
        retention: RetentionLimits {
            bytes: some(dice, 20_000),
            messages: some(dice, 100),
            age: some(dice, 30).map(Duration::from_secs),
        },
    }
}
