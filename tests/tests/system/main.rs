//! The server as its users meet it: real processes, the public API, the command line, real faults.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail as loudly as a test")]

mod administration;
mod api;
mod cluster;
mod crash;
mod process;
mod weather;
