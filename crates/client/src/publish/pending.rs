//! Who waits for which ack on one publish stream. Owns correlation ids and deadlines; never touches the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use liftbridge_proto::api as wire;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::debug;

use crate::cluster::Address;
use crate::convert;
use crate::error::{CallError, PublishError};
use crate::publish::Ack;
use crate::publish::publisher::Route;
use crate::publish::window::Place;

/// What is kept until a message is acknowledged or given up.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) reply: oneshot::Sender<Result<Ack, PublishError>>,
    /// Its share of the window.
    pub(crate) place: Place,
    /// Keeps its partition on this stream.
    pub(crate) route: Route,
}

#[derive(Debug)]
struct Entry {
    waiting: Waiting,
    deadline: Instant,
}

/// The messages of one stream whose outcome is open.
///
/// Invariant: ids and deadlines ascend together, because every message has the same timeout.
#[derive(Debug)]
pub(crate) struct Pending {
    ack_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    entries: BTreeMap<u64, Entry>,
    closed: bool,
}

impl Pending {
    pub(crate) fn new(ack_timeout: Duration) -> Self {
        Self { ack_timeout, state: Mutex::default() }
    }

    /// An id for a message nobody waits for; `None` when the stream is over.
    pub(crate) fn take_id(&self) -> Option<u64> {
        let mut state = self.state.lock();
        (!state.closed).then(|| state.take_id())
    }

    /// Begins to wait and gives the message its id; gives `waiting` back when the stream is over.
    pub(crate) fn insert(&self, waiting: Waiting) -> Result<u64, Waiting> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(waiting);
        }
        let id = state.take_id();
        state.entries.insert(id, Entry { waiting, deadline: Instant::now() + self.ack_timeout });
        Ok(id)
    }

    /// Hands an answer to who waits for it; whether it says that another broker leads.
    pub(crate) fn resolve(&self, mut response: wire::PublishResponse) -> bool {
        // Older servers name the message only in its ack.
        let id = match (&response.ack, response.correlation_id.is_empty()) {
            (Some(ack), true) => ack.correlation_id.parse(),
            _ => std::mem::take(&mut response.correlation_id).parse::<u64>(),
        };
        let entry = id.ok().and_then(|id| self.state.lock().entries.remove(&id));
        let outcome = convert::publish_outcome(response);
        let leads_elsewhere = outcome.as_ref().is_err_and(PublishError::is_of_another_leader);
        match entry {
            Some(entry) => entry.waiting.answer(outcome),
            None => debug!(?outcome, "an answer nobody waits for"),
        }
        leads_elsewhere
    }

    /// When the next message is due to be given up; when there is none, the earliest time the next one could be.
    pub(crate) fn next_deadline(&self) -> Instant {
        let state = self.state.lock();
        state.entries.first_key_value().map_or_else(|| Instant::now() + self.ack_timeout, |(_, entry)| entry.deadline)
    }

    /// Gives up what is due, and with it whatever is behind it in the same partition: acks of a partition come in order, and
    /// a publisher that never pauses would else stay for ever with a broker that does not answer. Whether there was anything.
    pub(crate) fn expire(&self, now: Instant, address: &Address) -> bool {
        let (mut due, mut stuck): (Vec<Entry>, Vec<Route>) = (Vec::new(), Vec::new());
        let behind: Vec<Entry> = {
            let mut state = self.state.lock();
            while let Some(first) = state.entries.first_entry().filter(|first| first.get().deadline <= now) {
                let entry = first.remove();
                if !stuck.iter().any(|route| Route::ptr_eq(route, &entry.waiting.route)) {
                    stuck.push(Route::clone(&entry.waiting.route));
                }
                due.push(entry);
            }
            let is_behind =
                |_: &u64, entry: &mut Entry| stuck.iter().any(|route| Route::ptr_eq(route, &entry.waiting.route));
            state.entries.extract_if(.., is_behind).map(|(_, entry)| entry).collect()
        };
        // They would keep their partitions here.
        drop(stuck);
        let was_due = !due.is_empty();
        for entry in due {
            entry.waiting.answer(Err(PublishError::AckTimeout { after: self.ack_timeout }));
        }
        for entry in behind {
            let cause = CallError::timed_out(&address.to_string(), "a message before it got no ack in time");
            entry.waiting.answer(Err(PublishError::OutcomeUnknown { cause }));
        }
        was_due
    }

    /// The stream is over: everyone still waiting gets `error`.
    pub(crate) fn close(&self, error: &PublishError) {
        let entries = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.entries)
        };
        for entry in entries.into_values() {
            entry.waiting.answer(Err(error.clone()));
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl State {
    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl Waiting {
    /// Gives back the place and the route before the answer, so that who gets it finds them free.
    fn answer(self, outcome: Result<Ack, PublishError>) {
        let Self { reply, place, route } = self;
        drop((place, route));
        // Whoever dropped the future does not want to know.
        let _ = reply.send(outcome);
    }
}
