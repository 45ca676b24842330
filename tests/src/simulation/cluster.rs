//! A whole cluster on virtual time, in one thread: three to five servers on faulty disks, a faulty network between them.
//!
//! The code under test is what servers run: metadata by raft, sessions and the controller; the leader and the followers of
//! every partition; the commit log, over volumes that lose, tear, flip and refuse. The drivers around them are those of the
//! broker in small: they carry the same effects out in the same order, without threads.
//!
//! A run has accidents for a number of steps; then everything is mended, and the cluster has to become well by itself, with
//! nothing lost. What must be true is said in [`checkers`], each rule in its own file.

mod accident;
mod checkers;
mod network;
mod outbox;
mod process;
mod replica;
mod run;
mod server;
mod words;
mod world;

pub use run::run_cluster;
