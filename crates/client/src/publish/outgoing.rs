//! A message about to be published. Owns what the publisher decides about it; never how it travels.

use std::collections::HashMap;

use bytes::Bytes;
use liftbridge_types::{AckPolicy, Offset, PartitionId};

use crate::publish::{Partitioner, RoundRobin};

/// A message and what should become of it: by default it goes to partition 0 and is acknowledged by the leader.
#[derive(Clone, Debug)]
#[must_use]
pub struct Outgoing {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Bytes,
    pub(crate) headers: HashMap<String, Bytes>,
    pub(crate) partitioner: Partitioner,
    pub(crate) ack_policy: AckPolicy,
    pub(crate) expected_offset: Option<Offset>,
    pub(crate) repeats: bool,
}

impl Outgoing {
    /// A message with this value.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self {
            key: None,
            value: value.into(),
            headers: HashMap::new(),
            partitioner: Partitioner::default(),
            ack_policy: AckPolicy::default(),
            expected_offset: None,
            repeats: false,
        }
    }

    /// Sets the key. The API cannot tell an empty one from none.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a header, replacing one of the same name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Sends it to this partition.
    pub fn partition(self, partition: PartitionId) -> Self {
        self.partitioner(Partitioner::Fixed(partition))
    }

    /// Sends it to the partition its key belongs to, the same for every client.
    pub fn by_key(self) -> Self {
        self.partitioner(Partitioner::ByKey)
    }

    /// Sends it to the partition that is next in turn.
    pub fn round_robin(self, turns: &RoundRobin) -> Self {
        self.partitioner(Partitioner::RoundRobin(turns.clone()))
    }

    /// How its partition is chosen.
    pub fn partitioner(mut self, partitioner: Partitioner) -> Self {
        self.partitioner = partitioner;
        self
    }

    /// What has to be true before it is acknowledged.
    pub fn ack(mut self, policy: AckPolicy) -> Self {
        self.ack_policy = policy;
        self
    }

    /// Stores it only at this offset. Streams without optimistic concurrency control ignore it.
    pub fn expected_offset(mut self, offset: Offset) -> Self {
        self.expected_offset = Some(offset);
        self
    }

    /// Lets [`crate::Client::publish`] repeat it when its outcome is unknown, so that it may be stored more than once. A
    /// [`crate::Producer`] never repeats: what comes after would overtake it.
    pub fn at_least_once(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Its size as the window counts it, in bytes.
    pub(crate) fn payload_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.as_ref().map_or(0, Bytes::len) + self.value.len() + headers
    }
}
