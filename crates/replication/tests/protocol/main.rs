//! The whole protocol, simulated: several brokers with model logs, a model controller, and a network that loses, doubles,
//! delays and reorders. Everything that happens follows from a seed, which a failure names.
//!
//! Run more of it with `SEEDS=5000 cargo test -p liftbridge-replication --test protocol`; one history again with
//! `SEED=17`.

mod checker;
mod controller;
mod model_log;
mod node;
mod random;
mod world;

use std::time::Duration;

use world::World;

/// Histories run by default: a part of a second.
const SEEDS: u64 = 150;
/// Things that happen in one history before the faults end.
const STEPS: u32 = 1500;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64, steps: u32) -> World {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.heal();
    world
}

/// Prints the seed of a history that fails, however it does.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the history of SEED={} failed", self.0);
        }
    }
}

#[test]
fn nothing_committed_is_lost_or_changed_whatever_happens() {
    let first = from_environment("SEED");
    let count = first.map_or_else(|| from_environment("SEEDS").unwrap_or(SEEDS), |_| 1);
    let first = first.unwrap_or(0);
    let mut committed = 0;
    for seed in first..first + count {
        let told = Told(seed);
        let world = run(seed, STEPS);
        committed += world.checker.committed_count();
        drop(told);
    }
    let least = count * 40;
    assert!(committed >= least, "only {committed} records were committed in {count} histories: they prove little");
}

/// Long enough for a few exchanges, and much less than a replica may lag.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn one_full_disk_holds_nobody_up_for_long() {
    for seed in 0..60 {
        let told = Told(seed);
        let mut world = World::fair(seed);
        (0..300).for_each(|_| world.step());
        let full = usize::try_from(seed % 3).expect("it is small");
        let took = world.fill_and_wait(full, 30);
        assert!(took < SOON, "the disk of broker {full} is full, and the next acknowledgements take {took:?}");
        assert_ne!(world.leader(), full, "there are others that have room");
        world.heal();
        drop(told);
    }
}

#[test]
fn one_seed_is_one_history() {
    let traces: Vec<String> = (0..2).map(|_| run(11, STEPS).trace.clone()).collect();
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0], run(12, STEPS).trace);
}
