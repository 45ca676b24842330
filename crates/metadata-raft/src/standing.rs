//! Which part this server has in the agreement at the moment. Owns the words for it; never how it comes about.

use std::time::Duration;

use liftbridge_types::BrokerId;

/// How long the controller may believe in its own session after it was last sure to be the controller: its successor waits
/// as long for it before it fences its broker.
pub const CONTROLLER_LEASE: Duration = Duration::from_millis(800);

/// Where changes are agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerAddress {
    /// The broker it is.
    pub broker: BrokerId,
    /// Where other servers reach it.
    pub peer_address: Option<String>,
}

/// This server's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is the controller: changes are proposed here.
    Controller,
    /// It takes part; changes are proposed elsewhere.
    Member,
    /// It was removed and takes no part any more.
    Removed,
}

/// This server's part, and who has the leading one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// This server's part.
    pub part: Part,
    /// The controller, as far as this server knows one.
    pub controller: Option<ControllerAddress>,
    /// Whether there are no other servers.
    pub alone: bool,
}
