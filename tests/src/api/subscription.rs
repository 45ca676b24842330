//! One running subscription. Owns the handshake and reading to the end; knows nothing of what should arrive.

use tonic::{Code, Status, Streaming};

use super::{Client, wire};
use crate::server::within;

/// A subscription after its handshake.
#[derive(Debug)]
pub struct Subscription {
    messages: Streaming<wire::Message>,
}

/// Subscribes and takes the handshake: one message with nothing in it, which comes before everything else.
pub async fn open(client: &mut Client, request: wire::SubscribeRequest) -> Result<Subscription, Status> {
    let mut messages = within("an answer to subscribe", client.subscribe(request)).await?.into_inner();
    let handshake = within("the handshake", messages.message()).await?;
    assert_eq!(handshake, Some(wire::Message::default()), "a subscription begins with an empty message");
    Ok(Subscription { messages })
}

impl Subscription {
    /// The next message, or why there is none.
    pub async fn next(&mut self) -> Result<wire::Message, Status> {
        match within("a message", self.messages.message()).await? {
            Some(message) => Ok(message),
            None => Err(Status::ok("the server ended the subscription")),
        }
    }

    /// This many further messages.
    pub async fn take(&mut self, count: usize) -> Vec<wire::Message> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            messages.push(self.next().await.expect("more messages"));
        }
        messages
    }

    /// Everything up to the end, and what the end was.
    pub async fn to_end(mut self) -> (Vec<wire::Message>, Status) {
        let mut messages = Vec::new();
        loop {
            match self.next().await {
                Ok(message) => messages.push(message),
                Err(end) => return (messages, end),
            }
        }
    }
}

/// Everything that is committed in a partition now, from the earliest; nothing for an empty one.
pub async fn read_committed(client: &mut Client, stream: &str, partition: i32) -> Vec<wire::Message> {
    match open(client, super::subscribe(stream, partition)).await {
        Ok(subscription) => {
            let (messages, end) = subscription.to_end().await;
            assert_eq!((end.code(), end.message()), (Code::ResourceExhausted, "Stop offset reached"));
            messages
        }
        Err(refusal) => {
            assert_eq!((refusal.code(), refusal.message()), (Code::ResourceExhausted, "Stream is empty"));
            Vec::new()
        }
    }
}

/// The values of messages as text.
pub fn values(messages: &[wire::Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(&message.value).into_owned()).collect()
}
