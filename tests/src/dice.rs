//! Seeded chance. Owns one small generator, so that a seed means the same run for as long as the code around it does; a
//! library's generator may change with its version.

use std::time::{SystemTime, UNIX_EPOCH};

/// A stream of numbers that follow from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Dice with a fresh seed, or with the one in `LIFTBRIDGE_TEST_SEED`; the seed is printed, which the test runner shows
    /// when the test fails.
    pub fn announced() -> Self {
        let given = std::env::var("LIFTBRIDGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(fresh_seed);
        eprintln!("seed: LIFTBRIDGE_TEST_SEED={seed}");
        Self::new(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// An index below `end`, which is not 0.
    pub fn index(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("lengths fit 64 bits");
        usize::try_from(self.below(end)).expect("it is below a length")
    }

    /// True in `percent` of all cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A seed that differs from run to run.
pub fn fresh_seed() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    Dice::new(u64::from(since_epoch.subsec_nanos()) ^ since_epoch.as_secs()).number() >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_run() {
        let run = |seed| {
            let mut dice = Dice::new(seed);
            [dice.number(), dice.below(10), dice.number()]
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        // The published first value of SplitMix64 for seed 0.
        assert_eq!(Dice::new(0).number(), 0xe220_a839_7b1d_cdaf);
    }
}
