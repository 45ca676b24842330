//! Durable publishing by many at once: in process, and through gRPC, against one write and one fdatasync per message.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use liftbridge_auth::Authorized;
use liftbridge_broker::{Broker, BrokerConfig, CreateStream, Publish, PublishReply, ReplicationFactor, Shutdown};
use liftbridge_commitlog::DiskVolume;
use liftbridge_proto::api::api_client::ApiClient;
use liftbridge_types::{AckPolicy, BrokerId, Message, SettingOverrides, StreamName, Subject};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::comparison::{Bound, Comparison, Effort, median};
use crate::device::{DeviceSpeed, write_and_sync};
use crate::grpc::publish_synced;
use crate::process::Server;

const PUBLISHERS: usize = 64;
const MESSAGE_BYTES: usize = 1024;
/// Messages of each publisher in a turn.
const MESSAGES_EACH: usize = 400;
/// Messages of the bare loop in a turn.
const DEVICE_MESSAGES: usize = 1500;
/// Connections that the publishers share.
const CONNECTIONS: usize = 4;

/// What 64 publishers measured in one turn.
struct Turn {
    messages_per_second: f64,
    p50: Duration,
}

/// Both ways in, and what the device does by itself.
///
/// # Panics
/// When the broker or the server does not start or answer.
pub fn measure(effort: Effort) -> Vec<Comparison> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let runtime = Runtime::new().expect("a runtime");
    let broker = runtime.block_on(start_broker(&directory.path().join("broker")));
    let server = Server::liftbridged(&directory.path().join("server"));
    runtime.block_on(create_over_grpc(&server.address));
    let (mut in_process, mut over_grpc, mut device) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        device.push(write_and_sync(directory.path(), effort.of(DEVICE_MESSAGES), MESSAGE_BYTES));
        in_process.push(runtime.block_on(turn_in_process(&broker, effort.of(MESSAGES_EACH))));
        over_grpc.push(runtime.block_on(turn_over_grpc(&server.address, effort.of(MESSAGES_EACH))));
    }
    runtime.block_on(broker.shutdown(Shutdown::Fast));
    let mut comparisons = compare("in process", &in_process, &device);
    comparisons.extend(compare("over gRPC", &over_grpc, &device));
    comparisons
}

fn compare(way: &str, turns: &[Turn], device: &[DeviceSpeed]) -> Vec<Comparison> {
    let rate = median(&mut turns.iter().map(|turn| turn.messages_per_second).collect::<Vec<_>>());
    let device_rate = median(&mut device.iter().map(|speed| speed.messages_per_second).collect::<Vec<_>>());
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let p50 = median(&mut turns.iter().map(|turn| micros(turn.p50)).collect::<Vec<_>>());
    let sync_p50 = median(&mut device.iter().map(|speed| micros(speed.sync_p50)).collect::<Vec<_>>());
    let what = format!("publish: 64 x ALL, 1 KiB, {way}");
    let latency = Comparison {
        what: format!("{what}: p50 in device syncs"),
        ours: format!("{p50:.0} us"),
        baseline: format!("{sync_p50:.0} us"),
        ratio: p50 / sync_p50,
        bound: Bound::AtMost(3.0),
    };
    vec![Comparison::of_rates(&what, "messages/s", rate, device_rate, 20.0), latency]
}

async fn start_broker(data: &Path) -> Broker {
    std::fs::create_dir_all(data).expect("a folder can be made");
    let id = BrokerId::new("bench").expect("a legal name");
    let broker = Broker::start(BrokerConfig::new(Arc::new(DiskVolume::new(data)), id)).await.expect("it starts");
    let create = CreateStream {
        name: StreamName::new("durable").expect("a legal name"),
        subject: Subject::new("durable").expect("a legal subject"),
        group: None,
        partitions: 1,
        replication_factor: ReplicationFactor::Count(1),
        overrides: SettingOverrides::default(),
    };
    broker.create_stream(Authorized::internal(create)).await.expect("the stream can be created");
    broker
}

async fn turn_in_process(broker: &Broker, each: usize) -> Turn {
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for _ in 0..PUBLISHERS {
        tasks.spawn(publish_in_process(broker.clone(), each));
    }
    finish_turn(tasks, started).await
}

async fn publish_in_process(broker: Broker, count: usize) -> Vec<Duration> {
    let value = Bytes::from(vec![0x5a; MESSAGE_BYTES]);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let publish = Publish {
            stream: "durable".to_owned(),
            partition: 0,
            message: Message { value: value.clone(), ..Message::default() },
            ack_policy: AckPolicy::All,
            expected_offset: -1,
        };
        let begun = Instant::now();
        let (reply, outcome) = PublishReply::one();
        broker.publish(Authorized::internal(publish), reply).await;
        outcome.await.expect("an answer is given").expect("the message is stored");
        times.push(begun.elapsed());
    }
    times
}

async fn create_over_grpc(address: &str) {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI");
    let mut client = ApiClient::new(endpoint.connect().await.expect("a ready server accepts connections"));
    let (name, subject) = ("durable".to_owned(), "durable".to_owned());
    let request = liftbridge_proto::api::CreateStreamRequest { name, subject, ..Default::default() };
    client.create_stream(request).await.expect("the stream can be created");
}

async fn turn_over_grpc(address: &str, each: usize) -> Turn {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI").tcp_nodelay(true);
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(ApiClient::new(endpoint.connect().await.expect("a ready server accepts connections")));
    }
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for publisher in 0..PUBLISHERS {
        let client = clients[publisher % CONNECTIONS].clone();
        tasks.spawn(publish_synced(client, "durable".to_owned(), each, MESSAGE_BYTES));
    }
    finish_turn(tasks, started).await
}

async fn finish_turn(mut tasks: JoinSet<Vec<Duration>>, started: Instant) -> Turn {
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.expect("a publisher does not panic"));
    }
    let messages_per_second = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort();
    Turn { messages_per_second, p50: times[times.len() / 2] }
}
