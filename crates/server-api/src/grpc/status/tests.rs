use liftbridge_broker::{GoOn, Rejection};
use liftbridge_proto::api::publish_async_error::Code as AsyncCode;
use liftbridge_types::{BrokerId, Offset, PartitionId};

use super::*;

#[track_caller]
fn check(status: &Status, code: Code, text: &str) {
    assert_eq!((status.code(), status.message()), (code, text));
}

fn failed() -> MetadataUnavailable {
    MetadataUnavailable::LogFailed { reason: "disk gone".to_owned() }
}

fn one() -> PartitionId {
    PartitionId::from_wire(1).unwrap()
}

#[test]
fn a_stream_that_cannot_be_created_says_why() {
    let check = |error, code, text| check(&create_stream(&error), code, text);
    check(CreateStreamError::Reserved, Code::InvalidArgument, "Stream is reserved");
    check(CreateStreamError::Exists, Code::AlreadyExists, "stream already exists");
    let replicas = CreateStreamError::TooManyReplicas { factor: 3, brokers: 1 };
    check(replicas, Code::InvalidArgument, "Invalid replicationFactor 3, cluster size 1");
    let failure = CreateStreamError::Metadata(failed());
    check(failure, Code::Internal, "Failed to replicate partition: metadata log failed: disk gone");
}

#[test]
fn a_missing_metadata_leader_has_the_text_clients_wait_on() {
    let no_leader = || MetadataUnavailable::NoLeader;
    for status in [
        create_stream(&CreateStreamError::Metadata(no_leader())),
        delete_stream(&ChangeStreamError::Metadata(no_leader())),
        pause_stream(&ChangeStreamError::Metadata(no_leader())),
        set_stream_readonly(&ChangeStreamError::Metadata(no_leader())),
        publish(&PublishError::Resume(no_leader())),
    ] {
        check(&status, Code::Internal, "no known metadata leader");
    }
}

#[test]
fn each_operation_on_a_stream_has_its_own_texts() {
    let failure = ChangeStreamError::Metadata(failed());
    let text = "metadata log failed: disk gone";
    check(&delete_stream(&failure), Code::Internal, &format!("Failed to delete stream: {text}"));
    check(&pause_stream(&failure), Code::Internal, &format!("Failed to pause stream: {text}"));
    check(&set_stream_readonly(&failure), Code::Internal, &format!("Failed to set stream readonly flag: {text}"));
    let all = ChangeStreamError::NotFoundForAll;
    check(&delete_stream(&all), Code::NotFound, "stream does not exist");
    check(&pause_stream(&all), Code::NotFound, "stream not found");
    check(&set_stream_readonly(&all), Code::NotFound, "stream not found");
    let one = ChangeStreamError::PartitionNotFound;
    check(&pause_stream(&one), Code::NotFound, "partition does not exist");
}

#[test]
fn a_message_that_was_not_stored_says_why() {
    let check = |error, code, text| check(&publish(&error), code, text);
    check(PublishError::NoStream, Code::InvalidArgument, "no stream provided");
    check(PublishError::StreamNotFound { stream: "foo".to_owned() }, Code::NotFound, "no such stream: foo");
    check(PublishError::PartitionNotFound { partition: -1 }, Code::NotFound, "no such partition: -1");
    check(PublishError::Readonly { partition: one() }, Code::FailedPrecondition, "readonly partition: 1");
    let policy = "stream with concurrency control must have AckPolicy set";
    check(PublishError::AckPolicyRequired, Code::InvalidArgument, policy);
    let offset = PublishError::IncorrectOffset { expected: 1, next: Offset::ZERO };
    check(offset, Code::Unknown, "incorrect expected offset");
    let large = PublishError::TooLarge { bytes: 2, limit: 1 };
    check(large, Code::InvalidArgument, "message exceeds max replication size");
    let full = "disk is full: free space on the volume of the data directory, then publish again";
    let alone = PublishError::TooFewInSync { in_sync_count: 1, minimum: 2 };
    let alone_text = "1 replicas are in sync, `ALL` needs 2: publish again when there are more";
    check(alone, Code::Unavailable, alone_text);
    check(PublishError::DiskFull, Code::ResourceExhausted, full);
    let files = "no more files can be opened: raise the limit of open files or close connections, then publish again";
    check(PublishError::FilesExhausted, Code::ResourceExhausted, files);
    let failed_text = "Failed to resume stream: metadata log failed: disk gone";
    check(PublishError::Resume(failed()), Code::Internal, failed_text);
    check(PublishError::ShuttingDown, Code::Unavailable, "server is shutting down");
}

/// The Rust client knows by the end of the text that the outcome is unknown; the API has no code for it.
#[test]
fn a_message_whose_outcome_is_unknown_is_said_to_be_perhaps_stored() {
    let moved = "the partition's leadership moved before the message was acknowledged: it may have been stored";
    let closed = "partition was closed before the message was acknowledged: it may have been stored";
    let offline = "partition went offline before the message was acknowledged, disk gone: it may have been stored";
    let stopped = "server shut down before the message was acknowledged: it may have been stored";
    for (error, text) in [
        (PublishError::LeadershipMoved, moved),
        (PublishError::Closed, closed),
        (PublishError::WentOffline { reason: "disk gone".to_owned() }, offline),
        (PublishError::Stopped, stopped),
    ] {
        check(&publish(&error), Code::Unavailable, text);
        let told = publish_async(&error);
        assert_eq!((told.code(), told.message.as_str()), (AsyncCode::Internal, text));
        assert_eq!(nack(&error), None);
    }
}

#[test]
fn a_pipelining_publisher_is_told_in_its_own_codes() {
    let check = |error, code: AsyncCode, text: &str| {
        let told = publish_async(&error);
        assert_eq!((told.code(), told.message.as_str()), (code, text));
    };
    check(PublishError::NoStream, AsyncCode::NotFound, "no such stream: ");
    check(PublishError::StreamNotFound { stream: "foo".to_owned() }, AsyncCode::NotFound, "no such stream: foo");
    check(PublishError::PartitionNotFound { partition: 7 }, AsyncCode::NotFound, "no such partition: 7");
    check(PublishError::Readonly { partition: one() }, AsyncCode::Readonly, "readonly partition: 1");
    let policy = "stream with concurrency control must have AckPolicy set";
    check(PublishError::AckPolicyRequired, AsyncCode::BadRequest, policy);
    let offset = PublishError::IncorrectOffset { expected: 1, next: Offset::ZERO };
    check(offset, AsyncCode::IncorrectOffset, "incorrect expected offset");
    let large = PublishError::TooLarge { bytes: 2, limit: 1 };
    check(large, AsyncCode::BadRequest, "message exceeds max replication size");
    let failed_text = "failed to resume stream: metadata log failed: disk gone";
    check(PublishError::Resume(failed()), AsyncCode::Internal, failed_text);
}

#[test]
fn every_normal_end_of_a_subscription_is_resource_exhausted() {
    let check = |end, code, text: &str| check(&subscription_end(&end), code, text);
    check(SubscriptionEnd::StopReached, Code::ResourceExhausted, "Stop offset reached");
    check(SubscriptionEnd::ReadonlyEnd, Code::ResourceExhausted, "End of readonly partition");
    check(SubscriptionEnd::Deleted, Code::NotFound, "commit log was deleted");
    check(SubscriptionEnd::Paused, Code::FailedPrecondition, "commit log was closed");
    check(SubscriptionEnd::ShuttingDown, Code::Unavailable, "server is shutting down");
}

#[test]
fn damage_names_stream_partition_and_offsets_and_the_way_on() {
    #[track_caller]
    fn check(go_on: GoOn, way_on: &str) {
        let (stream, partition) = ("foo".to_owned(), one());
        let (start, last) = (Offset::new(5), Offset::new(9));
        let status = subscription_end(&SubscriptionEnd::DataLoss { stream, partition, start, last, go_on });
        assert_eq!(status.code(), Code::DataLoss);
        for part in ["foo", "partition 1", "5 to 9", way_on] {
            assert!(status.message().contains(part), "{part} in {status}");
        }
    }
    check(GoOn::Upward(Offset::new(10)), "subscribe from offset 10 to go on");
    check(GoOn::Downward(Offset::new(4)), "subscribe in reverse from offset 4 to go on");
    check(GoOn::Nowhere, "nothing is left to read below them");
}

#[test]
fn a_subscription_that_cannot_begin_says_why() {
    let check = |error, code, text| check(&subscribe(&error), code, text);
    check(SubscribeError::NotFound, Code::NotFound, "No such partition");
    check(SubscribeError::NotLeader, Code::FailedPrecondition, "Server not partition leader");
    check(SubscribeError::Paused, Code::FailedPrecondition, "commit log was closed");
    check(SubscribeError::Empty, Code::ResourceExhausted, "Stream is empty");
    let stop = SubscribeError::StopBeforeStart { stop: 1, start: 2 };
    check(stop, Code::InvalidArgument, "Stop offset is before start offset: 1 < 2");
    let stop = SubscribeError::StopAfterStart { stop: 2, start: 1 };
    check(stop, Code::InvalidArgument, "Stop offset is after start offset of a reverse subscription: 2 > 1");
    let stop = SubscribeError::StopNegative { stop: -2 };
    check(stop, Code::InvalidArgument, "Stop offset is before the beginning of the log: -2");
    let beginning = "Failed to lookup offset for timestamp: timestamp is before the beginning of the log";
    check(SubscribeError::BeforeBeginning, Code::Internal, beginning);
    let resume = "Failed to resume stream: no known metadata leader";
    check(SubscribeError::Resume(MetadataUnavailable::NoLeader), Code::Internal, resume);
}

#[test]
fn people_who_run_a_cluster_are_told_what_to_do() {
    let id = BrokerId::new("b").unwrap();
    let missing = RemoveMemberError::NotFound { id: "b".to_owned() };
    check(&remove_member(&missing), Code::NotFound, "no member `b`");
    let running = RemoveMemberError::Refused(Rejection::BrokerRunning { id: id.clone() });
    check(&remove_member(&running), Code::FailedPrecondition, "broker `b` is running: stop it first");
    let no_leader = RemoveMemberError::Metadata(MetadataUnavailable::NoLeader);
    check(&remove_member(&no_leader), Code::Internal, "no known metadata leader");
    check(&explain_partition(&ExplainError::NotFound), Code::NotFound, "partition not found");
    let elsewhere = ExplainError::NotLeader { leader: id.clone(), address: Some("b.example:9292".to_owned()) };
    let text = "partition is led by `b` at b.example:9292: ask there";
    check(&explain_partition(&elsewhere), Code::FailedPrecondition, text);
    let unknown = ExplainError::NotLeader { leader: id, address: None };
    check(&explain_partition(&unknown), Code::FailedPrecondition, "partition is led by `b`: ask there");
}
