//! The server as its users meet it: real processes, the public API, the command line, real faults.

mod api;
mod crash;
mod process;
mod weather;
