//! Starts the measurements of the `benches` package. Owns the command line; what is measured and how is there.

use clap::Args;

use crate::workspace::{Failure, cargo, run as run_command};

/// What to measure.
#[derive(Args)]
pub(crate) struct BenchArguments {
    /// Only these groups: log, publish, grpc, idle. All of them when left out.
    groups: Vec<String>,
    /// Fewer and shorter rounds: shows that the measurements work, not what the numbers are.
    #[arg(long)]
    quick: bool,
    /// How often each side of a ratio is measured.
    #[arg(long)]
    rounds: Option<usize>,
    /// Fails when a bound is missed.
    #[arg(long)]
    check: bool,
}

/// Builds server and measurements in release mode, then measures.
pub(crate) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let packages = ["--package", "liftbridged", "--package", "liftbridge-benches"];
    run_command(cargo(["build", "--release", "--locked"]).args(packages).arg("--bins"))?;
    let mut command =
        cargo(["run", "--quiet", "--release", "--locked"]).args(packages).args(["--bin", "ratios", "--"]);
    let flags = [("--quick", arguments.quick), ("--check", arguments.check)];
    command.args(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| flag));
    if let Some(rounds) = arguments.rounds {
        command.args(["--rounds", &rounds.to_string()]);
    }
    run_command(command.args(&arguments.groups))
}
