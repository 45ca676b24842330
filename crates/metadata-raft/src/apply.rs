//! What each command does to the agreed state, one file per noun. Owns the meaning of commands and when they are rejected;
//! never their order.

mod brokers;
mod membership;
mod partitions;
mod streams;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use membership::MembershipChange;
