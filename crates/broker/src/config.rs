//! What a broker is started with. Owns the bounds and their defaults; never where they were configured.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_commitlog::{SyncPolicy, Volume};
use liftbridge_types::{BrokerId, StreamSettings};
use thiserror::Error;

use crate::cluster_config::ClusterConfig;

/// What a broker is started with.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Where everything is kept; the caller has made sure that no other process uses it.
    pub volume: Arc<dyn Volume>,
    /// The id to use when this volume has none yet; an id that was stored before wins.
    pub server_id: BrokerId,
    /// The host clients are told to reach this broker at.
    pub advertised_host: String,
    /// The port clients are told to reach this broker at.
    pub advertised_port: u16,
    /// What applies to streams whose creator did not say otherwise.
    pub stream_defaults: StreamSettings,
    /// When appends are forced to the medium.
    pub sync: SyncPolicy,
    /// In which boot of the machine this is, one line; `None` = not known. In the same one, what was written is there even if it
    /// was never synced, whatever became of the process.
    pub boot_id: Option<String>,
    /// Most messages in one batch (`batch.max.messages`), at least 1.
    pub batch_messages_max: usize,
    /// How long a batch waits for more messages (`batch.max.time`); zero = not at all.
    pub batch_time_max: Duration,
    /// Most bytes of key, value and headers in one message (`clustering.replication.max.bytes`).
    pub message_bytes_max: usize,
    /// Most bytes of messages that wait to be stored, over all partitions (`limits.admission.bytes`); publishers beyond it
    /// wait.
    pub admission_bytes_max: usize,
    /// Most bytes of the newest messages kept in memory for readers near the end, over all partitions.
    pub tail_bytes_max: usize,
    /// Most bytes of batches that subscriptions have read and not yet delivered, over all of them (`limits.read.bytes`). Beyond
    /// it each holds a few records, at least one.
    pub read_bytes_max: usize,
    /// Most subscriptions at once.
    pub subscriptions_max: usize,
    /// Threads that append and sync; as many partitions are written at the same time.
    pub log_workers: usize,
    /// Metadata commands after which a snapshot is taken.
    pub snapshot_threshold: u64,
    /// Snapshots kept.
    pub snapshot_retain: usize,
    /// Time without a publish or a read after which a partition's files and caches are closed.
    pub park_after: Duration,
    /// Most bytes of one partition that are on their way to one follower and not confirmed; at least one batch is.
    pub replica_window_bytes: usize,
    /// Being one of several.
    pub cluster: ClusterConfig,
}

impl BrokerConfig {
    /// The defaults, on this volume.
    pub fn new(volume: Arc<dyn Volume>, server_id: BrokerId) -> Self {
        Self {
            volume,
            server_id,
            advertised_host: "localhost".to_owned(),
            advertised_port: 9292,
            stream_defaults: StreamSettings::default(),
            sync: SyncPolicy::Commit,
            boot_id: None,
            batch_messages_max: 1024,
            batch_time_max: Duration::ZERO,
            message_bytes_max: 1024 * 1024,
            admission_bytes_max: 64 * 1024 * 1024,
            tail_bytes_max: 64 * 1024 * 1024,
            read_bytes_max: 128 * 1024 * 1024,
            subscriptions_max: 65_536,
            log_workers: 16,
            snapshot_threshold: 8192,
            snapshot_retain: 2,
            park_after: Duration::from_secs(10),
            replica_window_bytes: 2 * 1024 * 1024,
            cluster: ClusterConfig::default(),
        }
    }
}

/// A broker could not be started. Each text is one line that says what to do.
#[derive(Debug, Error)]
pub enum StartError {
    /// The metadata log could not be opened.
    #[error("cannot open the metadata log: {reason}")]
    Metadata {
        /// Why, and what to do.
        reason: String,
    },
    /// The server was not let into the cluster.
    #[error("failed to join metadata Raft group: {reason}")]
    Join {
        /// Why, and what to do.
        reason: String,
    },
    /// The data directory could not be read or written.
    #[error("cannot use the data directory: {reason}")]
    Storage {
        /// Why, and what to do.
        reason: String,
    },
}
