//! One call to one broker that did not succeed.

use std::error::Error;

use thiserror::Error;
use tonic::{Code, Status};

/// What servers answer with [`Code::Internal`] while no controller is known.
const NO_CONTROLLER: &str = "no known metadata leader";

/// A broker refused a call, or could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("broker `{address}` answered {code:?}: {message}")]
pub struct CallError {
    /// Which broker.
    pub address: String,
    /// The kind of refusal.
    pub code: Code,
    /// The reason for a person to read.
    pub message: String,
    /// Whether the request certainly never left this process, because no connection came about.
    pub never_sent: bool,
}

impl CallError {
    pub(crate) fn from_status(address: &str, status: &Status) -> Self {
        let code = match status.source() {
            // A broker said so.
            None => status.code(),
            // Nobody did: tonic made it up from what became of the connection, under codes that elsewhere mean other things.
            Some(_) if has_source::<tonic::TimeoutExpired>(status) => Code::DeadlineExceeded,
            Some(_) => Code::Unavailable,
        };
        let never_sent = has_source::<tonic::ConnectError>(status);
        Self { address: address.to_owned(), code, message: describe(status), never_sent }
    }

    pub(crate) fn timed_out(address: &str, what: &'static str) -> Self {
        Self { address: address.to_owned(), code: Code::DeadlineExceeded, message: what.to_owned(), never_sent: false }
    }

    /// Whether the same call may succeed a little later.
    pub fn retryable(&self) -> bool {
        match self.code {
            Code::Unavailable | Code::DeadlineExceeded | Code::Aborted => true,
            Code::Internal => self.message == NO_CONTROLLER,
            _ => false,
        }
    }

    /// Whether the request itself has to change before it can succeed.
    pub fn is_callers_fault(&self) -> bool {
        matches!(
            self.code,
            Code::InvalidArgument
                | Code::NotFound
                | Code::AlreadyExists
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::OutOfRange
                | Code::Unimplemented
        )
    }
}

/// The status text and, for a failure of the connection, the innermost reason: "transport error" alone helps nobody.
fn describe(status: &Status) -> String {
    let mut innermost: Option<&(dyn Error + 'static)> = None;
    let mut source = status.source();
    while let Some(error) = source {
        innermost = Some(error);
        source = error.source();
    }
    match innermost.map(ToString::to_string) {
        Some(reason) if !status.message().contains(&reason) => format!("{}: {reason}", status.message()),
        _ => status.message().to_owned(),
    }
}

fn has_source<E: Error + 'static>(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<E>() {
            return true;
        }
        source = error.source();
    }
    false
}
