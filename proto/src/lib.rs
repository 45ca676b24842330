//! The wire: generated code of the Liftbridge API (package `proto`, service `API`).
//!
//! Owns message layouts and nothing else: no rule of the domain lives here, and these types stop at the edge
//! (`server-api`, `client`), where they are converted. Field numbers are a contract with every existing client.

/// The Liftbridge API as every existing client speaks it.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod api {
    tonic::include_proto!("proto");
}
