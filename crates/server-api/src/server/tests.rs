use std::collections::HashMap;

use liftbridge_proto::api::ack::Error as AckError;
use liftbridge_proto::api::api_client::ApiClient;
use liftbridge_proto::api::publish_async_error::Code as AsyncCode;
use liftbridge_proto::api::{
    AckPolicy, Consumer, CreateStreamRequest, DeleteStreamRequest, FetchCursorRequest, FetchMetadataRequest,
    FetchPartitionMetadataRequest, JoinConsumerGroupRequest, NullableBool, PauseStreamRequest, PublishRequest,
    PublishResponse, PublishToSubjectRequest, SetStreamReadonlyRequest, StartPosition, StopPosition, SubscribeRequest,
    stream_metadata,
};
use liftbridge_proto::v1;
use liftbridge_proto::v1::admin_client::AdminClient;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::testing::{Fixture, MESSAGE_BYTES_MAX, PATIENCE, bind, get, message, patient, stream};
use super::*;

mod stopping;

#[track_caller]
fn check<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, text: &str) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, text));
}

fn from_earliest(stream: &str) -> SubscribeRequest {
    SubscribeRequest {
        stream: stream.to_owned(),
        start_position: StartPosition::Earliest.into(),
        ..SubscribeRequest::default()
    }
}

#[tokio::test]
async fn what_is_published_is_acked_and_delivered_with_its_subject() {
    let mut fixture = Fixture::with_stream("foo").await;
    let wire = PublishRequest { key: "k".into(), ack_policy: AckPolicy::All.into(), ..message("foo", "one") };
    let response = fixture.client.publish(patient(wire)).await.unwrap().into_inner();
    let ack = response.ack.unwrap();
    assert_eq!((response.async_error, response.correlation_id.as_str()), (None, ""));
    assert_eq!((ack.stream.as_str(), ack.offset, ack.ack_error()), ("foo", 0, AckError::Ok));
    assert_eq!((ack.partition_subject.as_str(), ack.msg_subject.as_str()), ("foo", "foo"));
    assert_eq!((ack.correlation_id.as_str(), ack.ack_policy()), ("one", AckPolicy::All));

    let mut messages = fixture.subscribe(from_earliest("foo")).await.unwrap();
    let delivered = messages.message().await.unwrap().unwrap();
    assert_eq!((delivered.key.as_ref(), delivered.value.as_ref()), (&b"k"[..], &b"one"[..]));
    assert_eq!((delivered.offset, delivered.timestamp), (0, ack.reception_timestamp));
    assert_eq!((delivered.subject.as_str(), delivered.reply_subject.as_str()), ("foo", ""));
    assert_eq!(delivered.headers.len(), 3);
    assert_eq!((&delivered.headers["h"][..], &delivered.headers["subject"][..]), (&b"1"[..], &b"foo"[..]));
    assert_eq!((delivered.correlation_id.as_str(), delivered.ack_inbox.as_str()), ("", ""));
}

#[tokio::test]
async fn who_does_not_wait_gets_no_ack_but_hears_of_a_mistake() {
    let mut fixture = Fixture::with_stream("foo").await;
    let without_deadline = Request::new(message("foo", "one"));
    assert_eq!(fixture.client.publish(without_deadline).await.unwrap().into_inner(), PublishResponse::default());
    let wire = PublishRequest { ack_policy: AckPolicy::None.into(), ..message("foo", "two") };
    assert_eq!(fixture.client.publish(patient(wire)).await.unwrap().into_inner(), PublishResponse::default());
    let mut messages = fixture.subscribe(from_earliest("foo")).await.unwrap();
    for value in ["one", "two"] {
        assert_eq!(messages.message().await.unwrap().unwrap().value, value);
    }
    check(fixture.client.publish(message("bar", "x")).await, Code::NotFound, "no such stream: bar");
    check(fixture.client.publish(message("", "x")).await, Code::InvalidArgument, "no stream provided");
    let elsewhere = PublishRequest { partition: -1, ..message("foo", "x") };
    check(fixture.client.publish(elsewhere).await, Code::NotFound, "no such partition: -1");
}

#[tokio::test]
async fn a_message_over_the_limit_is_the_clients_mistake_however_large() {
    let mut fixture = Fixture::with_stream("foo").await;
    for bytes in [MESSAGE_BYTES_MAX + 1, MESSAGE_BYTES_MAX + 6 * 1024 * 1024] {
        let status = fixture.publish("foo", &"x".repeat(bytes)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{bytes}: {status}");
    }
    assert_eq!(fixture.publish("foo", "x").await.unwrap(), 0);
}

#[tokio::test]
async fn streams_are_created_once_and_deleted_once() {
    let mut fixture = Fixture::with_stream("foo").await;
    check(fixture.client.create_stream(stream("foo")).await, Code::AlreadyExists, "stream already exists");
    check(fixture.client.create_stream(stream("")).await, Code::InvalidArgument, "Name cannot be empty");
    check(fixture.client.create_stream(stream("__cursors")).await, Code::InvalidArgument, "Stream is reserved");
    let replicas = |replication_factor| CreateStreamRequest { replication_factor, ..stream("bar") };
    let text = "Invalid replicationFactor 3, cluster size 1";
    check(fixture.client.create_stream(replicas(3)).await, Code::InvalidArgument, text);
    check(fixture.client.create_stream(replicas(-2)).await, Code::InvalidArgument, "Invalid replicationFactor -2");
    fixture.client.create_stream(replicas(-1)).await.unwrap();
    let encrypted = CreateStreamRequest { encryption: Some(NullableBool { value: true }), ..stream("baz") };
    assert_eq!(fixture.client.create_stream(encrypted).await.unwrap_err().code(), Code::FailedPrecondition);

    let delete = DeleteStreamRequest { name: "foo".to_owned() };
    fixture.client.delete_stream(delete.clone()).await.unwrap();
    check(fixture.client.delete_stream(delete).await, Code::NotFound, "stream does not exist");
}

#[tokio::test]
async fn metadata_names_what_is_there_and_what_is_not() {
    let mut fixture = Fixture::with_stream("foo").await;
    fixture.publish("foo", "one").await.unwrap();
    let ask = FetchMetadataRequest { streams: vec!["bar".to_owned(), "foo".to_owned()], groups: vec!["g".to_owned()] };
    let told = fixture.client.fetch_metadata(ask).await.unwrap().into_inner();
    assert_eq!((told.brokers.len(), told.brokers[0].id.as_str()), (1, "a"));
    let [unknown, known] = told.stream_metadata.as_slice() else { panic!("{:?}", told.stream_metadata) };
    assert_eq!((unknown.name.as_str(), unknown.error()), ("bar", stream_metadata::Error::UnknownStream));
    assert_eq!((known.name.as_str(), known.error()), ("foo", stream_metadata::Error::Ok));
    assert_eq!((known.partitions[&0].leader.as_str(), known.partitions[&0].newest_offset), ("a", 0));
    assert_eq!(told.group_metadata[0].group_id, "g");

    let all = fixture.client.fetch_metadata(FetchMetadataRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.stream_metadata.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>(), ["foo"]);

    let ask = FetchPartitionMetadataRequest { stream: "foo".to_owned(), partition: 0 };
    let told = fixture.client.fetch_partition_metadata(ask).await.unwrap().into_inner().metadata.unwrap();
    assert_eq!((told.high_watermark, told.newest_offset, told.isr), (0, 0, vec!["a".to_owned()]));
    let ask = FetchPartitionMetadataRequest { stream: "foo".to_owned(), partition: 7 };
    check(fixture.client.fetch_partition_metadata(ask).await, Code::NotFound, "partition not found");
}

#[tokio::test]
async fn a_subscription_is_checked_before_it_is_greeted() {
    let mut fixture = Fixture::with_stream("foo").await;
    let client = fixture.client.clone();
    let refused = |request| {
        let mut client = client.clone();
        async move { client.subscribe(request).await }
    };
    let mut consumer = Consumer { group_id: "g".to_owned(), ..Consumer::default() };
    let as_member = |consumer: &Consumer| SubscribeRequest { consumer: Some(consumer.clone()), ..from_earliest("foo") };
    let text = "Consumer id cannot be empty when group id is provided";
    check(refused(as_member(&consumer)).await.map(drop), Code::InvalidArgument, text);
    consumer.consumer_id = "c".to_owned();
    let text = "consumer groups are not supported by this server yet";
    check(refused(as_member(&consumer)).await.map(drop), Code::Unimplemented, text);
    check(refused(from_earliest("bar")).await.map(drop), Code::NotFound, "No such partition");
    let unknown = SubscribeRequest { start_position: 9, ..from_earliest("foo") };
    check(refused(unknown).await.map(drop), Code::InvalidArgument, "Unknown StartPosition 9");
    let unknown = SubscribeRequest { stop_position: -1, ..from_earliest("foo") };
    check(refused(unknown).await.map(drop), Code::InvalidArgument, "Unknown StopPosition -1");
    let empty = SubscribeRequest { stop_position: StopPosition::StopLatest.into(), ..from_earliest("foo") };
    check(refused(empty).await.map(drop), Code::ResourceExhausted, "Stream is empty");
    fixture.publish("foo", "one").await.unwrap();
}

#[tokio::test]
async fn subscriptions_end_with_the_status_clients_know() {
    let mut fixture = Fixture::with_stream("foo").await;
    fixture.publish("foo", "one").await.unwrap();
    let to_latest = SubscribeRequest { stop_position: StopPosition::StopLatest.into(), ..from_earliest("foo") };
    let mut messages = fixture.subscribe(to_latest).await.unwrap();
    assert_eq!(messages.message().await.unwrap().unwrap().value, "one");
    check(messages.message().await, Code::ResourceExhausted, "Stop offset reached");

    let mut until_paused = fixture.subscribe(from_earliest("foo")).await.unwrap();
    until_paused.message().await.unwrap().unwrap();
    fixture.client.pause_stream(PauseStreamRequest { name: "foo".to_owned(), ..Default::default() }).await.unwrap();
    check(until_paused.message().await, Code::FailedPrecondition, "commit log was closed");

    let resume = SubscribeRequest { resume: true, ..from_earliest("foo") };
    let mut until_readonly = fixture.subscribe(resume).await.unwrap();
    until_readonly.message().await.unwrap().unwrap();
    let readonly = SetStreamReadonlyRequest { name: "foo".to_owned(), readonly: true, ..Default::default() };
    fixture.client.set_stream_readonly(readonly).await.unwrap();
    check(until_readonly.message().await, Code::ResourceExhausted, "End of readonly partition");
    check(fixture.publish("foo", "two").await, Code::FailedPrecondition, "readonly partition: 0");

    let new_only = SubscribeRequest { start_position: StartPosition::Offset.into(), ..from_earliest("foo") };
    let writable = SetStreamReadonlyRequest { name: "foo".to_owned(), readonly: false, ..Default::default() };
    fixture.client.set_stream_readonly(writable).await.unwrap();
    let mut until_deleted = fixture.subscribe(new_only).await.unwrap();
    until_deleted.message().await.unwrap().unwrap();
    fixture.client.delete_stream(DeleteStreamRequest { name: "foo".to_owned() }).await.unwrap();
    check(until_deleted.message().await, Code::NotFound, "commit log was deleted");
}

#[tokio::test]
async fn a_pipelining_publisher_gets_one_answer_per_message_with_its_id() {
    let mut fixture = Fixture::with_stream("foo").await;
    let (requests, sent) = mpsc::channel(16);
    let mut answers = fixture.client.publish_async(ReceiverStream::new(sent)).await.unwrap().into_inner();
    // An idle stream stays open; the first answer comes to the first message, not before.
    for wire in [
        message("foo", "good"),
        PublishRequest { ack_policy: AckPolicy::None.into(), ..message("foo", "silent") },
        message("bar", "unknown stream"),
        PublishRequest { partition: 3, ..message("foo", "unknown partition") },
        PublishRequest { ack_policy: 9, ..message("foo", "unknown policy") },
        PublishRequest { correlation_id: "oversize".into(), ..message("foo", &"x".repeat(MESSAGE_BYTES_MAX + 1)) },
        message("foo", "last"),
    ] {
        requests.send(wire).await.unwrap();
    }
    let mut told = HashMap::new();
    while told.len() < 6 {
        let answer = answers.message().await.unwrap().unwrap();
        told.insert(answer.correlation_id.clone(), answer);
    }
    for (id, offset) in [("good", 0), ("last", 2)] {
        let answer = &told[id];
        let ack = answer.ack.as_ref().unwrap();
        assert_eq!((answer.async_error.as_ref(), ack.offset, ack.correlation_id.as_str()), (None, offset, id));
    }
    for (id, code, text) in [
        ("unknown stream", AsyncCode::NotFound, "no such stream: bar"),
        ("unknown partition", AsyncCode::NotFound, "no such partition: 3"),
        ("unknown policy", AsyncCode::BadRequest, "Unknown AckPolicy 9"),
        ("oversize", AsyncCode::BadRequest, "message exceeds max replication size"),
    ] {
        let answer = &told[id];
        let error = answer.async_error.as_ref().unwrap();
        assert_eq!((error.code(), error.message.as_str()), (code, text));
        assert_eq!(answer.ack, Some(liftbridge_proto::api::Ack::default()));
    }
    drop(requests);
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn more_messages_than_the_window_holds_are_all_answered() {
    const COUNT: usize = 20_000;
    let mut fixture = Fixture::with_stream("foo").await;
    let requests = futures_util::stream::iter((0..COUNT).map(|number| message("foo", &number.to_string())));
    let mut answers = fixture.client.publish_async(requests).await.unwrap().into_inner();
    let mut offsets = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        assert_eq!(answer.async_error, None);
        offsets.push(answer.ack.unwrap().offset);
    }
    assert_eq!(offsets, (0..i64::try_from(COUNT).unwrap()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_to_a_subject_reaches_the_streams_on_it() {
    let mut fixture = Fixture::start().await;
    let wildcard = CreateStreamRequest { subject: "foo.*".to_owned(), ..stream("all") };
    fixture.client.create_stream(wildcard).await.unwrap();
    let publish = |subject: &str| PublishToSubjectRequest {
        subject: subject.to_owned(),
        value: "one".into(),
        correlation_id: "id".to_owned(),
        ..PublishToSubjectRequest::default()
    };
    let ack = fixture.client.publish_to_subject(patient(publish("foo.bar"))).await.unwrap().into_inner().ack.unwrap();
    assert_eq!((ack.stream.as_str(), ack.msg_subject.as_str(), ack.correlation_id.as_str()), ("all", "foo.bar", "id"));
    let mut messages = fixture.subscribe(from_earliest("all")).await.unwrap();
    let delivered = messages.message().await.unwrap().unwrap();
    assert_eq!((delivered.subject.as_str(), &delivered.headers["subject"][..]), ("foo.bar", &b"foo.bar"[..]));

    let without_deadline = fixture.client.publish_to_subject(publish("nobody")).await.unwrap().into_inner();
    assert_eq!(without_deadline.ack, None);
    let mut impatient = Request::new(publish("nobody"));
    impatient.set_timeout(Duration::from_millis(1));
    let status = fixture.client.publish_to_subject(impatient).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
    check(
        fixture.client.publish_to_subject(patient(publish("foo.*"))).await,
        Code::InvalidArgument,
        "Subject is invalid",
    );
}

#[tokio::test]
async fn people_who_run_the_cluster_are_answered_on_the_same_listener() {
    let fixture = Fixture::with_stream("foo").await;
    let mut admin = AdminClient::new(fixture.channel.clone());
    let status = admin.cluster_status(v1::ClusterStatusRequest::default()).await.unwrap().into_inner();
    assert_eq!((status.controller.as_str(), status.answered_by.as_str()), ("a", "a"));
    let counts = v1::PartitionCounts { streams: 1, partitions: 1, ..v1::PartitionCounts::default() };
    assert_eq!((status.members.len(), status.counts), (1, Some(counts)));
    let explain = |stream: &str| v1::ExplainPartitionRequest { stream: stream.to_owned(), ..Default::default() };
    let explained = admin.explain_partition(explain("foo")).await.unwrap().into_inner();
    assert_eq!((explained.leader.as_str(), explained.log), ("a", Some(v1::ExplainedLog::default())));
    assert_eq!(explained.waits_for, [""; 0]);
    check(admin.explain_partition(explain("bar")).await, Code::NotFound, "partition not found");
    let remove = |id: &str| v1::RemoveMemberRequest { id: id.to_owned(), force: true };
    check(admin.remove_member(remove("b")).await, Code::NotFound, "no member `b`");
    check(admin.remove_member(remove("a")).await, Code::FailedPrecondition, "broker `a` is running: stop it first");
    fixture.stop().await;
}

#[tokio::test]
async fn features_to_come_say_so() {
    let mut fixture = Fixture::start().await;
    let text = "cursors are not supported by this server yet";
    check(fixture.client.fetch_cursor(FetchCursorRequest::default()).await, Code::Unimplemented, text);
    let text = "consumer groups are not supported by this server yet";
    check(fixture.client.join_consumer_group(JoinConsumerGroupRequest::default()).await, Code::Unimplemented, text);
}

#[tokio::test]
async fn stopping_ends_every_stream_with_unavailable() {
    let mut fixture = Fixture::with_stream("foo").await;
    let mut messages = fixture.subscribe(from_earliest("foo")).await.unwrap();
    let (_requests, sent) = mpsc::channel::<PublishRequest>(1);
    let mut answers = fixture.client.publish_async(ReceiverStream::new(sent)).await.unwrap().into_inner();
    let mut health = HealthClient::new(fixture.channel.clone());
    let check_health = HealthCheckRequest { service: "proto.API".to_owned() };
    let mut states = health.watch(check_health).await.unwrap().into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let stopping = tokio::spawn(fixture.stop());
    assert_eq!(states.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop(states);
    check(answers.message().await, Code::Unavailable, "server is shutting down");
    check(messages.message().await, Code::Unavailable, "server is shutting down");
    drop((answers, messages, health));
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let fixture = Fixture::with_stream("foo").await;
    let tasks = &fixture.server.lifetime.tasks;
    let count_before = tasks.len();
    let address = fixture.server.grpc_address();
    // A client that lives elsewhere, so that it can end without a word.
    let elsewhere = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let connected = elsewhere.spawn(async move {
        let mut client = ApiClient::connect(format!("http://{address}")).await.unwrap();
        let messages = client.subscribe(from_earliest("foo")).await.unwrap();
        let answers = client.publish_async(tokio_stream::pending()).await.unwrap();
        (client, messages, answers)
    });
    let connected = connected.await.unwrap();
    assert_eq!(tasks.len(), count_before + 3, "a connection and two calls");
    elsewhere.shutdown_background();
    while tasks.len() > count_before {
        tokio::task::yield_now().await;
    }
    drop(connected);
}

#[tokio::test]
async fn http_says_whether_the_process_lives_and_whether_it_is_ready() {
    let server = bind().await;
    let address = server.http_address().unwrap();
    assert!(get(address, "/health").await.starts_with("HTTP/1.1 200"));
    let starting = get(address, "/ready").await;
    assert!(starting.starts_with("HTTP/1.1 503") && starting.contains("the broker is starting"), "{starting}");
    server.stop(PATIENCE).await;

    let fixture = Fixture::start().await;
    let address = fixture.server.http_address().unwrap();
    let ready = get(address, "/ready").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.ends_with("{\"ready\":true}\n"), "{ready}");
    assert!(get(address, "/metrics").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/nowhere").await.starts_with("HTTP/1.1 404"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_in_http2() {
    let fixture = Fixture::start().await;
    let mut told = Vec::new();
    let mut held = Vec::new();
    // The fixture's own client has one of the sixteen places.
    for _ in 0..15 {
        held.push(TcpStream::connect(fixture.server.grpc_address()).await.unwrap());
    }
    let mut refused = TcpStream::connect(fixture.server.grpc_address()).await.unwrap();
    refused.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, grpc::REFUSAL);
    assert_eq!(told.len(), 9 + 9 + usize::from(told[11]), "the length of the GOAWAY frame");
}
