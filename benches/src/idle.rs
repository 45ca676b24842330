//! What streams cost that nobody uses: memory, open files, processor time, and time to start again.
//!
//! Every stream gets a message first, so that none is cheap because it never had a log.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use liftbridge_client::{AckPolicy, Client, NewStream, Outgoing};
use tokio::runtime::Runtime;

use crate::figures::to_f64;
use crate::process::ServerProcess;
use crate::table::{Bound, Row, Unit};
use crate::{Failure, Scale, directory};

/// Streams that are made at the same time.
const CONCURRENCY: usize = 64;
/// Open files, over all idle streams together, that count as none for each.
const OPEN_FILES_MAX: u64 = 8;
/// How long the files of streams that are not used any more may stay open before the measurement goes on anyway.
const PARKED_AFTER_MAX: Duration = Duration::from_secs(60);
/// How long a restart may take, in seconds.
const RESTART_BOUND: Bound = Bound::AtMost(5.0);
/// How often it is looked whether they still are.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Measures a server with no stream, then one with many.
///
/// # Errors
/// When a server does not start or stop, or refuses a stream.
pub fn measure(scale: &Scale) -> Result<Vec<Row>, Failure> {
    let directory = directory::scratch()?;
    let server = ServerProcess::liftbridged(directory.path())?;
    let empty = Weight::of(&server, scale.idle_time)?;
    let runtime = Runtime::new()?;
    runtime.block_on(make_streams(&server, scale.idle_streams))?;
    wait_until_parked(&server, empty.open_files)?;
    let created = Weight::of(&server, scale.idle_time)?;
    server.kill()?;
    let server = ServerProcess::liftbridged(directory.path())?;
    let (killed_ready, restarted) = (server.ready_after(), Weight::of(&server, scale.idle_time)?);
    server.terminate()?;
    let server = ServerProcess::liftbridged(directory.path())?;
    let stopped_ready = server.ready_after();
    // Not idle at all any more: with every log open and written to since.
    runtime.block_on(use_streams(&server, scale.idle_streams))?;
    server.kill()?;
    let used_ready = ServerProcess::liftbridged(directory.path())?.ready_after();

    let streams = to_f64(u64::from(scale.idle_streams));
    let kib_each = |weight: &Weight| (to_f64(weight.resident_kib) - to_f64(empty.resident_kib)) / streams;
    let files = |weight: &Weight| to_f64(weight.open_files.saturating_sub(empty.open_files));
    let idle = |what: &str| format!("idle: {} streams, {what}", scale.idle_streams);
    let (memory_bound, file_bound) = (Bound::AtMost(10.0), Bound::AtMost(to_f64(OPEN_FILES_MAX)));
    // One part in a hundred of one processor is what can be told from none.
    let processor_bound = Bound::AtMost(scale.idle_time.as_secs_f64() * 1e3 / 100.0);
    let seconds = |name, time: Duration| Row::new(name, time.as_secs_f64(), Unit::Seconds);
    Ok(vec![
        Row::new("idle: no stream, memory", to_f64(empty.resident_kib) / 1024.0, Unit::Mebibytes)
            .bound(Bound::AtMost(40.0)),
        Row::new(idle("memory of each"), kib_each(&created), Unit::Kibibytes).bound(memory_bound),
        Row::new(idle("memory of each, restarted"), kib_each(&restarted), Unit::Kibibytes).bound(memory_bound),
        Row::new(idle("open files of all"), files(&created), Unit::Count).bound(file_bound),
        Row::new(idle("open files of all, restarted"), files(&restarted), Unit::Count).bound(file_bound),
        Row::new(
            format!("idle: no stream, processor in {:?}", scale.idle_time),
            empty.processor_ms,
            Unit::Milliseconds,
        ),
        Row::new(idle(&format!("processor in {:?}", scale.idle_time)), created.processor_ms, Unit::Milliseconds)
            .bound(processor_bound),
        seconds(idle("restart after kill -9"), killed_ready).bound(RESTART_BOUND),
        seconds(idle("restart after SIGTERM"), stopped_ready).bound(RESTART_BOUND),
        seconds(idle("restart after kill -9 while all are used"), used_ready),
    ])
}

/// What a server that has nothing to do takes.
struct Weight {
    resident_kib: u64,
    open_files: u64,
    processor_ms: f64,
}

impl Weight {
    fn of(server: &ServerProcess, time: Duration) -> Result<Self, Failure> {
        let (resident_kib, open_files) = (server.resident_kib()?, server.open_files()?);
        let before = server.processor_time()?;
        std::thread::sleep(time);
        let processor_ms = server.processor_time()?.saturating_sub(before).as_secs_f64() * 1e3;
        Ok(Self { resident_kib, open_files, processor_ms })
    }
}

async fn make_streams(server: &ServerProcess, count: u32) -> Result<(), Failure> {
    for_each_stream(server, count, async |client, name| {
        client.create_stream(NewStream::new(&name)).await?;
        publish_once(&client, &name).await
    })
    .await
}

async fn use_streams(server: &ServerProcess, count: u32) -> Result<(), Failure> {
    for_each_stream(server, count, async |client, name| publish_once(&client, &name).await).await
}

async fn publish_once(client: &Client, name: &str) -> Result<(), Failure> {
    client.publish(name, Outgoing::new(Bytes::from_static(b"once")).ack(AckPolicy::All)).await?;
    Ok(())
}

/// Does something with every stream, several at the same time.
async fn for_each_stream(
    server: &ServerProcess,
    count: u32,
    act: impl AsyncFn(Client, String) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let client = Client::builder([server.address().to_string()]).connect().await?;
    stream::iter(0..count)
        .map(|number| act(client.clone(), format!("idle-{number}")))
        .buffer_unordered(CONCURRENCY)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    client.close().await;
    Ok(())
}

/// Waits until no stream's files are open any more, or for so long that it can only be said that they are.
fn wait_until_parked(server: &ServerProcess, open_files: u64) -> Result<(), Failure> {
    let begun = Instant::now();
    while server.open_files()? > open_files + OPEN_FILES_MAX && begun.elapsed() < PARKED_AFTER_MAX {
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
