//! Any bytes as a message of a PublishAsync call: the reader written for it and the generated one agree on everything.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use liftbridge_proto::api::PublishRequest;
use prost::Message as _;

use publish_async::message::PublishReader;

/// The reader is private to the server, so its source is compiled in.
#[path = "../../crates/server-api/src/grpc/publish_async"]
mod publish_async {
    pub(crate) mod message;
}

fuzz_target!(|data: &[u8]| {
    let read = PublishReader::new().read(Bytes::copy_from_slice(data));
    let generated = PublishRequest::decode(data);
    assert_eq!(read.is_ok(), generated.is_ok(), "{read:?} {generated:?}");
    let (Ok(read), Ok(generated)) = (read, generated) else { return };
    assert_eq!(&*read.stream, generated.stream);
    assert_eq!(read.partition, generated.partition);
    assert_eq!(read.message.key.unwrap_or_default(), generated.key);
    assert_eq!(read.message.value, generated.value);
    assert_eq!(&read.correlation_id[..], generated.correlation_id.as_bytes());
    assert_eq!((read.ack_policy, read.expected_offset), (generated.ack_policy, generated.expected_offset));
    assert_eq!(read.message.headers.len(), generated.headers.len());
    for header in &read.message.headers {
        let name = std::str::from_utf8(&header.name).expect("names are text");
        assert_eq!(generated.headers.get(name), Some(&header.value));
    }
});
