//! Starts the simulations of the `tests` package. Owns the command line; the simulations themselves are there.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use crate::workspace::{Failure, cargo, run as run_command};

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum World {
    /// One partition on one server.
    Node,
    /// Servers that form a cluster.
    Cluster,
    /// Either, in turn.
    Both,
}

impl World {
    fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Cluster => "cluster",
            Self::Both => "both",
        }
    }
}

/// Which simulations to run.
#[derive(Args)]
pub(crate) struct SimArguments {
    /// What is simulated.
    #[arg(long, value_enum, default_value_t = World::Both)]
    pub(crate) world: World,
    /// The first seed; a fresh one when left out.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Steps of each run.
    #[arg(long, default_value_t = 1000)]
    pub(crate) steps: u64,
    /// How many seeds, counted up from the first.
    #[arg(long, default_value_t = 1)]
    pub(crate) seeds: u64,
    /// Goes on with one seed after the other until it is stopped, or enough of them broke a rule.
    #[arg(long, conflicts_with = "seeds")]
    pub(crate) forever: bool,
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
    let seeds = if arguments.forever { 0 } else { arguments.seeds };
    let numbers = [("--seed", seed), ("--steps", arguments.steps), ("--seeds", seeds)];
    command.args(["--", "--world", arguments.world.name()]);
    command.args(numbers.iter().flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]));
    run_command(&mut command)
}
