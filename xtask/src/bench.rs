//! Starts the measurements of the `benches` package. Owns the command line; what is measured and how is there.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use serde::Deserialize;

use crate::workspace::{Failure, cargo, run as run_command, shown};

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
    // Not through `cargo run`: that takes one package, and would compile everything again with the features of that one.
    let mut command = Command::new(target_directory()?.join("release/ratios"));
    let flags = [("--quick", arguments.quick), ("--check", arguments.check)];
    command.args(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| flag));
    if let Some(rounds) = arguments.rounds {
        command.args(["--rounds", &rounds.to_string()]);
    }
    run_command(command.args(&arguments.groups))
}

#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
}

/// Where cargo puts what it builds, whatever the environment makes of it.
fn target_directory() -> Result<PathBuf, Failure> {
    let mut command = cargo(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let output = command.output().map_err(|error| Failure(format!("cannot run {}: {error}", shown(&command))))?;
    let metadata: Result<Metadata, _> = serde_json::from_slice(&output.stdout);
    metadata.map(|metadata| metadata.target_directory).map_err(|error| Failure(format!("{}: {error}", shown(&command))))
}
