//! Any bytes as a request of the API, turned into the domain's words. What is taken must have lost nothing on the way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liftbridge_proto::api::{CreateStreamRequest, PublishRequest, PublishToSubjectRequest, SubscribeRequest};
use prost::Message as _;

use grpc::convert;

/// The converters are private to the server, so their source is compiled in.
#[path = "../../crates/server-api/src/grpc"]
#[allow(dead_code, reason = "only a part of it is fuzzed")]
#[allow(unused_imports, reason = "only a part of it is fuzzed")]
mod grpc {
    pub(crate) mod convert;
}

fuzz_target!(|data: &[u8]| {
    let [selector, data @ ..] = data else { return };
    match selector % 4 {
        0 => create_stream(data),
        1 => publish(data),
        2 => publish_to_subject(data),
        _ => subscribe(data),
    }
});

fn create_stream(data: &[u8]) {
    let Ok(wire) = CreateStreamRequest::decode(data) else { return };
    let (name, subject, partitions) = (wire.name.clone(), wire.subject.clone(), wire.partitions);
    let Ok(request) = convert::create_stream(wire) else { return };
    assert_eq!((request.name.as_str(), request.subject.as_str()), (name.as_str(), subject.as_str()));
    assert!(partitions >= 0, "a negative number of partitions means nothing");
}

fn publish(data: &[u8]) {
    let Ok(wire) = PublishRequest::decode(data) else { return };
    let sent = wire.clone();
    let Ok((publish, reply_to)) = convert::publish(wire) else { return };
    assert_eq!((&publish.message.value, publish.message.headers.len()), (&sent.value, sent.headers.len()));
    assert_eq!((reply_to.correlation_id, reply_to.ack_inbox), (sent.correlation_id, sent.ack_inbox));
}

fn publish_to_subject(data: &[u8]) {
    let Ok(wire) = PublishToSubjectRequest::decode(data) else { return };
    let sent = wire.clone();
    let Ok((publish, _)) = convert::publish_to_subject(wire) else { return };
    assert_eq!((publish.subject, publish.message.value), (sent.subject, sent.value));
}

fn subscribe(data: &[u8]) {
    if let Ok(wire) = SubscribeRequest::decode(data) {
        let _ = convert::subscribe(wire);
    }
}
