//! How long a run is. Owns the sizes of both kinds of run; never what is measured with them.

use std::time::Duration;

/// The size of every measurement.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// How often each side of a ratio is measured; the median counts.
    pub rounds: usize,
    /// Bytes of batches that are appended in a round, and of the log that is read. They fit the page cache.
    pub log_bytes: u64,
    /// Bytes of messages that a follower has to catch up with.
    pub catch_up_bytes: u64,
    /// Partitions each of three servers leads when one of them is killed.
    pub led_partitions: u32,
    /// How long synced publishes go on in a round.
    pub publish_time: Duration,
    /// Messages of each connection in a round.
    pub grpc_messages: u64,
    /// Streams that do nothing.
    pub idle_streams: u32,
    /// How long they are watched doing it.
    pub idle_time: Duration,
}

impl Scale {
    /// What figures are taken from: a few minutes.
    pub fn full() -> Self {
        Self {
            rounds: 7,
            log_bytes: 128 * 1024 * 1024,
            catch_up_bytes: 1024 * 1024 * 1024,
            led_partitions: 1_000,
            publish_time: Duration::from_secs(2),
            grpc_messages: 200_000,
            idle_streams: 10_000,
            idle_time: Duration::from_secs(10),
        }
    }

    /// Shows that the measurements work, not what the figures are.
    pub fn quick() -> Self {
        Self {
            rounds: 3,
            log_bytes: 16 * 1024 * 1024,
            catch_up_bytes: 64 * 1024 * 1024,
            led_partitions: 50,
            publish_time: Duration::from_millis(300),
            grpc_messages: 20_000,
            idle_streams: 500,
            idle_time: Duration::from_secs(2),
        }
    }
}
