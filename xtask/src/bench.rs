//! Starts the measurements of the `benches` package. Owns the build; what is measured, how, and the options for that are
//! there.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use serde::Deserialize;

use crate::workspace::{Failure, cargo, run as run_command, shown};

/// What is handed on as it stands, `--help` included.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct BenchArguments {
    /// What to measure and how; `--help` lists it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds server and measurements in release mode, then measures.
pub(crate) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let packages = ["--package", "liftbridged", "--package", "liftbridge-benches"];
    run_command(cargo(["build", "--release", "--locked"]).args(packages).arg("--bins"))?;
    // Not through `cargo run`: that takes one package, and would compile everything again with the features of that one.
    let mut command = Command::new(target_directory()?.join("release/ratios"));
    run_command(command.args(&arguments.arguments))
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
