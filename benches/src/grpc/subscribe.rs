//! A subscriber that reads a partition and throws away what it gets. Owns that nothing is missing.

use liftbridge_proto::api;

use super::connection::{Connection, READ};
use crate::Failure;

/// Reads so many messages from the partition's beginning.
pub(super) async fn subscribe(mut connection: Connection, count: u64) -> Result<(), Failure> {
    let last = i64::try_from(count)? - 1;
    let request = api::SubscribeRequest {
        stream: READ.to_owned(),
        partition: connection.partition,
        start_position: api::StartPosition::Earliest.into(),
        stop_position: api::StopPosition::StopOffset.into(),
        stop_offset: last,
        ..Default::default()
    };
    let mut messages = connection.client.subscribe(request).await?.into_inner();
    // The first message of a subscription only says that it has begun.
    messages.message().await?;
    for expected in 0..=last {
        let message = messages.message().await?.ok_or("the server ended the subscription")?;
        if message.offset != expected {
            return Err(format!("got offset {} instead of {expected}", message.offset).into());
        }
    }
    Ok(())
}
