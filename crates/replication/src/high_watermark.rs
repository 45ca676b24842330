//! What is committed. Owns the arithmetic over durable ends and that the result never goes back; never who reported them.

use liftbridge_types::{BrokerId, Offset};

/// How far each replica has the log on stable storage.
pub(crate) trait DurableEnds {
    /// The end of what `replica` has; `None` when it has not said so in this leadership.
    fn durable_end(&self, replica: &BrokerId) -> Option<Offset>;
}

/// The end of what is committed: the smallest durable end over the agreed in-sync replicas, and over the proposed ones too
/// while a change is in flight, because either set may elect the next leader.
///
/// `None` while one of them has not reported, or fewer are agreed than `minimum`: then nothing new is committed.
///
/// | agreed | proposed | ends          | minimum | committed |
/// |--------|----------|---------------|---------|-----------|
/// | a b    | -        | a 5, b 3      | 2       | 3         |
/// | a b    | a        | a 5, b 3      | 1       | 3         |
/// | a      | a b      | a 5, b 3      | 1       | 3         |
/// | a      | -        | a 5, b 3      | 2       | none      |
pub(crate) fn committed_end(
    agreed: &[BrokerId],
    proposed: &[BrokerId],
    minimum: usize,
    ends: &impl DurableEnds,
) -> Option<Offset> {
    if agreed.len() < minimum {
        return None;
    }
    agreed.iter().chain(proposed).map(|replica| ends.durable_end(replica)).min().flatten()
}

/// The end of what is committed, as far as this leader has said so.
///
/// Invariant: it never goes back, whatever is reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HighWatermark(Offset);

impl HighWatermark {
    /// Begins at what is known to be committed.
    pub(crate) fn new(end: Offset) -> Self {
        Self(end)
    }

    /// Where it is.
    pub(crate) fn end(self) -> Offset {
        self.0
    }

    /// Moves it to `committed`; says whether that was forward.
    pub(crate) fn advance(&mut self, committed: Offset) -> bool {
        let forward = committed > self.0;
        self.0 = self.0.max(committed);
        forward
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    impl DurableEnds for HashMap<BrokerId, Offset> {
        fn durable_end(&self, replica: &BrokerId) -> Option<Offset> {
            self.get(replica).copied()
        }
    }

    fn brokers(names: &str) -> Vec<BrokerId> {
        names.split_whitespace().map(|name| BrokerId::new(name).unwrap()).collect()
    }

    #[track_caller]
    fn check(agreed: &str, proposed: &str, ends: &[(&str, u64)], minimum: usize, expected: Option<u64>) {
        let ends: HashMap<_, _> = ends.iter().map(|(name, end)| (brokers(name).remove(0), Offset::new(*end))).collect();
        let committed = committed_end(&brokers(agreed), &brokers(proposed), minimum, &ends);
        assert_eq!(committed, expected.map(Offset::new));
    }

    #[test]
    fn the_slowest_in_sync_replica_decides() {
        check("a", "", &[("a", 5)], 1, Some(5));
        check("a b", "", &[("a", 5), ("b", 3)], 2, Some(3));
        check("a b c", "", &[("a", 5), ("b", 3), ("c", 4)], 2, Some(3));
    }

    #[test]
    fn replicas_outside_the_set_do_not_count() {
        check("a b", "", &[("a", 5), ("b", 4), ("c", 1)], 2, Some(4));
    }

    #[test]
    fn while_a_change_is_in_flight_both_sets_decide() {
        check("a b", "a", &[("a", 5), ("b", 3)], 1, Some(3));
        check("a", "a b", &[("a", 5), ("b", 3)], 1, Some(3));
        check("a", "a b", &[("a", 5)], 1, None);
    }

    #[test]
    fn watermark_waits_for_minimum_isr() {
        check("a", "", &[("a", 5)], 2, None);
        check("a", "a b", &[("a", 5), ("b", 5)], 2, None);
        check("a b", "", &[("a", 5), ("b", 5)], 2, Some(5));
    }

    #[test]
    fn a_replica_that_has_not_reported_holds_everything_back() {
        check("a b", "", &[("a", 5)], 1, None);
        check("", "", &[], 0, None);
    }

    #[test]
    fn watermark_never_goes_back() {
        let mut watermark = HighWatermark::new(Offset::new(4));
        assert!(!watermark.advance(Offset::new(3)));
        assert_eq!(watermark.end(), Offset::new(4));
        assert!(watermark.advance(Offset::new(6)));
        assert!(!watermark.advance(Offset::new(6)));
        assert_eq!(watermark.end(), Offset::new(6));
    }
}
