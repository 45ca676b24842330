//! What ten thousand streams cost that nobody uses at the moment: memory, files, processor time, time to start again.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use liftbridge_proto::api::api_client::ApiClient;
use liftbridge_proto::api::{self, AckPolicy};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use crate::comparison::{Comparison, Effort};
use crate::process::Server;

const STREAMS: usize = 10_000;
/// Requests at once while the streams are made.
const MAKERS: usize = 32;
const MIB: f64 = 1024.0 * 1024.0;
/// How long processor time is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// Ticks in that time that do not count as work: one tick is 10 ms.
const IDLE_TICKS_MAX: f64 = 5.0;
/// How long a server may take to let go of what the streams needed while they were used.
const SETTLING_MAX: Duration = Duration::from_secs(90);

/// An empty server, then one with many streams that were only created, then one where each was used once.
///
/// # Panics
/// When the server does not start or answer.
pub fn measure(effort: Effort) -> Vec<Comparison> {
    let streams = effort.of(STREAMS);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let runtime = Runtime::new().expect("a runtime");
    let empty = Server::liftbridged(&directory.path().join("empty")).resident_bytes();
    let mut comparisons = vec![Comparison::of_limit("idle: an empty server", "MiB", empty as f64 / MIB, 40.0)];
    for (state, used) in [("created", false), ("used once", true)] {
        comparisons.extend(measure_state(&runtime, &directory.path().join(state), state, used, streams));
    }
    comparisons
}

fn measure_state(runtime: &Runtime, data: &Path, state: &str, used: bool, streams: usize) -> Vec<Comparison> {
    let server = Server::liftbridged(data);
    let (empty, files_before) = (server.resident_bytes(), server.open_files());
    runtime.block_on(make_streams(&server.address, streams, used));
    settle(&server, files_before);
    let ticks_before = server.cpu_ticks();
    std::thread::sleep(WATCHED);
    let ticks = server.cpu_ticks() - ticks_before;
    let each = server.resident_bytes().saturating_sub(empty) as f64 / 1024.0 / streams as f64;
    let files = server.open_files().saturating_sub(files_before) as f64 / streams as f64;
    server.stop();
    let restarted = Server::liftbridged(data);
    let seconds = restarted.started_in.as_secs_f64();
    let again = restarted.resident_bytes().saturating_sub(empty) as f64 / 1024.0 / streams as f64;
    restarted.stop();
    let what = |quantity: &str| format!("idle: {streams} streams {state}, {quantity}");
    vec![
        Comparison::of_limit(&what("memory each"), "KiB", each, 10.0),
        Comparison::of_limit(&what("memory each after restart"), "KiB", again, 10.0),
        // A handful of files for the whole server is no file for each stream.
        Comparison::of_limit(&what("open files each"), "files", files, 0.01),
        Comparison::of_limit(&what("CPU over 10 s"), "ticks", ticks as f64, IDLE_TICKS_MAX),
        Comparison::of_limit(&what("restart"), "s", seconds, 5.0),
    ]
}

/// Waits until files are closed and memory no longer shrinks, or for as long as that may take.
fn settle(server: &Server, files_before: usize) {
    let started = Instant::now();
    let mut memory = u64::MAX;
    while started.elapsed() < SETTLING_MAX {
        std::thread::sleep(Duration::from_secs(3));
        let now = server.resident_bytes();
        let is_steady = now >= memory && server.open_files() <= files_before + 8;
        memory = now;
        // A partition parks after ten seconds without use; before that, steady means nothing.
        if is_steady && started.elapsed() > Duration::from_secs(25) {
            return;
        }
    }
}

async fn make_streams(address: &str, streams: usize, used: bool) {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI");
    let client = ApiClient::new(endpoint.connect().await.expect("a ready server accepts connections"));
    let mut tasks = JoinSet::new();
    for maker in 0..MAKERS {
        let client = client.clone();
        tasks.spawn(async move {
            for number in (maker..streams).step_by(MAKERS) {
                make_stream(client.clone(), format!("idle-{number}"), used).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a maker does not panic");
    }
}

async fn make_stream(mut client: ApiClient<Channel>, name: String, used: bool) {
    let request = api::CreateStreamRequest { subject: name.clone(), name: name.clone(), ..Default::default() };
    client.create_stream(request).await.expect("the stream can be created");
    if !used {
        return;
    }
    let mut publish = tonic::Request::new(api::PublishRequest {
        value: Bytes::from_static(b"once"),
        stream: name,
        ack_policy: AckPolicy::All.into(),
        ..Default::default()
    });
    publish.set_timeout(Duration::from_secs(60));
    client.publish(publish).await.expect("the message is stored");
}
