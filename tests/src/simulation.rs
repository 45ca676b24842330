//! Simulations on virtual time, in one thread, on disks that fail: thousands of lives from seeds.
//!
//! There are two worlds. One holds a single partition: the commit log, over a volume that loses, tears, flips and refuses, and
//! the replication leader that decides what is committed and who is told. The other, `cluster`, holds whole servers and a
//! network between them. The code under test is what servers run. Owns the worlds; what must be true is not said here but in
//! their checkers, each rule in its own file.
//!
//! A run is decided by its seed alone, so a failure is replayed by `cargo xtask sim --world W --seed N --steps M`.

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
