//! Measures what was asked for and prints one table. Owns the command line; each group of measurements has a file of its
//! own in the library.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use liftbridge_benches::{
    Failure, Scale, Table, measure_cluster, measure_grpc, measure_idle, measure_log, measure_publish,
};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Appending to and reading a log.
    Log,
    /// Publishers that wait for syncs.
    Publish,
    /// The API beside a server that does nothing.
    Grpc,
    /// Streams that nobody uses.
    Idle,
    /// Three servers beside one.
    Cluster,
}

/// Measures Liftbridge beside what the machine could do.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything when left out.
    groups: Vec<Group>,
    /// Fewer and shorter rounds: shows that the measurements work, not what the figures are.
    #[arg(long)]
    quick: bool,
    /// How often each side of a ratio is measured.
    #[arg(long)]
    rounds: Option<usize>,
    /// Fails when a bound is missed.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(table) => {
            print!("{table}");
            if table.passes() || !arguments.check { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Table, Failure> {
    let mut scale = if arguments.quick { Scale::quick() } else { Scale::full() };
    scale.rounds = arguments.rounds.unwrap_or(scale.rounds);
    let mut table = Table::default();
    for group in Group::value_variants() {
        if arguments.groups.is_empty() || arguments.groups.contains(group) {
            eprintln!("measuring {group:?}");
            table.extend(match group {
                Group::Log => measure_log(&scale)?,
                Group::Publish => measure_publish(&scale)?,
                Group::Grpc => measure_grpc(&scale)?,
                Group::Idle => measure_idle(&scale)?,
                Group::Cluster => measure_cluster(&scale)?,
            });
        }
    }
    Ok(table)
}
