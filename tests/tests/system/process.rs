//! The process: how it starts, what it refuses, how it stops, what it tells a monitor.

mod configuration;
mod listeners;
mod signals;
mod tls;
