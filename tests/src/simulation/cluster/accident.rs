//! What can happen in one step of a cluster, and how often. Owns the odds; knows no outcome.

use crate::dice::Dice;

/// What happens in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accident {
    /// Publishers send messages to whoever they take for a leader.
    Publish,
    /// A consumer reads.
    Read,
    /// Somebody creates a stream, or deletes one.
    Create,
    Delete,
    /// Two servers that applied the same are compared.
    Compare,
    /// Old segments go, or a log says how far it is good.
    Clean,
    Checkpoint,
    /// The power of a server fails, in the middle of something.
    CutPower,
    /// The power of all servers fails, of each in the middle of something.
    CutAllPower,
    /// A process is killed; the machine goes on.
    Kill,
    /// A process stops cleanly.
    Stop,
    /// A server that is down starts.
    Start,
    /// A process stands still, or goes on.
    Pause,
    Resume,
    /// The network is cut in one direction, or around one server, or whole again, or has other weather.
    CutOneWay,
    Isolate,
    MendNetwork,
    ChangeWeather,
    /// One of the next operations of a volume fails; all syncs do; it is full; there is room again.
    FailOperation,
    FailSyncs,
    FillDisk,
    FreeDisk,
    /// A bit of a durable batch flips.
    FlipBit,
    /// A server's clock is set.
    SetClock,
    /// A server loses its disk for ever.
    LoseDisk,
    /// A server comes to be down, with the files of a partition gone.
    LoseFiles,
    /// Another server joins.
    Join,
    /// A leadership moves because somebody wants it to.
    MoveLeader,
    /// The controller hands its part on.
    Resign,
    /// Time passes.
    Wait,
}

/// How often each happens, relative to the sum.
const ODDS: &[(u64, Accident)] = &[
    (350, Accident::Publish),
    (70, Accident::Read),
    (14, Accident::Create),
    (4, Accident::Delete),
    (6, Accident::Compare),
    (10, Accident::Clean),
    (12, Accident::Checkpoint),
    (8, Accident::CutPower),
    (2, Accident::CutAllPower),
    (5, Accident::Kill),
    (4, Accident::Stop),
    (30, Accident::Start),
    (6, Accident::Pause),
    (14, Accident::Resume),
    (5, Accident::CutOneWay),
    (4, Accident::Isolate),
    (14, Accident::MendNetwork),
    (5, Accident::ChangeWeather),
    (5, Accident::FailOperation),
    (1, Accident::FailSyncs),
    (2, Accident::FillDisk),
    (8, Accident::FreeDisk),
    (3, Accident::FlipBit),
    (4, Accident::SetClock),
    (2, Accident::LoseDisk),
    (4, Accident::LoseFiles),
    (2, Accident::Join),
    (6, Accident::MoveLeader),
    (4, Accident::Resign),
    (30, Accident::Wait),
];

impl Accident {
    /// What happens next.
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let sum = ODDS.iter().map(|(odds, _)| odds).sum();
        let mut place = dice.below(sum);
        for (odds, accident) in ODDS {
            match place.checked_sub(*odds) {
                Some(rest) => place = rest,
                None => return *accident,
            }
        }
        unreachable!("the place lies below the sum of the odds")
    }
}
