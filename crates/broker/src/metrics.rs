//! The names of what this crate counts and measures, and nothing else.
//!
//! Handles are made once and kept: nothing is looked up per message. The one label is `stream`, a stream's name; there is
//! none per partition, because a node holds tens of thousands of them. What has the label is shown anew to each scrape, so that
//! nothing is said of a stream that is gone.

use std::time::Duration;

use liftbridge_types::StreamName;
use metrics::{Counter, Gauge, Histogram, Unit};

const MESSAGES_IN: &str = "liftbridge_messages_in_total";
const BYTES_IN: &str = "liftbridge_bytes_in_total";
const MESSAGES_OUT: &str = "liftbridge_messages_out_total";
const BYTES_OUT: &str = "liftbridge_bytes_out_total";
const PARTITION_LAG: &str = "liftbridge_partition_lag";
const ISR_COUNT: &str = "liftbridge_isr_count";
const REPLICATION_LAG_SECONDS: &str = "liftbridge_replication_lag_seconds";
const REPLICATION_LAG_MS: &str = "liftbridge_replication_lag_ms";
const UNDER_REPLICATED: &str = "liftbridge_partitions_under_replicated";
const LEADERLESS: &str = "liftbridge_partitions_leaderless";
const AT_MIN_ISR: &str = "liftbridge_partitions_at_min_isr";
const OFFLINE: &str = "liftbridge_partitions_offline";
const DAMAGED: &str = "liftbridge_partitions_damaged";
const CONTROLLER: &str = "liftbridge_controller";
const LOG_SYNC_SECONDS: &str = "liftbridge_log_sync_seconds";
const APPEND_BATCH_MESSAGES: &str = "liftbridge_append_batch_messages";
const DAMAGED_READS: &str = "liftbridge_damaged_reads_total";
const PARTITION_FAILURES: &str = "liftbridge_partition_failures_total";
const WAITING_BYTES: &str = "liftbridge_waiting_bytes";
const SUBSCRIPTIONS: &str = "liftbridge_subscriptions";

/// What partitions and subscriptions of a node count.
pub(crate) struct Metrics {
    /// Messages appended.
    pub(crate) messages_in: Counter,
    /// Their keys, values and headers, in bytes.
    pub(crate) bytes_in: Counter,
    /// Messages handed to subscribers.
    pub(crate) messages_out: Counter,
    /// Their keys, values and headers, in bytes.
    pub(crate) bytes_out: Counter,
    /// How long forcing a log to the medium took.
    pub(crate) log_sync_seconds: Histogram,
    /// How many messages shared an append.
    pub(crate) append_batch_messages: Histogram,
    /// Reads that met bytes other than those written.
    pub(crate) damaged_reads: Counter,
    /// Partitions that went offline after a storage failure.
    pub(crate) partition_failures: Counter,
    /// Bytes of messages that wait to be stored.
    pub(crate) waiting_bytes: Gauge,
    /// Subscriptions there are.
    pub(crate) subscriptions: Gauge,
    under_replicated: Gauge,
    leaderless: Gauge,
    at_min_isr: Gauge,
    offline: Gauge,
    damaged: Gauge,
    controller: Gauge,
}

/// What is read off a stream's partitions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamGauges {
    /// Records written and not committed, over all that are here.
    pub(crate) uncommitted: u64,
    /// In-sync replicas of the partition that has the fewest.
    pub(crate) isr_count: usize,
    /// How long an in-sync follower of one led here has been behind, the longest of them.
    pub(crate) replication_lag: Duration,
}

/// What this server says is wrong with the cluster.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NodeTroubles {
    /// Whether it is the controller.
    pub(crate) is_controller: bool,
    /// Partitions nobody leads, at the controller only.
    pub(crate) leaderless: u64,
    /// Partitions led here with fewer in-sync replicas than replicas.
    pub(crate) under_replicated: u64,
    /// Partitions led here that refuse messages under `ALL`, or would with one in-sync replica less.
    pub(crate) at_minimum: u64,
    /// Partitions kept here in which nothing can be stored.
    pub(crate) offline: u64,
    /// Partitions kept here of which some offsets are known to be unreadable.
    pub(crate) damaged: u64,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Describes everything and makes the handles, at the recorder installed by now.
    pub(crate) fn new() -> Self {
        describe();
        Self {
            messages_in: metrics::counter!(MESSAGES_IN),
            bytes_in: metrics::counter!(BYTES_IN),
            messages_out: metrics::counter!(MESSAGES_OUT),
            bytes_out: metrics::counter!(BYTES_OUT),
            log_sync_seconds: metrics::histogram!(LOG_SYNC_SECONDS),
            append_batch_messages: metrics::histogram!(APPEND_BATCH_MESSAGES),
            damaged_reads: metrics::counter!(DAMAGED_READS),
            partition_failures: metrics::counter!(PARTITION_FAILURES),
            waiting_bytes: metrics::gauge!(WAITING_BYTES),
            subscriptions: metrics::gauge!(SUBSCRIPTIONS),
            under_replicated: metrics::gauge!(UNDER_REPLICATED),
            leaderless: metrics::gauge!(LEADERLESS),
            at_min_isr: metrics::gauge!(AT_MIN_ISR),
            offline: metrics::gauge!(OFFLINE),
            damaged: metrics::gauge!(DAMAGED),
            controller: metrics::gauge!(CONTROLLER),
        }
    }

    /// Shows what was found wrong just before a scrape.
    pub(crate) fn show_troubles(&self, troubles: &NodeTroubles) {
        self.controller.set(if troubles.is_controller { 1.0 } else { 0.0 });
        self.leaderless.set(as_gauge(troubles.leaderless));
        self.under_replicated.set(as_gauge(troubles.under_replicated));
        self.at_min_isr.set(as_gauge(troubles.at_minimum));
        self.offline.set(as_gauge(troubles.offline));
        self.damaged.set(as_gauge(troubles.damaged));
    }
}

/// Describes what [`show_stream`] shows.
pub(crate) fn describe_streams() {
    metrics::describe_gauge!(PARTITION_LAG, Unit::Count, "Records written but not committed, by stream.");
    metrics::describe_gauge!(ISR_COUNT, Unit::Count, "In-sync replicas of the partition that has fewest, by stream.");
    let lag = "Time that an in-sync follower of a partition led here has been behind, the longest, by stream";
    metrics::describe_gauge!(REPLICATION_LAG_SECONDS, Unit::Seconds, format!("{lag}."));
    metrics::describe_gauge!(REPLICATION_LAG_MS, Unit::Milliseconds, format!("{lag}, in milliseconds."));
}

/// Shows what was read off a stream's partitions, to the recorder of one scrape.
pub(crate) fn show_stream(stream: &StreamName, gauges: &StreamGauges) {
    let label = || stream.as_str().to_owned();
    let lag_seconds = gauges.replication_lag.as_secs_f64();
    metrics::gauge!(PARTITION_LAG, "stream" => label()).set(as_gauge(gauges.uncommitted));
    metrics::gauge!(ISR_COUNT, "stream" => label()).set(as_gauge(gauges.isr_count as u64));
    metrics::gauge!(REPLICATION_LAG_SECONDS, "stream" => label()).set(lag_seconds);
    metrics::gauge!(REPLICATION_LAG_MS, "stream" => label()).set(lag_seconds * 1000.0);
}

/// A count as metrics carry it.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 a gauge may be off by a few")]
pub(crate) fn as_gauge(count: u64) -> f64 {
    count as f64
}

fn describe() {
    metrics::describe_counter!(MESSAGES_IN, Unit::Count, "Messages appended to this node's logs.");
    metrics::describe_counter!(BYTES_IN, Unit::Bytes, "Keys, values and headers of the messages appended.");
    metrics::describe_counter!(MESSAGES_OUT, Unit::Count, "Messages handed to subscribers.");
    metrics::describe_counter!(BYTES_OUT, Unit::Bytes, "Keys, values and headers of the messages handed out.");
    let under_replicated = "Partitions led here with fewer in-sync replicas than replicas.";
    metrics::describe_gauge!(UNDER_REPLICATED, Unit::Count, under_replicated);
    metrics::describe_gauge!(LEADERLESS, Unit::Count, "Partitions nobody leads, as the controller says; 0 elsewhere.");
    let at_min_isr = "Partitions led here with no in-sync replica to spare for messages under ALL.";
    metrics::describe_gauge!(AT_MIN_ISR, Unit::Count, at_min_isr);
    metrics::describe_gauge!(OFFLINE, Unit::Count, "Partitions kept here whose storage failed.");
    let damaged = "Partitions kept here of which some messages are known to be unreadable.";
    metrics::describe_gauge!(DAMAGED, Unit::Count, damaged);
    metrics::describe_gauge!(CONTROLLER, Unit::Count, "1 at the server that decides on metadata, 0 elsewhere.");
    metrics::describe_histogram!(LOG_SYNC_SECONDS, Unit::Seconds, "Time to force one log's appends to the medium.");
    metrics::describe_histogram!(APPEND_BATCH_MESSAGES, Unit::Count, "Messages that shared one append.");
    metrics::describe_counter!(DAMAGED_READS, Unit::Count, "Reads that met bytes other than those written.");
    metrics::describe_counter!(PARTITION_FAILURES, Unit::Count, "Partitions taken offline by a storage failure.");
    metrics::describe_gauge!(WAITING_BYTES, Unit::Bytes, "Messages waiting to be stored.");
    metrics::describe_gauge!(SUBSCRIPTIONS, Unit::Count, "Subscriptions there are.");
}
