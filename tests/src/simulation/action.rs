//! What can happen in one step, and how often. Owns the odds; knows no outcome.

use crate::dice::Dice;

/// What happens in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Several publishes arrive and become one batch.
    Publish,
    /// What was written is forced to the medium.
    Sync,
    /// A sync is begun, more is written, and the sync ends.
    SyncAcrossAppend,
    /// The log says on disk how far it is good.
    Checkpoint,
    /// Old segments go.
    Clean,
    /// Somebody reads a range forward.
    Read,
    /// Somebody reads downward.
    ReadReverse,
    /// A running subscriber reads on.
    Follow,
    /// Somebody asks for a time.
    LookUpTime,
    /// The leadership ends and begins anew, without what was not committed.
    Depose,
    /// The partition closes its files and caches and goes on.
    Park,
    /// A clean stop and a new start.
    Restart,
    /// The process is killed and starts anew; the machine goes on.
    Kill,
    /// The power fails, most often in the middle of something.
    Crash,
    /// One of the next storage operations fails.
    FailOperation,
    /// The medium refuses to sync, until that has kept the partition from opening.
    FailSyncs,
    /// The medium runs full.
    FillDisk,
    /// There is space again.
    FreeDisk,
    /// A bit of a durable batch flips.
    FlipBitInLog,
    /// A bit of a file flips that can be derived from the log.
    FlipBitInDerivedFile,
    /// A file that can be derived from the log is lost, or the end of it.
    LoseDerivedFile,
    /// Time passes.
    Wait,
    /// The clock is set back.
    StepClockBack,
}

/// What a power cut may fall into the middle of: everything that writes.
const WRITING: &[Action] = &[
    Action::Publish,
    Action::Sync,
    Action::SyncAcrossAppend,
    Action::Checkpoint,
    Action::Clean,
    Action::Depose,
    Action::Park,
];

/// How often each action happens, relative to the sum.
const ODDS: &[(u64, Action)] = &[
    (300, Action::Publish),
    (150, Action::Sync),
    (60, Action::SyncAcrossAppend),
    (20, Action::Checkpoint),
    (20, Action::Clean),
    (60, Action::Read),
    (30, Action::ReadReverse),
    (80, Action::Follow),
    (20, Action::LookUpTime),
    (10, Action::Depose),
    (15, Action::Park),
    (15, Action::Restart),
    (10, Action::Kill),
    (30, Action::Crash),
    (20, Action::FailOperation),
    (6, Action::FailSyncs),
    (8, Action::FillDisk),
    (12, Action::FreeDisk),
    (6, Action::FlipBitInLog),
    (8, Action::FlipBitInDerivedFile),
    (6, Action::LoseDerivedFile),
    (40, Action::Wait),
    (5, Action::StepClockBack),
];

impl Action {
    /// What happens next.
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let sum = ODDS.iter().map(|(odds, _)| odds).sum();
        let mut place = dice.below(sum);
        for (odds, action) in ODDS {
            match place.checked_sub(*odds) {
                Some(rest) => place = rest,
                None => return *action,
            }
        }
        unreachable!("the place lies below the sum of the odds")
    }

    /// What a power cut falls into the middle of.
    pub(super) fn roll_writing(dice: &mut Dice) -> Self {
        WRITING[dice.index(WRITING.len())]
    }
}
