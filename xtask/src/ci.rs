//! What every change has to pass, cheapest first. Owns the order; each step is a command one can run alone.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::workspace::{Failure, cargo, run as run_command, shown};
use crate::{cluster_test, layers, sim, tidy};

/// Which simulations are tried on every run, with how many seeds and steps of each; fresh ones each time, so that the runs add
/// up.
const SIMULATIONS: &[(sim::World, u64, u64)] = &[(sim::World::Node, 200, 400), (sim::World::Cluster, 20, 600)];

/// How long a cluster is hurt on every run, in seconds, by a fresh schedule.
const CLUSTER_SECONDS: u64 = 30;

type Step = (&'static str, fn() -> Result<(), Failure>);

/// The steps, in order. All of them use the one dev profile, so that nothing is built twice.
const STEPS: &[Step] = &[
    ("format", || run_cargo(&["fmt", "--all", "--", "--check"])),
    ("tidy", tidy::run),
    ("layers", layers::run),
    ("clippy", || run_cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])),
    ("binaries", || run_cargo(&["build", "--workspace", "--bins", "--locked"])),
    ("tests", || run_cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--benches", "--locked"])),
    ("doc tests", || run_cargo(&["test", "--workspace", "--doc", "--locked"])),
    ("docs", || {
        let mut command = cargo(["doc", "--workspace", "--no-deps", "--locked"]);
        println!("    {}", shown(&command));
        run_command(command.env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("simulation", fresh_simulation),
    ("cluster", short_cluster_test),
    ("dependencies", || {
        run_cargo(&["deny", "--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
    }),
];

/// Runs the steps and stops at the first that fails, saying which and how to run it alone.
pub(crate) fn run() -> Result<(), Failure> {
    let started = Instant::now();
    for (number, (name, step)) in STEPS.iter().enumerate() {
        println!("==> {}/{} {name}", number + 1, STEPS.len());
        let step_started = Instant::now();
        step().map_err(|failure| Failure(format!("ci stopped at `{name}`: {failure}")))?;
        println!("    {name}: ok in {:.1} s", step_started.elapsed().as_secs_f64());
    }
    println!("ci passed in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn run_cargo(arguments: &[&str]) -> Result<(), Failure> {
    let mut command = cargo(arguments.iter().copied());
    println!("    {}", shown(&command));
    run_command(&mut command)
}

fn short_cluster_test() -> Result<(), Failure> {
    ["all", "weather"].into_iter().try_for_each(|scenario| {
        cluster_test::run(&cluster_test::ClusterTestArguments {
            seed: None,
            seconds: CLUSTER_SECONDS,
            nodes: 3,
            scenario: scenario.to_owned(),
            data: None,
            release: false,
        })
    })
}

fn fresh_simulation() -> Result<(), Failure> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| Failure(error.to_string()))?;
    let seed = since_epoch.as_secs();
    for (world, seeds, steps) in SIMULATIONS {
        println!("    {world:?}: seeds {seed}..{}", seed + seeds);
        let (seed, world, seeds, steps) = (Some(seed), *world, *seeds, *steps);
        sim::run(&sim::SimArguments { world, seed, steps, seeds, forever: false, release: false })?;
    }
    Ok(())
}
