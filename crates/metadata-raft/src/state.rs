//! The parts of the agreed state, one file per noun. Owns their invariants; never the commands that change them.

mod brokers;
mod nodes;
mod partitions;
mod streams;

pub use brokers::{Broker, Brokers};
pub use nodes::{Node, Nodes};
pub use partitions::{ChangeTimes, Partition};
pub use streams::{Stream, Streams};
