//! Starts the simulation of the `tests` package. Owns the command line; the simulation itself is there.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use crate::workspace::{Failure, cargo, run as run_command};

/// Which simulations to run.
#[derive(Args)]
pub(crate) struct SimArguments {
    /// The first seed; a fresh one when left out.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Steps of each run.
    #[arg(long, default_value_t = 1000)]
    pub(crate) steps: u64,
    /// How many seeds, counted up from the first.
    #[arg(long, default_value_t = 1)]
    pub(crate) seeds: u64,
    /// Builds in release mode, for long runs.
    #[arg(long)]
    pub(crate) release: bool,
}

/// Runs the seeds. A failing one is printed with the step and the command that replays it.
pub(crate) fn run(arguments: &SimArguments) -> Result<(), Failure> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| Failure(error.to_string()))?.as_secs(),
    };
    let mut command = cargo(["run", "--quiet", "--locked", "--package", "liftbridge-tests", "--bin", "sim"]);
    if arguments.release {
        command.arg("--release");
    }
    let numbers = [("--seed", seed), ("--steps", arguments.steps), ("--seeds", arguments.seeds)];
    command.arg("--").args(numbers.iter().flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]));
    run_command(&mut command)
}
