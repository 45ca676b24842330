//! The simulation in the tests: seeds that are always tried, and that a seed is one run.

use liftbridge_tests::simulation::{run, run_cluster};

/// Seeds that are tried on every run of the tests; `cargo xtask sim` tries any number of others.
const SEEDS: u64 = 300;
const STEPS: u64 = 400;
/// Seeds that once broke a rule, with the steps it took. What they found is fixed; they stay for as long as the same rolls of
/// the dice mean the same accidents. What was found is told for good by tests of the log alone.
const ONCE_BROKEN: &[(u64, u64)] = &[(602_950, 86)];

/// The same for whole clusters, which take longer.
const CLUSTER_SEEDS: u64 = 20;
const CLUSTER_STEPS: u64 = 300;

#[track_caller]
fn check(seed: u64, steps: u64) -> usize {
    match run(seed, steps) {
        Ok(summary) => summary.acked,
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn no_seed_breaks_a_rule() {
    let acked: usize = (0..SEEDS).map(|seed| check(seed, STEPS)).sum();
    assert!(acked > 1000, "the publishers get something done: {acked}");
}

#[test]
fn what_was_mended_stays_mended() {
    for (seed, steps) in ONCE_BROKEN {
        check(*seed, *steps);
    }
}

#[test]
fn a_seed_is_one_run_and_another_seed_another() {
    let run = |seed| run(seed, STEPS).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).fingerprint, run(2).fingerprint);
}

#[track_caller]
fn check_cluster(seed: u64, steps: u64) -> usize {
    match run_cluster(seed, steps) {
        Ok(summary) => summary.acked,
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn no_seed_of_a_cluster_breaks_a_rule() {
    let acked: usize = (0..CLUSTER_SEEDS).map(|seed| check_cluster(seed, CLUSTER_STEPS)).sum();
    assert!(acked > 500, "the publishers get something done: {acked}");
}

#[test]
fn a_seed_is_one_cluster_and_another_seed_another() {
    let run = |seed| run_cluster(seed, CLUSTER_STEPS).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).fingerprint, run(2).fingerprint);
}
