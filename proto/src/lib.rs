//! The wire: generated code of the Liftbridge API (package `proto`, service `API`) and of this project's own messages
//! (package `liftbridge.v1`).
//!
//! Owns message layouts and nothing else: no rule of the domain lives here, and these types stop where they are converted
//! (`server-api`, `client`; for the metadata log the codec of `metadata-raft`). Field numbers are a contract: with every
//! existing client, or with every data directory.

/// The Liftbridge API as every existing client speaks it.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, reason = "generated code")]
pub mod api {
    tonic::include_proto!("proto");
}

/// This project's own messages: commands and snapshots of the metadata, what servers say to each other, and what people who
/// run a cluster ask of it.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("liftbridge.v1");
}
