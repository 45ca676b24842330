//! What is wrong with the files this broker keeps: logs that failed, offsets that cannot be read. Owns the counting and the
//! bounds of a list; never what becomes of it.

use std::sync::Arc;

use crate::administration::{ReplicaStorage, StorageTroubles, TroubledPage, TroubledReplica};
use crate::node::Node;
use crate::partition::Partition;

/// Ranges of damaged offsets listed of one partition.
const DAMAGED_RANGES_MAX: usize = 16;

/// The replicas that are in trouble here.
#[derive(Default)]
pub(crate) struct ReplicasInTrouble {
    /// Those in which nothing can be stored.
    pub(crate) offline: Vec<Arc<Partition>>,
    /// Those of which some offsets cannot be read.
    pub(crate) damaged: Vec<Arc<Partition>>,
}

impl Node {
    /// What is wrong with what is kept here, and a page of the partitions this is about.
    pub(crate) fn storage_troubles(&self, page: TroubledPage) -> StorageTroubles {
        let ReplicasInTrouble { mut offline, mut damaged } = self.replicas_in_trouble();
        let (offline_count, damaged_count) = (offline.len(), damaged.len());
        sort(&mut offline);
        damaged.retain(|replica| !replica.board().has_failed().0);
        sort(&mut damaged);
        let listed = offline.iter().chain(&damaged).skip(page.skipped).take(page.count_max);
        let listed = listed.map(|replica| TroubledReplica {
            stream: replica.route().stream.clone(),
            partition: replica.route().partition,
            storage: replica.storage(),
        });
        StorageTroubles {
            metadata_failure: self.metadata.failure().map(|failure| failure.to_string()),
            offline_count,
            damaged_count,
            replicas: listed.collect(),
        }
    }

    /// The replicas here of which something is wrong, in no order.
    pub(crate) fn replicas_in_trouble(&self) -> ReplicasInTrouble {
        let mut found = ReplicasInTrouble::default();
        for stream in self.streams.all() {
            for replica in stream.replicas() {
                let (is_offline, is_damaged) = replica.board().has_failed();
                found.offline.extend(is_offline.then(|| Arc::clone(replica)));
                found.damaged.extend(is_damaged.then(|| Arc::clone(replica)));
            }
        }
        found
    }
}

impl Partition {
    /// How its files are, for people.
    pub(crate) fn storage(&self) -> ReplicaStorage {
        let (offline, damage) = self.board().storage();
        let ranges = damage.ranges();
        let damaged = ranges.iter().take(DAMAGED_RANGES_MAX).cloned().collect();
        ReplicaStorage { offline, damaged, damaged_range_count: ranges.len() }
    }
}

fn sort(replicas: &mut [Arc<Partition>]) {
    replicas.sort_by(|a, b| {
        let (a, b) = (a.route(), b.route());
        (&a.stream, a.partition).cmp(&(&b.stream, b.partition))
    });
}
