use liftbridge_proto::api;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn read(bytes: &[u8]) -> Result<PublishMessage, Malformed> {
    PublishReader::new().read(Bytes::copy_from_slice(bytes))
}

/// What the generated code makes of the same bytes.
fn generated(bytes: &[u8]) -> Option<PublishMessage> {
    let wire = api::PublishRequest::decode(bytes).ok()?;
    let mut headers: Vec<Header> =
        wire.headers.into_iter().map(|(name, value)| Header { name: name.into(), value }).collect();
    headers.sort_by(|a, b| a.name.cmp(&b.name));
    Some(PublishMessage {
        stream: wire.stream.into(),
        partition: wire.partition,
        message: Message { key: Some(wire.key).filter(|key| !key.is_empty()), value: wire.value, headers },
        correlation_id: CorrelationId::from_slice(wire.correlation_id.as_bytes()),
        ack_policy: wire.ack_policy,
        expected_offset: wire.expected_offset,
    })
}

fn requests() -> impl Strategy<Value = api::PublishRequest> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    let headers = proptest::collection::hash_map("[a-z]{0,3}", bytes(), 0..4);
    (bytes(), bytes(), ".{0,9}", any::<i32>(), headers, ".{0,5}", ".{0,50}", any::<i32>(), any::<i64>()).prop_map(
        |(key, value, stream, partition, headers, ack_inbox, correlation_id, ack_policy, expected_offset)| {
            api::PublishRequest {
                key,
                value,
                stream,
                partition,
                headers,
                ack_inbox,
                correlation_id,
                ack_policy,
                expected_offset,
            }
        },
    )
}

/// Bytes that begin like fields more often than chance would have it.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let field =
        (1_u8..12, 0_u8..6, proptest::collection::vec(any::<u8>(), 0..6)).prop_map(|(field, wire_type, rest)| {
            let mut bytes = vec![field << 3 | wire_type];
            if wire_type == 2 {
                bytes.push(u8::try_from(rest.len()).unwrap());
            }
            bytes.extend(rest);
            bytes
        });
    proptest::collection::vec(field, 0..6).prop_map(|fields| fields.concat())
}

proptest! {
    #[test]
    fn a_message_reads_as_the_generated_code_reads_it(request in requests()) {
        let bytes = request.encode_to_vec();
        prop_assert_eq!(read(&bytes).ok(), generated(&bytes));
    }

    #[test]
    fn a_cut_or_changed_message_reads_as_the_generated_code_reads_it(
        request in requests(), cut in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), byte: u8,
    ) {
        let mut bytes = request.encode_to_vec();
        bytes.push(byte);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        prop_assert_eq!(read(&bytes).ok(), generated(&bytes));
    }

    #[test]
    fn whatever_comes_reads_as_the_generated_code_reads_it(bytes in fields()) {
        prop_assert_eq!(read(&bytes).ok(), generated(&bytes));
    }
}

#[test]
fn of_headers_with_one_name_the_last_counts() {
    let entry = |name: &str, value: &str| {
        let entry = [&[0x0a, 1], name.as_bytes(), &[0x12, 1], value.as_bytes()].concat();
        [&[0x2a, u8::try_from(entry.len()).unwrap()], &entry[..]].concat()
    };
    let bytes = [entry("b", "1"), entry("a", "2"), entry("b", "3")].concat();
    let header = |name: &'static str, value: &'static str| Header { name: name.into(), value: value.into() };
    assert_eq!(read(&bytes).unwrap().message.headers, [header("a", "2"), header("b", "3")]);
    assert_eq!(read(&bytes).ok(), generated(&bytes));
}

#[test]
fn groups_within_groups_end_somewhere() {
    let deep = [0x7b; 10_000];
    assert_eq!(read(&deep).unwrap_err(), Malformed::Depth);
    assert_eq!(generated(&deep), None);
    for levels in 98..103 {
        let nested = [vec![0x7b; levels], vec![0x08, 1], vec![0x7c; levels]].concat();
        assert_eq!(read(&nested).ok(), generated(&nested), "{levels} levels");
    }
}

#[test]
fn a_streams_name_is_kept_for_the_next_message() {
    let request =
        |stream: &str| Bytes::from(api::PublishRequest { stream: stream.into(), ..Default::default() }.encode_to_vec());
    let mut reader = PublishReader::new();
    let first = reader.read(request("foo")).unwrap().stream;
    assert!(Arc::ptr_eq(&first, &reader.read(request("foo")).unwrap().stream));
    assert_eq!(&*reader.read(request("bar")).unwrap().stream, "bar");
    assert_eq!(&*reader.read(request("")).unwrap().stream, "");
}

#[test]
fn many_headers_of_one_name_take_the_room_of_one() {
    let bytes: Vec<u8> = std::iter::repeat_n([0x2a, 0], 1_000_000).flatten().collect();
    let headers = read(&bytes).unwrap().message.headers;
    assert_eq!(headers.len(), 1);
    assert!(headers.capacity() < 16, "{}", headers.capacity());
}
