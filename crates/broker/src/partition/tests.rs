//! The partition as a whole, on volumes in memory, with a clock that moves when it is told to.

mod explain;
mod lifecycle;
mod publishing;
mod reading;
mod replicas;
mod upkeep;
