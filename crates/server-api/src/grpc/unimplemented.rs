//! Calls of the API that this server does not know yet. Owns their one answer.

use tonic::{Response, Status};

/// Cursors, as the answer names them.
pub(super) const CURSORS: &str = "cursors are";
/// Consumer groups, as the answer names them.
pub(super) const GROUPS: &str = "consumer groups are";

/// The answer to a call of a feature that is not there.
pub(super) fn unimplemented<T>(feature: &str) -> Result<Response<T>, Status> {
    Err(Status::unimplemented(format!("{feature} not supported by this server yet")))
}
