//! What each server says of its own files, as commands list it.

use liftbridge_client::{StorageTroubles, SurveyedServer, TroubledReplica};
use serde::Serialize;

use crate::output::table;
use crate::storage_view::StorageView;

#[derive(Debug, Serialize)]
pub(super) struct ServerView {
    server: String,
    /// Why it was not heard; then nothing else is known.
    unheard: Option<String>,
    metadata_failure: Option<String>,
    partitions_offline: u32,
    partitions_damaged: u32,
    partitions: Vec<ReplicaView>,
}

#[derive(Debug, Serialize)]
struct ReplicaView {
    stream: String,
    partition: u32,
    #[serde(flatten)]
    storage: StorageView,
}

impl ServerView {
    pub(super) fn all(servers: &[SurveyedServer]) -> Vec<Self> {
        servers.iter().map(Self::of).collect()
    }

    fn of(server: &SurveyedServer) -> Self {
        let nothing = StorageTroubles::default();
        let storage = server.storage.as_ref().unwrap_or(&nothing);
        Self {
            server: server.id.clone(),
            unheard: server.storage.as_ref().err().map(ToString::to_string),
            metadata_failure: storage.metadata_failure.clone(),
            partitions_offline: storage.offline,
            partitions_damaged: storage.damaged,
            partitions: storage.replicas.iter().map(ReplicaView::of).collect(),
        }
    }

    fn rows(&self) -> impl Iterator<Item = Vec<String>> {
        self.partitions.iter().map(|replica| {
            let trouble = replica.storage.text().unwrap_or_else(|| "-".to_owned());
            vec![self.server.clone(), replica.stream.clone(), replica.partition.to_string(), trouble]
        })
    }
}

impl ReplicaView {
    fn of(replica: &TroubledReplica) -> Self {
        Self {
            stream: replica.stream.clone(),
            partition: replica.partition.get(),
            storage: StorageView::of(&replica.storage),
        }
    }
}

/// The partitions whose files are in trouble; nothing where none are.
pub(super) fn text(servers: &[ServerView]) -> String {
    let rows: Vec<Vec<String>> = servers.iter().flat_map(ServerView::rows).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n\n{}", table(&["SERVER", "STREAM", "PARTITION", "TROUBLE"], rows))
}
