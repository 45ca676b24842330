//! Who takes part in the agreement: raft's numbers for servers, and the data directories they belong to. Owns what a legal
//! one is; never who has which.

use std::fmt;

use liftbridge_types::{BrokerId, InvalidName};

/// Raft's number of one data directory, given once and never again: a server that lost its directory gets another one, so
/// that it cannot vote twice in one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RaftId(u64);

impl RaftId {
    /// The number of the server that founds a cluster.
    pub const FOUNDER: Self = Self(1);

    /// The id with this number; `None` for 0, which raft means nobody by.
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id to give out after this one.
    #[must_use]
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which data directory a server keeps its data in: random text, made when the directory is used first and kept in it. A
/// server that comes back under its id with another one has lost its disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(BrokerId);

impl DirectoryId {
    /// The id, if `text` can be one: what can be a name can.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        BrokerId::new(text).map(Self)
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
