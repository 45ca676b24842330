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
}

/// Builds server and measurements in release mode, then measures.
pub(crate) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let packages = ["--package", "liftbridged", "--package", "liftbridge-benches"];
    run_command(cargo(["build", "--release", "--locked"]).args(packages).arg("--bins"))?;
    let mut command =
        cargo(["run", "--quiet", "--release", "--locked", "--package", "liftbridge-benches", "--bin", "ratios", "--"]);
    if arguments.quick {
        command.arg("--quick");
    }
    run_command(command.args(&arguments.groups))
}
