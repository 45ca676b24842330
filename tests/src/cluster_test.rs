//! Real servers as one cluster, under load, hurt on a schedule that follows from a seed; then everything acknowledged is
//! read back from every replica.
//!
//! Owns the promise under test: nothing acknowledged under `ALL` is lost or changed, replicas hold the same, and what a
//! consumer has read stays. What hurts (`fault`, `network`, `disk`), what writes (`workload`), what reads (`readers`,
//! `read_back`) and what judges (`checker`) know nothing of each other.

mod checker;
mod disk;
mod fault;
mod go_client;
mod hurt;
mod judge;
mod ledger;
mod message_id;
mod network;
mod node;
mod nodes;
mod plan;
mod raw_copy;
mod read_back;
mod readers;
mod report;
mod run;
mod schedule;
mod view;
mod weather;
mod workload;

use std::fmt;

pub use fault::Fault;
pub use plan::{Plan, Scenario};
pub use report::Report;
pub use run::run;

/// Why a run could not be carried out, in one line or with what a server said last.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Failure {
    fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}
