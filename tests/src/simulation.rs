//! One partition on a faulty disk, on virtual time, in one thread: thousands of lives from seeds.
//!
//! The code under test is what the server runs: the commit log, over a volume that loses, tears, flips and refuses, and the
//! replication leader that decides what is committed and who is told. Owns the world they live in. What must be true is
//! not said here but in [`checkers`], each rule in its own file.
//!
//! A run is decided by its seed alone, so a failure is replayed by `cargo xtask sim --seed N --steps M`.

pub mod checkers;

mod action;
mod cluster;
mod model;
mod partition;
mod read_back;
mod rot;
mod run;
mod trace;
mod world;

pub use cluster::run_cluster;
pub use run::{Failure, Summary, WorldKind, run};
