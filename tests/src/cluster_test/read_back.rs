//! Reading a copy of a partition from the server that keeps it. Owns what is kept of each message to compare by; compares
//! nothing.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_client::ReceivedMessage;
use tonic::{Code, Status};

use super::Failure;
use super::message_id::MessageId;
use super::view::client;
use crate::api::{subscribe, wire};

/// How long a server may take from one message to the next.
const MESSAGE_MAX: Duration = Duration::from_secs(20);
/// How a server ends a subscription that has reached its stop position.
const REACHED: &str = "Stop offset reached";
/// How a server refuses to read a partition that holds nothing.
const EMPTY: &str = "Stream is empty";

/// A message as somebody read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) offset: u64,
    /// Whose it is; `None` when nobody wrote it like this.
    pub(super) id: Option<MessageId>,
    /// Differs when anything a consumer sees of it differs.
    pub(super) digest: u64,
}

impl Record {
    fn new<'a>(
        offset: u64,
        id: Option<MessageId>,
        time: i64,
        key: &[u8],
        value: &[u8],
        headers: impl Iterator<Item = (&'a String, &'a Bytes)>,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        let headers: BTreeMap<&String, &Bytes> = headers.collect();
        (offset, time, key, value, headers).hash(&mut hasher);
        Self { offset, id, digest: hasher.finish() }
    }
}

impl From<&ReceivedMessage> for Record {
    fn from(message: &ReceivedMessage) -> Self {
        let key = message.key.as_deref().unwrap_or_default();
        let time = message.time.as_nanos();
        let id = MessageId::of(key, &message.value);
        Self::new(message.offset.get(), id, time, key, &message.value, message.headers.iter())
    }
}

impl Record {
    /// A message as the API sends it, which is that of `id`.
    fn of_wire(message: &wire::Message, id: Option<MessageId>) -> Self {
        // A negative offset would be the server's fault and is found as one: nothing was acknowledged there.
        let offset = u64::try_from(message.offset).unwrap_or(u64::MAX);
        Self::new(offset, id, message.timestamp, &message.key, &message.value, message.headers.iter())
    }
}

/// Whose a message is, as far as can be told from the message.
pub(super) type Identify<'a> = dyn Fn(&wire::Message) -> Option<MessageId> + Sync + 'a;

/// Everything committed in the copy of a partition that the server at `address` keeps.
pub(super) async fn read_back(
    address: SocketAddr,
    stream: &str,
    partition: usize,
    identify: &Identify<'_>,
) -> Result<Vec<Record>, Failure> {
    let number = i32::try_from(partition).expect("there are few partitions");
    let request = wire::SubscribeRequest { read_isr_replica: true, ..subscribe(stream, number) };
    match read(address, request, identify).await {
        Ok(records) => Ok(records),
        Err(status) if status.message() == EMPTY => Ok(Vec::new()),
        Err(status) => Err(Failure::new(format!("partition {partition} cannot be read from {address}"), status)),
    }
}

async fn read(
    address: SocketAddr,
    request: wire::SubscribeRequest,
    identify: &Identify<'_>,
) -> Result<Vec<Record>, Status> {
    let in_time = || Status::deadline_exceeded("nothing came in time");
    let mut client = client(address);
    let answer = tokio::time::timeout(MESSAGE_MAX, client.subscribe(request)).await.map_err(|_| in_time())?;
    let mut messages = answer?.into_inner();
    let mut records = Vec::new();
    let mut is_first = true;
    loop {
        match tokio::time::timeout(MESSAGE_MAX, messages.message()).await.map_err(|_| in_time())? {
            // The first is empty: the sign that the subscription stands.
            Ok(Some(_)) if is_first => is_first = false,
            Ok(Some(message)) => records.push(Record::of_wire(&message, identify(&message))),
            Ok(None) => return Ok(records),
            Err(end) if end.code() == Code::ResourceExhausted && end.message() == REACHED => return Ok(records),
            Err(end) => return Err(end),
        }
    }
}
