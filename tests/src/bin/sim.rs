//! Runs the simulation for as many seeds as asked for. Owns the command line; `cargo xtask sim` starts it.

use std::process::ExitCode;

use liftbridge_tests::simulation::run;

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
    let (mut acked, mut lives) = (0, 0);
    for seed in seed..seed.saturating_add(seeds) {
        match run(seed, steps) {
            Ok(summary) => (acked, lives) = (acked + summary.acked, lives + summary.lives),
            Err(failure) => {
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{seeds} seeds from {seed}, {steps} steps each: {acked} messages acked under ALL, {lives} openings, no rule broken"
    );
    ExitCode::SUCCESS
}
