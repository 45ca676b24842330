//! The memory that requests on their way in may take: over the server, and over one connection. Owns the counts; never
//! what is received.
//!
//! What a client has sent of a message and not finished has to be kept, for as long as the client likes. Each connection
//! may always have a little of that, so that nobody keeps others from sending small messages; beyond it all connections
//! draw on one budget, and no connection gets all of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What every connection may hold, whatever the others do: one frame of the size that clients send by default.
const CONNECTION_FREE_BYTES: usize = 16 * 1024;
/// What one connection may hold. One message of the largest size fits whatever the configuration says.
const CONNECTION_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many times as much all connections together may hold, besides what is free.
const SERVER_CONNECTIONS: usize = 4;

/// What all connections draw on.
#[derive(Debug)]
pub(crate) struct RequestBudget {
    held_bytes: AtomicUsize,
    bytes_max: usize,
    connection_bytes_max: usize,
}

/// What one connection holds.
#[derive(Debug)]
pub(crate) struct ConnectionBudget {
    server: Arc<RequestBudget>,
    held_bytes: AtomicUsize,
}

/// What one call holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct RequestShare {
    connection: Arc<ConnectionBudget>,
    held_bytes: usize,
}

impl RequestBudget {
    /// Nothing held yet, of a server whose requests have at most `request_bytes_max`.
    pub(crate) fn new(request_bytes_max: usize) -> Arc<Self> {
        let connection_bytes_max = CONNECTION_BYTES_MAX.max(request_bytes_max.saturating_add(CONNECTION_FREE_BYTES));
        let bytes_max = connection_bytes_max.saturating_mul(SERVER_CONNECTIONS);
        Arc::new(Self { held_bytes: AtomicUsize::new(0), bytes_max, connection_bytes_max })
    }

    /// What another connection holds: nothing so far.
    pub(crate) fn connection(self: &Arc<Self>) -> Arc<ConnectionBudget> {
        Arc::new(ConnectionBudget { server: Arc::clone(self), held_bytes: AtomicUsize::new(0) })
    }
}

impl ConnectionBudget {
    /// What another call holds: nothing so far.
    pub(crate) fn share(self: &Arc<Self>) -> RequestShare {
        RequestShare { connection: Arc::clone(self), held_bytes: 0 }
    }

    /// Takes `bytes` more, if they are within both bounds.
    fn take(&self, bytes: usize) -> bool {
        let before = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let after = before + bytes;
        let drawn = beyond_free(after) - beyond_free(before);
        // Most messages are small: then no connection touches what all of them share.
        let server_has_room =
            drawn == 0 || self.server.held_bytes.fetch_add(drawn, Ordering::Relaxed) + drawn <= self.server.bytes_max;
        let within = server_has_room && after <= self.server.connection_bytes_max;
        if !within {
            self.give_back(bytes);
        }
        within
    }

    fn give_back(&self, bytes: usize) {
        let before = self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let drawn = beyond_free(before) - beyond_free(before - bytes);
        if drawn > 0 {
            self.server.held_bytes.fetch_sub(drawn, Ordering::Relaxed);
        }
    }
}

impl RequestShare {
    /// Holds `bytes` from now on. When they are more than before and more than there is room for, nothing changes and the
    /// answer is `false`.
    #[must_use = "without room nothing was taken"]
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        if bytes <= self.held_bytes {
            self.connection.give_back(self.held_bytes - bytes);
        } else if !self.connection.take(bytes - self.held_bytes) {
            return false;
        }
        self.held_bytes = bytes;
        true
    }

    /// What it holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

impl Drop for RequestShare {
    fn drop(&mut self) {
        self.connection.give_back(self.held_bytes);
    }
}

/// What of a connection's bytes is drawn from the server's budget.
fn beyond_free(bytes: usize) -> usize {
    bytes.saturating_sub(CONNECTION_FREE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: usize = CONNECTION_FREE_BYTES;
    const MOST: usize = CONNECTION_BYTES_MAX;

    fn held(budget: &RequestBudget) -> usize {
        budget.held_bytes.load(Ordering::Relaxed)
    }

    #[test]
    fn one_connection_holds_no_more_than_its_part() {
        let budget = RequestBudget::new(1024);
        let connection = budget.connection();
        let (mut one, mut two) = (connection.share(), connection.share());
        assert!(one.resize(MOST - 10));
        assert!(two.resize(10));
        assert!(!two.resize(11));
        assert_eq!((two.held_bytes(), held(&budget)), (10, MOST - FREE), "what was refused is not held");
        assert!(one.resize(0));
        assert!(two.resize(MOST));
        drop((one, two));
        assert_eq!(held(&budget), 0);
    }

    #[test]
    fn a_used_up_server_still_has_room_for_a_little_on_every_connection() {
        let budget = RequestBudget::new(1024);
        let mut greedy: Vec<RequestShare> = (0..SERVER_CONNECTIONS).map(|_| budget.connection().share()).collect();
        assert!(greedy.iter_mut().all(|share| share.resize(MOST)));
        let rest = budget.connection();
        let mut share = rest.share();
        assert!(share.resize(SERVER_CONNECTIONS * FREE + FREE), "what is free is not drawn");
        assert!(!share.resize(SERVER_CONNECTIONS * FREE + FREE + 1));
        let mut modest = budget.connection().share();
        assert!(modest.resize(FREE));
        assert!(!modest.resize(FREE + 1));
        drop(greedy);
        assert!(modest.resize(MOST));
    }

    #[test]
    fn the_largest_message_fits_whatever_its_limit_is() {
        let limit = 3 * CONNECTION_BYTES_MAX;
        assert!(RequestBudget::new(limit).connection().share().resize(limit));
        assert!(RequestBudget::new(usize::MAX).connection().share().resize(MOST));
    }
}
