//! A publisher of one partition that waits for each ack and repeats what was not acknowledged. What it hears is how long a
//! partition is out.

use std::time::Duration;

use liftbridge_client::PartitionId;

use super::{Load, RETRY_EVERY, every, reason};
use crate::cluster_test::message_id::MessageId;

/// Time from one message to the next, and so how exactly an outage is measured.
const PAUSE: Duration = Duration::from_millis(10);

/// Publishes to one partition until the load is over.
pub(super) async fn run(load: Load, partition: u32) {
    let publisher = u16::try_from(partition).expect("there are few partitions");
    let Some(client) = load.client(publisher).await else { return };
    let place = PartitionId::new(partition).expect("partition numbers are small");
    let index = usize::from(publisher);
    let (mut pause, mut trying) = (every(PAUSE), every(RETRY_EVERY));
    let mut id = MessageId { publisher, sequence: 0, attempt: 0 };
    while !load.is_over() {
        pause.tick().await;
        let sent = load.ledger.now();
        match client.publish(&load.stream, load.message(id).partition(place)).await {
            Ok(Some(ack)) => {
                load.ledger.acked(index, id, ack.offset.get(), sent);
                id = MessageId { sequence: id.sequence + 1, attempt: 0, ..id };
            }
            Ok(None) => load.ledger.failed("client: an answer without an ack"),
            Err(error) => {
                load.ledger.failed(&reason(&error));
                id.attempt += 1;
                trying.tick().await;
            }
        }
    }
    client.close().await;
}
