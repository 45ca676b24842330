//! When what happens. Owns how a seed becomes a schedule, and nothing else: no process, no clock.

use std::time::Duration;

use super::fault::Fault;
use crate::dice::Dice;

/// Least and most time before a fault, in milliseconds.
const PAUSE_MS: (u64, u64) = (500, 3_000);
/// Least and most time a fault lasts. A session lasts two seconds by default: some faults end before that is over.
const HOLD_MS: (u64, u64) = (1_000, 7_000);
/// How many of a hundred faults wait until the one before is overcome.
const PATIENT_PERCENT: u64 = 75;

/// One fault and its circumstances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) fault: Fault,
    /// Time between the end of the fault before and this one.
    pub(super) pause: Duration,
    /// How long it lasts.
    pub(super) hold: Duration,
    /// The partition whose leader or follower is meant.
    pub(super) partition: usize,
    /// Whether all replicas have to be in sync again before it begins.
    pub(super) is_patient: bool,
}

/// An endless schedule: every fault once in each round, in another order.
#[derive(Debug)]
pub(super) struct Schedule {
    dice: Dice,
    faults: Vec<Fault>,
    partitions: usize,
    round: Vec<Fault>,
}

impl Schedule {
    /// The schedule of this seed.
    pub(super) fn new(seed: u64, faults: Vec<Fault>, partitions: usize) -> Self {
        Self { dice: Dice::new(seed), faults, partitions, round: Vec::new() }
    }

    fn between(&mut self, (least, most): (u64, u64)) -> Duration {
        Duration::from_millis(least + self.dice.below(most - least))
    }
}

impl Iterator for Schedule {
    type Item = Step;

    /// `None` when there is no fault to choose from.
    fn next(&mut self) -> Option<Step> {
        if self.round.is_empty() {
            self.round.clone_from(&self.faults);
        }
        if self.round.is_empty() {
            return None;
        }
        let fault = self.round.swap_remove(self.dice.index(self.round.len()));
        Some(Step {
            fault,
            pause: self.between(PAUSE_MS),
            hold: self.between(HOLD_MS),
            partition: self.dice.index(self.partitions),
            is_patient: self.dice.percent(PATIENT_PERCENT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_schedule_in_which_every_fault_has_its_turn() {
        let steps = |seed| Schedule::new(seed, Fault::ALL.to_vec(), 6).take(Fault::ALL.len()).collect::<Vec<_>>();
        assert_eq!(steps(4), steps(4));
        assert_ne!(steps(4), steps(5));
        assert!(Fault::ALL.iter().all(|fault| steps(4).iter().any(|step| step.fault == *fault)));
        assert_eq!(Schedule::new(1, Vec::new(), 6).next(), None);
    }
}
