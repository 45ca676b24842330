//! Measurements of the whole server. Owns what is compared with what; every number is a ratio to a baseline that was
//! measured in the same run, the two taking turns, because absolute numbers say more about the machine than about us.
//!
//! `cargo xtask bench` builds and runs all of it. Nothing here is part of the server.

pub mod comparison;
pub mod device;
pub mod grpc;
pub mod idle;
pub mod log;
pub mod null_server;
pub mod process;
pub mod publish;
