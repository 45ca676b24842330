//! A publisher that knows nothing of leaders: it asks one server after the other by single calls, which they pass on.

use std::time::Duration;

use liftbridge_client::partition_of_key;
use tonic::{Request, Status};

use super::{ACK_MAX, Load, RETRY_EVERY, every};
use crate::api::{Client, OCC_ANY, wire};
use crate::cluster_test::message_id::MessageId;
use crate::cluster_test::view::client;

/// Time from one message to the next.
const PAUSE: Duration = Duration::from_millis(25);

/// Publishes through all servers in turn until the load is over, repeating what was not acknowledged through the next.
pub(super) async fn run(load: Load, publisher: u16) {
    let mut clients: Vec<Client> = load.servers.iter().map(|address| client(*address)).collect();
    let (mut pause, mut trying) = (every(PAUSE), every(RETRY_EVERY));
    let mut id = MessageId { publisher, sequence: 0, attempt: 0 };
    let mut turn = usize::from(publisher);
    while !load.is_over() {
        pause.tick().await;
        let partition = partition_of_key(id.key().as_bytes(), load.partitions).get();
        let sent = load.ledger.now();
        let server = turn % clients.len();
        turn += 1;
        match publish(&mut clients[server], &load.stream, partition, id).await {
            Ok(offset) => {
                load.ledger.acked(usize::try_from(partition).expect("it is small"), id, offset, sent);
                id = MessageId { sequence: id.sequence + 1, attempt: 0, ..id };
            }
            Err(status) => {
                load.ledger.failed(&reason(&status));
                id.attempt += 1;
                trying.tick().await;
            }
        }
    }
}

/// Publishes one message; its offset.
async fn publish(client: &mut Client, stream: &str, partition: u32, id: MessageId) -> Result<u64, Status> {
    let mut request = Request::new(wire::PublishRequest {
        key: id.key().into(),
        value: id.value().into(),
        stream: stream.to_owned(),
        partition: i32::try_from(partition).expect("it is small"),
        ack_policy: wire::AckPolicy::All.into(),
        expected_offset: OCC_ANY,
        ..Default::default()
    });
    request.set_timeout(ACK_MAX);
    let answer = tokio::time::timeout(ACK_MAX, client.publish(request)).await;
    let answer = answer.map_err(|_| Status::deadline_exceeded("no answer in time"))??.into_inner();
    let offset = answer.ack.and_then(|ack| u64::try_from(ack.offset).ok());
    offset.ok_or_else(|| Status::internal("an answer without an ack"))
}

fn reason(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(_) => format!("single call: {:?}, the connection failed", status.code()),
        None => format!("single call: {:?} {}", status.code(), status.message()),
    }
}
