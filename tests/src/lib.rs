//! What the whole-system tests share: real server processes, a raw API client, the weather data, the simulation.
//!
//! Owns how a test starts, feeds, breaks and reads a server. Never an assertion about one rule: those are in the tests.

pub mod admin;
pub mod api;
pub mod cluster;
pub mod cluster_test;
pub mod damage;
pub mod dice;
pub mod server;
pub mod simulation;
pub mod weather;
