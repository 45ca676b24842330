//! One run of a seed of a whole cluster. Owns its end: a summary, or a failure that says how to see it again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::world::World;
use crate::simulation::run::{Failure, Summary, WorldKind};

/// Lives one seed for this many steps, and then until everything is well again.
///
/// # Errors
/// When a rule is broken, or the code under test panics.
pub fn run_cluster(seed: u64, steps: u64) -> Result<Summary, Failure> {
    let failure = |step, broken, newest| Failure { world: WorldKind::Cluster, seed, step, steps, broken, newest };
    let mut world = match catch_unwind(|| World::new(seed)) {
        Ok(Ok(world)) => world,
        Ok(Err(broken)) => return Err(failure(0, broken, Vec::new())),
        Err(panic) => return Err(failure(0, panic_text(&*panic), Vec::new())),
    };
    for step in 1..=steps + 1 {
        let lived = catch_unwind(AssertUnwindSafe(|| if step > steps { world.heal() } else { world.step(step) }));
        let broken = match lived {
            Ok(Ok(())) => continue,
            Ok(Err(broken)) => broken,
            Err(panic) => panic_text(&*panic),
        };
        let newest = world.trace().newest().map(str::to_owned).collect();
        return Err(failure(step, broken, newest));
    }
    Ok(Summary {
        fingerprint: world.trace().fingerprint(),
        acked: world.acked_count(),
        lives: world.lives(),
        leaderships: world.leaderships(),
        virtual_time: world.now(),
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown");
    format!("a panic: {text}")
}
