//! Runs the simulation for as many seeds as asked for. Owns the command line; `cargo xtask sim` starts it.

use std::process::ExitCode;

use liftbridge_tests::simulation::run;

/// Broken seeds after which it stops: they mostly break for few reasons.
const FAILURES_MAX: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    let (Some(seed), Some(steps), Some(seeds)) = (number("--seed"), number("--steps"), number("--seeds")) else {
        eprintln!("usage: sim --seed N --steps M --seeds K");
        return ExitCode::FAILURE;
    };
    let (mut tried, mut acked, mut lives, mut failures) = (0_u64, 0, 0, 0);
    for seed in seed..seed.saturating_add(seeds) {
        tried += 1;
        match run(seed, steps) {
            Ok(summary) => (acked, lives) = (acked + summary.acked, lives + summary.lives),
            Err(failure) => {
                eprintln!("{failure}\n");
                failures += 1;
            }
        }
        if failures == FAILURES_MAX {
            break;
        }
    }
    let told =
        format!("{tried} seeds from {seed}, {steps} steps each: {acked} messages acked under ALL, {lives} openings");
    if failures > 0 {
        eprintln!("{told}, {failures} seeds broke a rule");
        return ExitCode::FAILURE;
    }
    println!("{told}, no rule broken");
    ExitCode::SUCCESS
}
