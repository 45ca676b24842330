//! Which partition a message goes to. Owns the rule all clients share for keys; never knows what partitions there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use liftbridge_types::PartitionId;

/// How the partition of a message is chosen. A stream that does not exist is taken to have one partition.
#[derive(Clone, Debug)]
pub enum Partitioner {
    /// Always this one.
    Fixed(PartitionId),
    /// The one the message's key belongs to: see [`partition_of_key`].
    ByKey,
    /// One after the other.
    RoundRobin(RoundRobin),
}

impl Default for Partitioner {
    fn default() -> Self {
        Self::Fixed(PartitionId::default())
    }
}

impl Partitioner {
    /// The choice for a message with this key among `count` partitions.
    pub(crate) fn choose(&self, key: &[u8], count: u32) -> PartitionId {
        match self {
            Self::Fixed(partition) => *partition,
            Self::ByKey => partition_of_key(key, count),
            Self::RoundRobin(turns) => turns.next(count),
        }
    }
}

/// Whose turn it is; clones take turns together. Use one per stream.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin(Arc<AtomicU32>);

impl RoundRobin {
    /// Begins with partition 0.
    pub fn new() -> Self {
        Self::default()
    }

    fn next(&self, count: u32) -> PartitionId {
        nth(self.0.fetch_add(1, Ordering::Relaxed), count)
    }
}

/// The partition a key belongs to: its CRC-32 (IEEE) modulo the number of partitions, as in every Liftbridge client.
pub fn partition_of_key(key: &[u8], count: u32) -> PartitionId {
    nth(crc32fast::hash(key), count)
}

fn nth(number: u32, count: u32) -> PartitionId {
    PartitionId::new(number.checked_rem(count).unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_belong_to_the_partitions_other_clients_find_them_in() {
        assert_eq!(partition_of_key(b"foobarbazqux", 2).get(), 1);
        assert_eq!(partition_of_key(b"blah", 2).get(), 0);
        assert_eq!(partition_of_key(b"anything", 0).get(), 0);
    }

    #[test]
    fn turns_go_round_and_are_shared_by_clones() {
        let turns = RoundRobin::new();
        let others = turns.clone();
        let taken: Vec<_> = (0..5).map(|n| if n % 2 == 0 { turns.next(3) } else { others.next(3) }.get()).collect();
        assert_eq!(taken, [0, 1, 2, 0, 1]);
    }

    proptest! {
        #[test]
        fn every_choice_is_a_partition_of_the_stream(key: Vec<u8>, count in 1..i32::MAX.unsigned_abs()) {
            prop_assert!(partition_of_key(&key, count).get() < count);
        }
    }
}
