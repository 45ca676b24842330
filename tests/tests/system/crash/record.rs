//! What was acknowledged, remembered outside of the server. Owns feeding a server while remembering, and the check that
//! all of it is there, in place, once.

use std::collections::{BTreeMap, HashMap};

use liftbridge_tests::api::{Client, Pipeline, connect, publish, read_committed};
use liftbridge_tests::server::Server;

/// Publishes that may be on their way at once; more than one batch, less than the server's memory.
const UNDER_WAY_MAX: u64 = 64;

/// Acknowledged values by stream partition and offset.
#[derive(Debug, Default)]
pub(super) struct Record {
    acked: BTreeMap<(i32, i64), String>,
    published: u64,
}

impl Record {
    /// How many messages were acknowledged.
    pub(super) fn len(&self) -> usize {
        self.acked.len()
    }

    /// The acknowledged offsets of a partition, ascending.
    pub(super) fn offsets(&self, partition: i32) -> Vec<i64> {
        self.acked.keys().filter(|(of, _)| *of == partition).map(|(_, offset)| *offset).collect()
    }

    /// Publishes unique values under `ALL` until this many more are acknowledged or the server is gone.
    pub(super) async fn feed(&mut self, client: &mut Client, stream: &str, partition: i32, acks: u64) {
        let mut pipeline = Pipeline::open(client).await;
        let mut under_way: HashMap<String, String> = HashMap::new();
        let (mut sent, mut answered) = (0, 0);
        while answered < acks {
            while sent < acks && sent - answered < UNDER_WAY_MAX {
                self.published += 1;
                let text = format!("{partition}/{}/{}", self.published, "x".repeat(self.filler_bytes()));
                let Ok(id) = pipeline.send(publish(stream, partition, &text)).await else { return };
                under_way.insert(id, text);
                sent += 1;
            }
            let Ok(response) = pipeline.next().await else { return };
            assert_eq!(response.async_error, None, "nothing is refused here");
            let ack = response.ack.expect("an ack");
            let text = under_way.remove(&response.correlation_id).expect("an ack of something sent");
            let earlier = self.acked.insert((partition, ack.offset), text);
            assert_eq!(earlier, None, "offset {} of partition {partition} was acknowledged twice", ack.offset);
            answered += 1;
        }
    }

    /// Sizes that differ, so that batches end at all kinds of places.
    fn filler_bytes(&self) -> usize {
        usize::try_from(self.published * 37 % 900).expect("it is below 900")
    }

    /// An empty record whose further values differ from those of this one.
    pub(super) fn continued(&self) -> Self {
        Self { acked: BTreeMap::new(), published: self.published }
    }

    /// Takes over what another record that continued this one remembers.
    pub(super) fn absorb(&mut self, other: Self) {
        self.acked.extend(other.acked);
        self.published = self.published.max(other.published);
    }

    /// Asserts that every acknowledged message is at its offset, and none is there twice.
    pub(super) async fn check(&self, server: &Server, stream: &str, partitions: i32) {
        let mut client = connect(server).await;
        for partition in 0..partitions {
            let stored = read_committed(&mut client, stream, partition).await;
            let mut places: HashMap<&[u8], i64> = HashMap::new();
            for (expected_offset, message) in (0..).zip(&stored) {
                assert_eq!(message.offset, expected_offset, "offsets of partition {partition} are dense");
                let earlier = places.insert(&message.value, message.offset);
                assert_eq!(earlier, None, "the message at {} of {partition} is there twice", message.offset);
            }
            for ((_, offset), text) in self.acked.range((partition, 0)..(partition + 1, 0)) {
                let place = places.get(text.as_bytes());
                assert_eq!(place, Some(offset), "where the acknowledged message {text:.40} of {partition} is");
            }
        }
    }
}
