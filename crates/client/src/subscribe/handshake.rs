//! How a subscription begins: find the server, ask, and wait for the empty message that says it is set up. Owns the retries
//! and the meaning of refusals before the first message; never reads on.

use liftbridge_proto::api as wire;
use tonic::{Code, Request, Status, Streaming};
use tracing::debug;

use crate::cluster::{Address, Read, Router};
use crate::convert;
use crate::error::{CallError, PartitionName, RouteError, SubscribeError};
use crate::subscribe::Subscribe;

/// What servers say of a paused partition.
pub(crate) const PAUSED: &str = "commit log was closed";
/// What servers say when there is nothing between start and stop.
const NOTHING_TO_READ: [&str; 3] = ["Stream is empty", "End of readonly partition", "Stop offset reached"];

/// A subscription that its server has set up.
pub(crate) struct Begun {
    /// The server.
    pub(crate) address: Address,
    /// What follows the first, empty message.
    pub(crate) messages: Streaming<wire::Message>,
}

/// Begins a subscription, trying again while leadership moves or servers are away.
pub(crate) async fn begin(router: &Router, subscribe: &Subscribe) -> Result<Begun, SubscribeError> {
    let retries = router.limits().leader_retries;
    let mut asked_again = false;
    let mut number = 0;
    loop {
        let error = match begin_once(router, subscribe).await {
            Ok(begun) => return Ok(begun),
            Err(error) => error,
        };
        let again = match &error {
            // What is remembered of the stream may be of an earlier one of that name; but only once.
            SubscribeError::NotFound(_) | SubscribeError::Route(RouteError::UnknownStream { .. }) => {
                !std::mem::replace(&mut asked_again, true)
            }
            SubscribeError::Paused(_) => false,
            error => error.retryable(),
        };
        if !again || !retries.goes_on_after(number) {
            return Err(error);
        }
        debug!(stream = subscribe.stream, partition = %subscribe.partition, %error, try_number = number, "subscribing again");
        retries.pause_after(number).await;
        number += 1;
        // When this fails too, the next try says so.
        let _ = router.refresh(&subscribe.stream).await;
    }
}

async fn begin_once(router: &Router, subscribe: &Subscribe) -> Result<Begun, SubscribeError> {
    let read = if subscribe.read_isr_replica { Read::InSyncReplica } else { Read::Leader };
    let address = router.read_address(&subscribe.stream, subscribe.partition, read).await?;
    let mut client = router.client(&address).map_err(SubscribeError::Call)?;
    let handshake = async {
        let mut messages = client.subscribe(Request::new(convert::subscribe_request(subscribe))).await?.into_inner();
        let first = messages.message().await?;
        Ok::<_, Status>((messages, first))
    };
    match tokio::time::timeout(router.limits().request_timeout, handshake).await {
        Ok(Ok((messages, first))) => match first {
            Some(first) if first == wire::Message::default() => Ok(Begun { address, messages }),
            Some(_) => Err(SubscribeError::Malformed { what: "the first message is not empty" }),
            None => Err(SubscribeError::Malformed { what: "the stream ended before its first message" }),
        },
        Ok(Err(status)) => Err(refused(subscribe, &address, &status)),
        Err(_) => Err(SubscribeError::Call(CallError::timed_out(&address.to_string(), "no answer in time"))),
    }
}

fn refused(subscribe: &Subscribe, address: &Address, status: &Status) -> SubscribeError {
    let error = CallError::from_status(&address.to_string(), status);
    let partition = || PartitionName::new(&subscribe.stream, subscribe.partition);
    match error.code {
        Code::NotFound => SubscribeError::NotFound(partition()),
        Code::FailedPrecondition if error.message == PAUSED => SubscribeError::Paused(partition()),
        Code::ResourceExhausted if NOTHING_TO_READ.contains(&error.message.as_str()) => {
            SubscribeError::NothingToRead { message: error.message }
        }
        Code::DataLoss => SubscribeError::data_loss(error.message),
        _ => SubscribeError::Call(error),
    }
}
