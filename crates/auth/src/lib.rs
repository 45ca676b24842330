//! Who asks and whether they may.
//!
//! Owns identities and the proof that a request passed the gate: only this crate can make an [`Authorized`], and the
//! broker accepts nothing else. It never knows gRPC, HTTP, raft or what is inside a message.

mod authorized;
mod authorizer;
mod certificate;
mod identity;

pub use authorized::Authorized;
pub use authorizer::{Action, Authorizer, Denied};
pub use identity::Identity;
