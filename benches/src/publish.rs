//! Publishers that each wait until their message is synced, beside a loop that syncs every message on its own.
//!
//! The broker shares one sync among all that wait; how much that gains, and what it costs in latency, is in units of the
//! device's own syncs, measured in the same directory: of one message, and of as much as all of them wait for at once.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{BoxFuture, try_join_all};
use liftbridge_auth::Authorized;
use liftbridge_broker::{Broker, BrokerConfig, CreateStream, Publish, PublishReply, ReplicationFactor, Shutdown};
use liftbridge_client::{Client, NewStream, Outgoing};
use liftbridge_commitlog::DiskVolume;
use liftbridge_types::{AckPolicy, BrokerId, Message, SettingOverrides, StreamName, Subject};
use tokio::runtime::Runtime;

use crate::figures::{median, medians, per_second};
use crate::process::ServerProcess;
use crate::table::{Bound, Row, Unit};
use crate::{Failure, Scale, directory};

pub(crate) const STREAM: &str = "synced";
const PUBLISHERS: usize = 64;
const VALUE_BYTES: usize = 1024;
const VALUE: Bytes = Bytes::from_static(&[7; VALUE_BYTES]);

/// Measures publishing in this process and over gRPC.
///
/// # Errors
/// When the disk fails or a message is refused.
pub fn measure(scale: &Scale) -> Result<Vec<Row>, Failure> {
    let directory = directory::scratch()?;
    let runtime = Runtime::new()?;
    let broker = runtime.block_on(start_broker(&directory.path().join("broker")))?;
    let server = ServerProcess::liftbridged(&directory.path().join("server"))?;
    let clients = runtime.block_on(connect(&server))?;
    let in_process: Vec<_> = (0..PUBLISHERS).map(|_| InProcess(broker.clone())).collect();
    let mut syncs = File::create(directory.path().join("syncs"))?;

    let measured = medians(scale.rounds, || {
        let ours = runtime.block_on(publish_from_all(&in_process, scale.publish_time))?;
        let reference = sync_each(&mut syncs, &VALUE, scale.publish_time)?;
        let shared = sync_each(&mut syncs, &[7; PUBLISHERS * VALUE_BYTES], scale.publish_time)?;
        let grpc = runtime.block_on(publish_from_all(&clients, scale.publish_time))?;
        Ok([ours.rate, ours.p50_ms, reference.rate, reference.p50_ms, shared.p50_ms, grpc.rate, grpc.p50_ms])
    })?;
    runtime.block_on(broker.shutdown(Shutdown::Fast));

    let [rate, p50, sync_rate, sync_p50, shared_sync_p50, grpc_rate, grpc_p50] = measured;
    Ok(vec![
        Row::new("publish: 64 wait for ALL, 1 KiB", rate, Unit::MessagesPerSecond)
            .beside(sync_rate)
            .bound(Bound::AtLeast(20.0)),
        Row::new("publish: 64 wait for ALL, p50, in syncs of 64", p50, Unit::Milliseconds)
            .beside(shared_sync_p50)
            .bound(Bound::AtMost(3.0)),
        Row::new("publish: 64 wait for ALL, p50, in syncs of one", p50, Unit::Milliseconds).beside(sync_p50),
        Row::new("publish: the same over gRPC", grpc_rate, Unit::MessagesPerSecond).beside(sync_rate),
        Row::new("publish: the same over gRPC, p50", grpc_p50, Unit::Milliseconds).beside(sync_p50),
    ])
}

/// How fast one side was.
pub(crate) struct Pace {
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Pace {
    fn of(times: Vec<Duration>, elapsed: Duration) -> Self {
        let rate = per_second(times.len() as u64, elapsed);
        let mut times_ms: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        times_ms.sort_unstable_by(f64::total_cmp);
        let p99_ms = times_ms.get(times_ms.len() * 99 / 100).copied().unwrap_or_default();
        Self { rate, p50_ms: median(times_ms), p99_ms }
    }
}

/// Stores one message and returns when it is safe.
pub(crate) trait Publisher: Clone + Send + Sync + 'static {
    fn publish(&self) -> BoxFuture<'_, Result<(), Failure>>;
}

/// A publisher in the broker's own process.
#[derive(Clone)]
struct InProcess(Broker);

impl Publisher for InProcess {
    fn publish(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            let (reply, outcome) = PublishReply::one();
            let request = Publish {
                stream: STREAM.into(),
                partition: 0,
                message: Message { value: VALUE, ..Message::default() },
                arrived_on: None,
                ack_policy: AckPolicy::All,
                expected_offset: -1,
            };
            self.0.publish(Authorized::internal(request), reply).await;
            outcome.await??;
            Ok(())
        })
    }
}

/// A publisher with a connection of its own.
impl Publisher for Client {
    fn publish(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            self.publish(STREAM, Outgoing::new(VALUE).ack(AckPolicy::All)).await?;
            Ok(())
        })
    }
}

/// Lets all publishers publish one message after the other.
pub(crate) async fn publish_from_all(publishers: &[impl Publisher], time: Duration) -> Result<Pace, Failure> {
    let start = Instant::now();
    let tasks = publishers.iter().cloned().map(|publisher| tokio::spawn(publish_for(publisher, time)));
    let mut times = Vec::new();
    for of_one in try_join_all(tasks).await? {
        times.extend(of_one?);
    }
    Ok(Pace::of(times, start.elapsed()))
}

async fn publish_for(publisher: impl Publisher, time: Duration) -> Result<Vec<Duration>, Failure> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < time {
        let sent = Instant::now();
        publisher.publish().await?;
        times.push(sent.elapsed());
    }
    Ok(times)
}

/// The least that makes each write safe by itself.
fn sync_each(file: &mut File, bytes: &[u8], time: Duration) -> Result<Pace, Failure> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < time {
        let begun = Instant::now();
        file.write_all(bytes)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(Pace::of(times, start.elapsed()))
}

async fn start_broker(directory: &Path) -> Result<Broker, Failure> {
    std::fs::create_dir(directory)?;
    let volume = Arc::new(DiskVolume::new(directory));
    let broker = Broker::start(BrokerConfig::new(volume, BrokerId::new("bench")?)).await?;
    let stream = CreateStream {
        name: StreamName::new(STREAM)?,
        subject: Subject::new(STREAM)?,
        group: None,
        partitions: 1,
        replication_factor: ReplicationFactor::Count(1),
        overrides: SettingOverrides::default(),
    };
    broker.create_stream(Authorized::internal(stream)).await?;
    Ok(broker)
}

async fn connect(server: &ServerProcess) -> Result<Vec<Client>, Failure> {
    let connecting = (0..PUBLISHERS).map(|_| Client::builder([server.address().to_string()]).connect());
    let clients = try_join_all(connecting).await?;
    for client in clients.iter().take(1) {
        client.create_stream(NewStream::new(STREAM)).await?;
    }
    Ok(clients)
}
