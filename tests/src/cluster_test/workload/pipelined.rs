//! A publisher that has many messages on their way to all partitions, by key, and repeats none.

use std::time::Duration;

use liftbridge_client::{ProducerWindow, partition_of_key};
use tokio::task::JoinSet;

use super::{Load, every, reason};
use crate::cluster_test::message_id::MessageId;
use crate::dice::Dice;

/// Time from one burst to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// The most messages of a burst.
const BURST_MAX: u64 = 10;
/// How much may wait for acks.
const WINDOW: ProducerWindow = ProducerWindow { messages: 256, bytes: 1 << 20 };

/// Publishes bursts until the load is over, and ends when everything is answered.
pub(super) async fn run(load: Load, publisher: u16) {
    let Some(client) = load.client(publisher).await else { return };
    let producer = client.producer_with(WINDOW);
    let mut dice = Dice::new(load.seed ^ u64::from(publisher));
    let mut pause = every(PAUSE);
    let mut answers = JoinSet::new();
    let mut sequence = 0;
    while !load.is_over() {
        pause.tick().await;
        for _ in 0..=dice.below(BURST_MAX) {
            let id = MessageId { publisher, sequence, attempt: 0 };
            sequence += 1;
            let sent = load.ledger.now();
            let answer = match producer.publish(&load.stream, load.message(id).by_key()).await {
                Ok(answer) => answer,
                Err(error) => {
                    load.ledger.failed(&reason(&error));
                    break;
                }
            };
            let ledger = load.ledger.clone();
            let partition = partition_of_key(id.key().as_bytes(), load.partitions);
            let partition = usize::try_from(partition.get()).expect("partition numbers are small");
            answers.spawn(async move {
                match answer.await {
                    Ok(Some(ack)) => ledger.acked(partition, id, ack.offset.get(), sent),
                    Ok(None) => ledger.failed("client: an answer without an ack"),
                    Err(error) => ledger.failed(&reason(&error)),
                }
            });
        }
        while answers.try_join_next().is_some() {}
    }
    answers.join_all().await;
    client.close().await;
}
