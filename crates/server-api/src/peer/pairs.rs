//! Whether messages get through between this server and each of its peers. Owns what counts as a break; never a connection.

use std::collections::HashMap;
use std::fmt;

use liftbridge_types::BrokerId;
use parking_lot::Mutex;

/// What happened between this server and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// Messages get through in both directions. Whatever was said before may be lost.
    Up,
    /// They do not, in one direction at least.
    Down,
}

/// The links between this server and one peer, one for each direction.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    outgoing: bool,
    /// More than one while a broken one has not been noticed.
    incoming_count: usize,
}

impl Pair {
    fn is_up(self) -> bool {
        self.outgoing && self.incoming_count > 0
    }
}

type Tell = dyn Fn(&BrokerId, LinkEvent) + Send + Sync;

/// Every pair.
///
/// Invariant: a peer's events alternate, beginning with [`LinkEvent::Up`]; and between any two messages of which the second
/// was sent on another connection than the first, in either direction, there is an [`LinkEvent::Up`].
pub(crate) struct Pairs {
    pairs: Mutex<HashMap<BrokerId, Pair>>,
    tell: Box<Tell>,
}

impl Pairs {
    /// No pair yet; `tell` is told what happens, one event at a time. It must not wait for anything.
    pub(crate) fn new(tell: impl Fn(&BrokerId, LinkEvent) + Send + Sync + 'static) -> Self {
        Self { pairs: Mutex::default(), tell: Box::new(tell) }
    }

    /// This server can send to the peer.
    pub(crate) fn outgoing_begins(&self, peer: &BrokerId) {
        self.change(peer, |pair| pair.outgoing = true);
    }

    /// It cannot any more.
    pub(crate) fn outgoing_ends(&self, peer: &BrokerId) {
        self.change(peer, |pair| pair.outgoing = false);
    }

    /// The peer can send to this server, on a new connection. A former one that nobody has noticed to be broken has taken
    /// messages with it.
    pub(crate) fn incoming_begins(&self, peer: &BrokerId) {
        let mut pairs = self.pairs.lock();
        let pair = pairs.entry(peer.clone()).or_default();
        if pair.is_up() {
            (self.tell)(peer, LinkEvent::Down);
        }
        pair.incoming_count += 1;
        if pair.is_up() {
            (self.tell)(peer, LinkEvent::Up);
        }
    }

    /// One of the peer's connections has ended.
    pub(crate) fn incoming_ends(&self, peer: &BrokerId) {
        self.change(peer, |pair| pair.incoming_count = pair.incoming_count.saturating_sub(1));
    }

    fn change(&self, peer: &BrokerId, change: impl FnOnce(&mut Pair)) {
        // Told under the lock, so that events come in the order of what they tell of.
        let mut pairs = self.pairs.lock();
        let pair = pairs.entry(peer.clone()).or_default();
        let was_up = pair.is_up();
        change(pair);
        let is_up = pair.is_up();
        if !pair.outgoing && pair.incoming_count == 0 {
            pairs.remove(peer);
        }
        match (was_up, is_up) {
            (false, true) => (self.tell)(peer, LinkEvent::Up),
            (true, false) => (self.tell)(peer, LinkEvent::Down),
            (true, true) | (false, false) => {}
        }
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairs").field("pairs", &self.pairs).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::LinkEvent::{Down, Up};
    use super::*;

    #[track_caller]
    fn check(steps: &[fn(&Pairs, &BrokerId)], expected: &[LinkEvent]) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = Arc::clone(&told);
        let pairs = Pairs::new(move |_, event| telling.lock().push(event));
        let peer = BrokerId::new("a").unwrap();
        for step in steps {
            step(&pairs, &peer);
        }
        assert_eq!(*told.lock(), expected);
    }

    #[test]
    fn a_pair_is_up_when_both_directions_are() {
        check(&[Pairs::outgoing_begins], &[]);
        check(&[Pairs::incoming_begins], &[]);
        check(&[Pairs::outgoing_begins, Pairs::incoming_begins], &[Up]);
        check(&[Pairs::incoming_begins, Pairs::outgoing_begins, Pairs::incoming_ends], &[Up, Down]);
        check(&[Pairs::incoming_begins, Pairs::outgoing_begins, Pairs::outgoing_ends], &[Up, Down]);
    }

    #[test]
    fn a_connection_that_replaces_another_is_a_break_and_the_end_of_the_former_is_none() {
        let replaced: &[fn(&Pairs, &BrokerId)] = &[
            Pairs::outgoing_begins,
            Pairs::incoming_begins,
            Pairs::incoming_begins,
            Pairs::incoming_ends,
            Pairs::incoming_ends,
        ];
        check(replaced, &[Up, Down, Up, Down]);
    }

    #[test]
    fn an_end_without_a_beginning_changes_nothing() {
        check(&[Pairs::incoming_ends, Pairs::outgoing_ends, Pairs::outgoing_begins, Pairs::incoming_begins], &[Up]);
    }
}
