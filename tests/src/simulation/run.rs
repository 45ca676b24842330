//! One run of a seed. Owns its end: a summary, or a failure that says how to see it again.

use std::fmt;

use super::world::World;

/// What a run that broke no rule did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Differs between runs in which anything differed.
    pub fingerprint: u64,
    /// Messages acknowledged under `ALL`.
    pub acked: usize,
    /// Times the partition was opened.
    pub lives: u64,
}

/// A broken rule.
#[derive(Debug)]
pub struct Failure {
    seed: u64,
    step: u64,
    broken: String,
    newest: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, broken, newest } = self;
        for line in newest {
            writeln!(f, "    {line}")?;
        }
        writeln!(f, "seed {seed}, step {step}: {broken}")?;
        write!(f, "see it again: cargo xtask sim --seed {seed} --steps {step}")
    }
}

/// Lives one seed for this many steps.
///
/// # Errors
/// When a rule is broken.
pub fn run(seed: u64, steps: u64) -> Result<Summary, Failure> {
    let mut world = World::new(seed);
    for step in 1..=steps {
        if let Err(broken) = world.step(step) {
            let newest = world.trace().newest().map(str::to_owned).collect();
            return Err(Failure { seed, step, broken, newest });
        }
    }
    Ok(Summary { fingerprint: world.trace().fingerprint(), acked: world.acked_count(), lives: world.lives() })
}
