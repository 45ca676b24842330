//! Runs the simulations for as many seeds as asked for. Owns the command line; `cargo xtask sim` starts it.

use std::process::ExitCode;
use std::time::Duration;

use liftbridge_tests::simulation::{Failure, Summary, WorldKind, run, run_cluster};

/// Broken seeds of a world after which it stops: they mostly break for few reasons.
const FAILURES_MAX: usize = 20;
/// Seeds after which it says how far it is.
const SEEDS_PER_WORD: u64 = 500;

/// What is run, and what came of it so far.
struct Runs {
    world: WorldKind,
    first: u64,
    steps: u64,
    tried: u64,
    acked: usize,
    lives: u64,
    leaderships: usize,
    virtual_time: Duration,
    failures: usize,
}

impl Runs {
    fn new(world: WorldKind, first: u64, steps: u64) -> Self {
        let (acked, leaderships, failures) = (0, 0, 0);
        Self { world, first, steps, tried: 0, acked, lives: 0, leaderships, virtual_time: Duration::ZERO, failures }
    }

    /// Tries the next seed.
    fn go_on(&mut self) {
        let seed = self.first.saturating_add(self.tried);
        self.tried += 1;
        let lived = match self.world {
            WorldKind::Node => run(seed, self.steps),
            WorldKind::Cluster => run_cluster(seed, self.steps),
        };
        match lived {
            Ok(summary) => self.add(summary),
            Err(failure) => self.fail(&failure),
        }
        if self.tried.is_multiple_of(SEEDS_PER_WORD) {
            println!("{}", self.told());
        }
    }

    fn add(&mut self, summary: Summary) {
        self.acked += summary.acked;
        self.lives += summary.lives;
        self.leaderships += summary.leaderships;
        self.virtual_time += summary.virtual_time;
    }

    fn fail(&mut self, failure: &Failure) {
        eprintln!("{failure}\n");
        self.failures += 1;
    }

    fn told(&self) -> String {
        let Self { world, first, steps, tried, acked, lives, leaderships, failures, .. } = self;
        let hours = self.virtual_time.as_secs_f64() / 3600.0;
        let what = match world {
            WorldKind::Node => format!("{lives} openings"),
            WorldKind::Cluster => format!("{lives} starts, {leaderships} leaderships"),
        };
        let outcome =
            if *failures == 0 { "no rule broken".to_owned() } else { format!("{failures} seeds broke a rule") };
        format!(
            "{world:?}: {tried} seeds from {first}, {steps} steps each, {hours:.1} virtual hours: {acked} messages acked \
             under ALL, {what}, {outcome}"
        )
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)
    };
    let number = |name: &str| value(name)?.parse::<u64>().ok();
    let worlds: Option<&[WorldKind]> = match value("--world").map(String::as_str) {
        Some("node") => Some(&[WorldKind::Node]),
        Some("cluster") => Some(&[WorldKind::Cluster]),
        Some("both") => Some(&[WorldKind::Node, WorldKind::Cluster]),
        _ => None,
    };
    let (Some(worlds), Some(seed), Some(steps), Some(seeds)) =
        (worlds, number("--seed"), number("--steps"), number("--seeds"))
    else {
        eprintln!("usage: sim --world node|cluster|both --seed N --steps M --seeds K (0 = for ever)");
        return ExitCode::FAILURE;
    };
    // A panic is a broken rule, and told as one.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let mut runs: Vec<Runs> = worlds.iter().map(|world| Runs::new(*world, seed, steps)).collect();
    let goes_on = |runs: &Runs| (seeds == 0 || runs.tried < seeds) && runs.failures < FAILURES_MAX;
    while runs.iter().any(goes_on) {
        runs.iter_mut().filter(|runs| goes_on(runs)).for_each(Runs::go_on);
    }
    for runs in &runs {
        println!("{}", runs.told());
    }
    if runs.iter().any(|runs| runs.failures > 0) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
