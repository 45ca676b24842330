//! Runs the measurements and prints one table. Owns the command line; `cargo xtask bench` builds everything and starts it.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use liftbridge_benches::comparison::{Comparison, Effort, table};
use liftbridge_benches::{grpc, idle, log, publish};

#[derive(Parser)]
#[command(name = "ratios", about = "Measures Liftbridge against baselines of the same run")]
struct Arguments {
    /// What to measure; everything when left out.
    groups: Vec<Group>,
    /// Fewer and shorter rounds: shows that the measurements work, not what the numbers are.
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Group {
    /// The commit log against bare loops.
    Log,
    /// Durable publishing against one sync per message.
    Publish,
    /// The API against a server that does nothing.
    Grpc,
    /// Many idle streams.
    Idle,
}

fn main() -> ExitCode {
    let Arguments { groups, quick } = Arguments::parse();
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    let groups = if groups.is_empty() { Group::value_variants() } else { &groups[..] };
    let mut comparisons: Vec<Comparison> = Vec::new();
    for group in groups {
        eprintln!("measuring {group:?}");
        comparisons.extend(match group {
            Group::Log => log::measure(effort),
            Group::Publish => publish::measure(effort),
            Group::Grpc => grpc::measure(effort),
            Group::Idle => idle::measure(effort),
        });
    }
    print!("{}", table(&comparisons));
    if comparisons.iter().all(Comparison::passes) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
