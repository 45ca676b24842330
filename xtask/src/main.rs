//! The project's own commands, run as `cargo xtask <command>`.
//!
//! Owns how the code base is checked, measured and exercised. Knows nothing of the product's rules: whatever needs them
//! lives in `tests` or `benches` and is only started from here.

mod bench;
mod ci;
mod cluster_test;
mod conformance;
mod layers;
mod sim;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks, measures and exercises Liftbridge")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything a change has to pass: format, lints, layers, tests, docs, a burst of simulation, dependencies.
    Ci,
    /// Holds the crates' dependencies against the table of allowed ones.
    Layers,
    /// Checks the conventions that no lint knows: module docs, sizes, sleeps in tests, impure calls in pure crates.
    Tidy,
    /// Measures the server, as ratios to baselines of the same run. Builds in release mode.
    Bench(bench::BenchArguments),
    /// Runs the storage and replication core under seeded faults on virtual time.
    Sim(sim::SimArguments),
    /// Hurts a cluster of real servers under load and reads back everything that was acknowledged.
    ClusterTest(cluster_test::ClusterTestArguments),
    /// Runs the unchanged Go client against a fresh server, where Go is installed.
    Conformance,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Ci => ci::run(),
        Command::Layers => layers::run(),
        Command::Tidy => tidy::run(),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::ClusterTest(arguments) => cluster_test::run(&arguments),
        Command::Conformance => conformance::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
