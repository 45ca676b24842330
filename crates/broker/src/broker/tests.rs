//! The whole node over a volume in memory: what is asked of the handle and what comes of it.

mod administration;
mod clustered;
mod pausing;
mod publisher;
mod publishing;
mod starting;
mod stopping;
mod streams;

use std::time::{Duration, Instant};

use bytes::Bytes;
use liftbridge_auth::Authorized;
use liftbridge_commitlog::{FaultyVolume, MemoryVolume, Volume};
use liftbridge_types::{AckPolicy, Message, Offset, SettingOverrides, StreamName, Subject};

use super::*;
use crate::errors::{
    ChangeStreamError, CreateStreamError, DescribeError, MetadataUnavailable, PublishError, SubscribeError,
    SubscriptionEnd,
};
use crate::publish_reply::{PublishOutcome, PublishReply};
use crate::requests::{
    CreateStream, DeleteStream, PauseStream, Publish, PublishToSubject, ReplicationFactor, SetStreamReadonly, Shutdown,
    StartPosition, StopPosition, Subscribe,
};

/// A broker on this volume.
async fn start(volume: &(impl Volume + Clone + 'static)) -> Broker {
    try_start(volume, "a").await.unwrap()
}

async fn try_start(volume: &(impl Volume + Clone + 'static), id: &str) -> Result<Broker, StartError> {
    Broker::start(BrokerConfig::new(Arc::new(volume.clone()), BrokerId::new(id).unwrap())).await
}

async fn stop(broker: Broker) {
    broker.shutdown(Shutdown::Graceful(Duration::from_secs(60))).await;
}

fn stream(name: &str) -> CreateStream {
    CreateStream {
        name: StreamName::new(name).unwrap(),
        subject: Subject::new(name).unwrap(),
        group: None,
        partitions: 1,
        replication_factor: ReplicationFactor::Count(1),
        overrides: SettingOverrides::default(),
    }
}

async fn create(broker: &Broker, request: CreateStream) {
    broker.create_stream(Authorized::internal(request)).await.unwrap();
}

async fn delete(broker: &Broker, name: &str) -> Result<(), ChangeStreamError> {
    broker.delete_stream(Authorized::internal(DeleteStream { name: name.to_owned() })).await
}

async fn pause(broker: &Broker, name: &str, partitions: &[i32], resume_all: bool) -> Result<(), ChangeStreamError> {
    let request = PauseStream { name: name.to_owned(), partitions: partitions.to_vec(), resume_all };
    broker.pause_stream(Authorized::internal(request)).await
}

async fn set_readonly(
    broker: &Broker,
    name: &str,
    partitions: &[i32],
    readonly: bool,
) -> Result<(), ChangeStreamError> {
    let request = SetStreamReadonly { name: name.to_owned(), partitions: partitions.to_vec(), readonly };
    broker.set_stream_readonly(Authorized::internal(request)).await
}

fn message(value: &'static str) -> Message {
    Message { value: Bytes::from_static(value.as_bytes()), ..Message::default() }
}

fn to(stream: &str, partition: i32, value: &'static str) -> Publish {
    let (message, ack_policy) = (message(value), AckPolicy::All);
    Publish { stream: stream.into(), partition, message, arrived_on: None, ack_policy, expected_offset: -1 }
}

async fn publish(broker: &Broker, request: Publish) -> PublishOutcome {
    let (reply, outcome) = PublishReply::one();
    broker.publish(Authorized::internal(request), reply).await;
    outcome.await.expect("a reply is answered even when it is dropped")
}

/// Publishes to a partition; the offset it got.
async fn publish_ok(broker: &Broker, stream: &str, partition: i32, value: &'static str) -> u64 {
    publish(broker, to(stream, partition, value)).await.unwrap().offset.get()
}

async fn publish_to_subject(broker: &Broker, subject: &str, value: &'static str) -> PublishOutcome {
    let (reply, outcome) = PublishReply::one();
    let request = PublishToSubject { subject: subject.to_owned(), message: message(value), ack_policy: AckPolicy::All };
    broker.publish_to_subject(Authorized::internal(request), reply, None).await;
    outcome.await.expect("a reply is answered even when it is dropped")
}

/// To a subject that no stream listens to.
fn to_nobody() -> PublishToSubject {
    PublishToSubject { subject: "bills".to_owned(), message: message("x"), ack_policy: AckPolicy::All }
}

fn reading(stream: &str, partition: i32) -> Subscribe {
    Subscribe {
        stream: stream.to_owned(),
        partition,
        start: StartPosition::Earliest,
        stop: StopPosition::Latest,
        reverse: false,
        resume: false,
        read_isr_replica: false,
    }
}

/// The values of a partition from the first to the newest.
async fn values(broker: &Broker, stream: &str, partition: i32) -> Vec<String> {
    let mut subscription = match broker.subscribe(Authorized::internal(reading(stream, partition))).await {
        Ok(subscription) => subscription,
        Err(SubscribeError::Empty) => return Vec::new(),
        Err(error) => panic!("{stream}/{partition}: {error}"),
    };
    let mut values = Vec::new();
    loop {
        match subscription.next().await {
            Ok(records) => {
                values.extend(records.iter().map(|record| String::from_utf8_lossy(&record.value).into_owned()))
            }
            Err(SubscriptionEnd::StopReached) => return values,
            Err(end) => panic!("{stream}/{partition}: {end}"),
        }
    }
}

fn paused(broker: &Broker, name: &str) -> Vec<bool> {
    let described = broker.describe_stream(&Authorized::internal(()), name).unwrap();
    described.partitions.iter().map(|partition| partition.paused).collect()
}
