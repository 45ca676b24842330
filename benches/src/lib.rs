//! Measurements of the log, the broker and the whole server, as ratios to something measured in the same run.
//!
//! Owns what is measured against what, and the bounds. An absolute figure says more about a machine than about the code,
//! so nearly every measurement has a reference: the least that could have been done with the same bytes, on the same
//! disk, a moment earlier or later. It never knows how the things it measures work.

mod cluster;
mod directory;
mod figures;
pub mod file_receiver;
mod grpc;
mod idle;
mod log;
pub mod noop_server;
mod process;
mod publish;
mod scale;
mod table;

pub use cluster::measure as measure_cluster;
pub use grpc::measure as measure_grpc;
pub use idle::measure as measure_idle;
pub use log::measure as measure_log;
pub use publish::measure as measure_publish;
pub use scale::Scale;
pub use table::Table;

/// Why a measurement could not be made. There is nothing to do about it but to tell.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
