//! Subscriptions on their way in, and the records they get on their way out.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use liftbridge_broker::{PartitionRoute, Record, StartPosition, StopPosition, Subscribe};
use liftbridge_proto::api::{self, SubscribeRequest};
use liftbridge_types::Timestamp;

use super::InvalidRequest;

/// The header a subscriber finds the literal subject of a message under.
const SUBJECT_HEADER: &str = "subject";
/// The header a subscriber finds the reply subject of a message under.
const REPLY_HEADER: &str = "reply";

/// The domain's form of a subscription.
pub(crate) fn subscribe(wire: SubscribeRequest) -> Result<Subscribe, InvalidRequest> {
    if wire.consumer.as_ref().is_some_and(|consumer| !consumer.group_id.is_empty() && consumer.consumer_id.is_empty()) {
        return Err(InvalidRequest::ConsumerId);
    }
    Ok(Subscribe {
        start: start(&wire)?,
        stop: stop(&wire)?,
        stream: wire.stream,
        partition: wire.partition,
        reverse: wire.reverse,
        resume: wire.resume,
        read_isr_replica: wire.read_isr_replica,
    })
}

fn start(wire: &SubscribeRequest) -> Result<StartPosition, InvalidRequest> {
    match api::StartPosition::try_from(wire.start_position) {
        Ok(api::StartPosition::NewOnly) => Ok(StartPosition::NewOnly),
        Ok(api::StartPosition::Offset) => Ok(StartPosition::Offset(wire.start_offset)),
        Ok(api::StartPosition::Earliest) => Ok(StartPosition::Earliest),
        Ok(api::StartPosition::Latest) => Ok(StartPosition::Latest),
        Ok(api::StartPosition::Timestamp) => Ok(StartPosition::Timestamp(Timestamp::from_nanos(wire.start_timestamp))),
        Err(_) => Err(InvalidRequest::StartPosition { number: wire.start_position }),
    }
}

fn stop(wire: &SubscribeRequest) -> Result<StopPosition, InvalidRequest> {
    match api::StopPosition::try_from(wire.stop_position) {
        Ok(api::StopPosition::StopOnCancel) => Ok(StopPosition::OnCancel),
        Ok(api::StopPosition::StopOffset) => Ok(StopPosition::Offset(wire.stop_offset)),
        Ok(api::StopPosition::StopLatest) => Ok(StopPosition::Latest),
        Ok(api::StopPosition::StopTimestamp) => Ok(StopPosition::Timestamp(Timestamp::from_nanos(wire.stop_timestamp))),
        Err(_) => Err(InvalidRequest::StopPosition { number: wire.stop_position }),
    }
}

/// What every message of one subscription has in common.
#[derive(Debug)]
pub(crate) struct Envelope {
    route: Arc<PartitionRoute>,
    /// The subject of a record that was not published on another one, shared by their headers.
    subject: Bytes,
}

impl Envelope {
    /// What messages from this partition have in common.
    pub(crate) fn new(route: Arc<PartitionRoute>) -> Self {
        let subject = Bytes::copy_from_slice(route.partition_subject.as_str().as_bytes());
        Self { route, subject }
    }

    /// The wire form of a stored record.
    ///
    /// Every message gets the headers `subject` and `reply`. A record stores them only where they differ from the
    /// partition's own subject and from nothing; those that publishers made up are never stored.
    pub(crate) fn message(&self, record: Record) -> api::Message {
        let mut headers = HashMap::with_capacity(record.headers.len() + 2);
        headers.insert(SUBJECT_HEADER.to_owned(), self.subject.clone());
        headers.insert(REPLY_HEADER.to_owned(), Bytes::new());
        for header in record.headers {
            headers.insert(text(&header.name), header.value);
        }
        api::Message {
            offset: super::metadata::inclusive(record.offset),
            key: record.key.unwrap_or_default(),
            value: record.value,
            timestamp: record.time.as_nanos(),
            stream: self.route.stream.as_str().to_owned(),
            partition: self.route.partition.to_wire(),
            subject: text(headers.get(SUBJECT_HEADER).unwrap_or(&self.subject)),
            reply_subject: headers.get(REPLY_HEADER).map(text).unwrap_or_default(),
            headers,
            ..api::Message::default()
        }
    }
}

/// Names and subjects came in as UTF-8; bytes that rotted on disk must not end a subscription.
fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
