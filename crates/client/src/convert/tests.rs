//! Numbers on the wire that mean something else than they say.

use super::*;

#[test]
fn minus_one_is_an_empty_range() {
    assert_eq!(end_after(-1), Offset::ZERO);
    assert_eq!(end_after(0), Offset::new(1));
}

#[test]
fn messages_with_numbers_no_server_sends_are_refused() {
    assert_eq!(received_message(wire::Message { offset: -1, ..wire::Message::default() }), None);
    assert_eq!(received_message(wire::Message { partition: -1, ..wire::Message::default() }), None);
}

#[test]
fn numbers_the_api_cannot_carry_become_the_largest_it_can() {
    let settings = SettingOverrides { retention_max_bytes: Some(u64::MAX), ..SettingOverrides::default() };
    let request = create_stream_request(NewStream::new("foo").partitions(u32::MAX).settings(settings));
    assert_eq!(request.partitions, i32::MAX);
    assert_eq!(request.retention_max_bytes, Some(wire::NullableInt64 { value: i64::MAX }));
}

#[test]
fn an_answer_with_neither_ack_nor_error_is_no_success() {
    assert!(publish_outcome(wire::PublishResponse::default()).is_err());
}

#[test]
fn brokers_with_impossible_ports_are_left_out() {
    let broker = wire::Broker { id: "a".to_owned(), port: 70_000, ..wire::Broker::default() };
    let response = wire::FetchMetadataResponse { brokers: vec![broker], ..wire::FetchMetadataResponse::default() };
    assert!(cluster_metadata(response).brokers.is_empty());
}
