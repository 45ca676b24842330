//! Who is at the other end. Owns the kinds of identity; never how one is established.

use std::fmt;
use std::sync::Arc;

/// Who a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nobody in particular: no client certificate was asked for or given.
    #[default]
    Anonymous,
    /// The subject common name of a verified client certificate.
    Certificate(Arc<str>),
    /// The server itself, for work of its own.
    Internal,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Certificate(name) => f.write_str(name),
            Self::Internal => f.write_str("internal"),
        }
    }
}
