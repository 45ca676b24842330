//! Consumers that follow every partition during the whole run, through leaders and through in-sync replicas. Owns what they
//! were shown; whether it is still there at the end is for others to say.

use std::sync::Arc;

use futures_util::StreamExt as _;
use liftbridge_client::{Client, Offset, PartitionId, Start, Subscribe};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::read_back::Record;
use super::workload::{Load, RETRY_EVERY, every};

/// What was shown, by partition.
#[derive(Debug)]
pub(super) struct Readers {
    seen: Arc<Mutex<Vec<Vec<Record>>>>,
    tasks: JoinSet<()>,
}

impl Readers {
    /// Starts one for each partition; every other one reads from replicas.
    pub(super) fn start(client: &Client, load: &Load) -> Self {
        let count = usize::try_from(load.partitions).expect("there are few partitions");
        let seen = Arc::new(Mutex::new(vec![Vec::new(); count]));
        let mut tasks = JoinSet::new();
        for partition in 0..load.partitions {
            let reader = follow(client.clone(), load.clone(), partition, Arc::clone(&seen));
            tasks.spawn(reader);
        }
        Self { seen, tasks }
    }

    /// Ends them; what they were shown.
    pub(super) async fn finish(mut self) -> Vec<Vec<Record>> {
        self.tasks.shutdown().await;
        std::mem::take(&mut *self.seen.lock())
    }
}

/// Reads a partition for as long as it may, beginning again behind what was shown whenever a subscription fails.
async fn follow(client: Client, load: Load, partition: u32, seen: Arc<Mutex<Vec<Vec<Record>>>>) {
    let place = PartitionId::new(partition).expect("partition numbers are small");
    let index = usize::try_from(partition).expect("partition numbers are small");
    let mut next = 0;
    let mut trying = every(RETRY_EVERY);
    loop {
        let from = Subscribe::new(&load.stream).partition(place).start(Start::Offset(Offset::new(next)));
        let from = if partition % 2 == 1 { from.read_isr_replica() } else { from };
        match client.subscribe(from).await {
            Ok(mut messages) => {
                while let Some(message) = messages.next().await {
                    match message {
                        Ok(message) => {
                            let record = Record::from(&message);
                            next = record.offset + 1;
                            seen.lock()[index].push(record);
                        }
                        Err(error) => load.ledger.failed(&format!("reader: {error}")),
                    }
                }
            }
            Err(error) => load.ledger.failed(&format!("reader: {error}")),
        }
        // One that is refused at once would ask without a pause.
        trying.tick().await;
    }
}
