//! One run of a seed. Owns its end: a summary, or a failure that says how to see it again.

use std::fmt;
use std::time::Duration;

use super::world::World;

/// What a run that broke no rule did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Differs between runs in which anything differed.
    pub fingerprint: u64,
    /// Messages acknowledged under `ALL`.
    pub acked: usize,
    /// Times the partition was opened, or a server started.
    pub lives: u64,
    /// Leaderships that began.
    pub leaderships: usize,
    /// How much time passed in it.
    pub virtual_time: Duration,
}

/// Which world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorldKind {
    /// One partition on one server.
    Node,
    /// Servers that form a cluster.
    Cluster,
}

/// A broken rule.
#[derive(Debug)]
pub struct Failure {
    pub(super) world: WorldKind,
    pub(super) seed: u64,
    /// The step it was noticed in; one more than there were, when it was noticed after the last.
    pub(super) step: u64,
    /// How many steps there were to be.
    pub(super) steps: u64,
    pub(super) broken: String,
    pub(super) newest: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { world, seed, step, steps, broken, newest } = self;
        for line in newest {
            writeln!(f, "    {line}")?;
        }
        writeln!(f, "seed {seed}, step {step}: {broken}")?;
        let (kind, steps) = match world {
            WorldKind::Node => ("node", step),
            // What comes after the last step depends on which one that is.
            WorldKind::Cluster => ("cluster", step.min(steps)),
        };
        write!(f, "see it again: cargo xtask sim --world {kind} --seed {seed} --steps {steps}")
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
            return Err(Failure { world: WorldKind::Node, seed, step, steps, broken, newest });
        }
    }
    Ok(Summary {
        fingerprint: world.trace().fingerprint(),
        acked: world.acked_count(),
        lives: world.lives(),
        leaderships: 0,
        virtual_time: world.virtual_time(),
    })
}
