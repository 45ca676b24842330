//! A follower that missed a gigabyte gets it from its leader, beside a bare copy of the same bytes.
//!
//! Three servers keep a stream, one is killed and comes back when its leader has a gigabyte of 1 KiB messages more, all of it in
//! the page cache. What counts is the time from the first bytes in the follower's log until it is in sync again. The bare copy
//! sends the bytes of the leader's log files, read in pieces as large as an append, over one call of the same transport to
//! another process, which writes them to a file and syncs that as often as a follower has to: before more than a leader's
//! window lies unsynced. It checks nothing and answers nothing.
//!
//! On a virtual machine the first use of a page costs more than all of this: the host has to find it. So before either side
//! begins, as many pages are written and let go of again as it will take, and both find the same.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream;
use liftbridge_client::{AckPolicy, Client, Outgoing, PartitionId};
use liftbridge_proto::v1;
use liftbridge_proto::v1::link_message::Message;
use liftbridge_proto::v1::peer_client::PeerClient;
use tokio::runtime::Runtime;
use tonic::transport::Endpoint;

use super::{create, in_sync, number_of, start_cluster};
use crate::figures::{medians, to_f64};
use crate::file_receiver::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};
use crate::process::ServerProcess;
use crate::table::{Bound, Row, Unit};
use crate::{Failure, Scale, directory};

/// Every round takes a gigabyte twice on three disks that are one; more of them show nothing more.
const ROUNDS_MAX: usize = 3;
const REPLICAS: u32 = 3;
const VALUE: Bytes = Bytes::from_static(&[7; 1024]);
/// Publishers that fill the log, each with as much on its way as its client allows.
const PUBLISHERS: u64 = 4;
/// What an append to a follower carries at most, and a piece of the bare copy.
const CHUNK_BYTES: usize = 1024 * 1024;
/// How often is looked whether a follower has begun.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long a follower may take to begin.
const BEGIN_TIME_MAX: Duration = Duration::from_secs(60);

/// Measures catching up and copying.
///
/// # Errors
/// When servers do not become a cluster, lose a message, or the disk fails.
pub(super) fn measure(scale: &Scale) -> Result<Row, Failure> {
    let directory = directory::scratch()?;
    let runtime = Runtime::new()?;
    let mut cluster = start_cluster(directory.path())?;
    let mut round = 0;
    let [ours, copy] = medians(scale.rounds.min(ROUNDS_MAX), || {
        round += 1;
        let caught_up = catch_up(&runtime, &mut cluster, directory.path(), round, scale.catch_up_bytes)?;
        let bytes = log_bytes(&caught_up.leader_log);
        warm_up(directory.path(), bytes)?;
        let copied = runtime.block_on(copy_bare(&caught_up.leader_log, &directory.path().join("copy")))?;
        let rates = [caught_up.time, copied].map(|time| to_f64(bytes) / (1024.0 * 1024.0) / time.as_secs_f64());
        eprintln!("  round {round}: {:.0} MiB/s caught up, {:.0} MiB/s copied", rates[0], rates[1]);
        runtime.block_on(caught_up.client.delete_stream(&caught_up.stream))?;
        Ok(rates)
    })?;
    Ok(Row::new("cluster: a follower catches up, cached", ours, Unit::MebibytesPerSecond)
        .beside(copy)
        .bound(Bound::AtLeast(0.5)))
}

/// A follower that is in sync again.
struct CaughtUp {
    time: Duration,
    leader_log: PathBuf,
    stream: String,
    client: Client,
}

/// Fills a stream of its own while one of its followers is down, and has that catch up.
fn catch_up(
    runtime: &Runtime,
    cluster: &mut Vec<ServerProcess>,
    directory: &Path,
    round: usize,
    bytes: u64,
) -> Result<CaughtUp, Failure> {
    let stream = format!("missed-{round}");
    let connect = |cluster: &[ServerProcess]| {
        let addresses: Vec<String> = cluster.iter().map(|server| server.address().to_string()).collect();
        runtime.block_on(Client::builder(addresses).connect())
    };
    let client = connect(cluster)?;
    runtime.block_on(create(&client, &stream, 1, REPLICAS))?;
    let metadata = runtime.block_on(client.fetch_metadata(&[&stream]))?;
    let leader = metadata.streams.iter().flat_map(|stream| &stream.partitions).find_map(|led| led.leader.clone());
    let leader = number_of(&leader.ok_or("nobody leads")?, &metadata, cluster)?;
    // The founder may be the one that decides about metadata, and is left alone where that is possible.
    let follower = (0..cluster.len()).rev().find(|number| *number != leader).ok_or("there is no follower")?;
    let data = |number: usize| directory.join(format!("member-{number}"));
    let peer_address = cluster[follower].peer_address()?;
    cluster.remove(follower).kill()?;
    runtime.block_on(in_sync(&client, &stream, 2))?;
    runtime.block_on(fill(cluster, &stream, bytes))?;

    let leader_log = partition(&data(leader), &stream)?;
    // A server has no folder for a log before there is something in it.
    let follower_log = data(follower).join(leader_log.strip_prefix(data(leader))?);
    warm_up(directory, log_bytes(&leader_log))?;
    cluster.insert(follower, ServerProcess::member_again(&data(follower), peer_address)?);
    let waiting = Instant::now();
    while log_bytes(&follower_log) == 0 {
        if waiting.elapsed() > BEGIN_TIME_MAX {
            return Err("the follower did not begin to follow".into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let begun = Instant::now();
    runtime.block_on(in_sync(&client, &stream, 3))?;
    let time = begun.elapsed();
    if log_bytes(&follower_log) != log_bytes(&leader_log) {
        return Err("the follower's log is not as long as the leader's".into());
    }
    Ok(CaughtUp { time, leader_log, stream, client: connect(cluster)? })
}

/// Publishes so many bytes of values.
async fn fill(cluster: &[ServerProcess], stream: &str, bytes: u64) -> Result<(), Failure> {
    let count = bytes / VALUE.len() as u64 / PUBLISHERS;
    let publishing = (0..PUBLISHERS).map(|_| async {
        let client = Client::builder(cluster.iter().map(|server| server.address().to_string())).connect().await?;
        let producer = client.producer();
        let mut answers = stream::FuturesUnordered::new();
        for _ in 0..count {
            let message = Outgoing::new(VALUE).partition(PartitionId::new(0).expect("0 is one")).ack(AckPolicy::All);
            answers.push(producer.publish(stream, message).await?);
            while answers.len() > 4096 && answers.next().await.transpose()?.is_some() {}
        }
        while answers.next().await.transpose()?.is_some() {}
        Ok::<_, Failure>(())
    });
    try_join_all(publishing).await?;
    Ok(())
}

/// The folder of a stream's one partition.
fn partition(data: &Path, stream: &str) -> Result<PathBuf, Failure> {
    for entry in fs::read_dir(data.join("streams"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().split_once('-').is_some_and(|(_, name)| name == stream) {
            return Ok(entry.path().join("0"));
        }
    }
    Err(format!("no folder of `{stream}` in {}", data.display()).into())
}

/// The log files of a partition, oldest first.
fn log_files(partition: &Path) -> Vec<PathBuf> {
    // One that is not there yet has none.
    let entries = fs::read_dir(partition).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|found| found == "log")).collect();
    files.sort();
    files
}

fn log_bytes(partition: &Path) -> u64 {
    log_files(partition).iter().filter_map(|file| Some(fs::metadata(file).ok()?.len())).sum()
}

/// Has the system find as many pages as are about to be used.
fn warm_up(directory: &Path, bytes: u64) -> Result<(), Failure> {
    let path = directory.join("warm");
    let mut file = File::create(&path)?;
    let zeros = vec![0; CHUNK_BYTES];
    for _ in 0..=bytes / CHUNK_BYTES as u64 {
        file.write_all(&zeros)?;
    }
    Ok(fs::remove_file(path)?)
}

/// Sends the log files of a partition to a process that writes them down, and returns how long it took until it had.
async fn copy_bare(partition: &Path, target: &Path) -> Result<Duration, Failure> {
    let receiver = ServerProcess::file_receiver(target)?;
    let endpoint = Endpoint::new(format!("http://{}", receiver.address()))?.tcp_nodelay(true);
    let endpoint = endpoint.initial_stream_window_size(STREAM_WINDOW_BYTES);
    let channel = endpoint.initial_connection_window_size(CONNECTION_WINDOW_BYTES).connect().await?;
    let begun = Instant::now();
    let files = log_files(partition).into_iter().map(File::open).collect::<Result<Vec<_>, _>>()?;
    let chunks = files.into_iter().flat_map(|mut file| std::iter::from_fn(move || read_chunk(&mut file)));
    let messages = chunks.map(|bytes| v1::LinkMessage { message: Some(Message::Raft(bytes)) });
    let mut ends = PeerClient::new(channel).link(stream::iter(messages)).await?.into_inner();
    ends.message().await?.ok_or("the receiver ended early")?;
    let time = begun.elapsed();
    if fs::metadata(target)?.len() != log_bytes(partition) {
        return Err("the copy is not as long as the log".into());
    }
    fs::remove_file(target)?;
    Ok(time)
}

/// The next piece of a file; `None` at its end. What cannot be read is found missing in the copy.
fn read_chunk(file: &mut File) -> Option<Bytes> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    let read = file.take(CHUNK_BYTES as u64).read_to_end(&mut chunk).ok()?;
    (read > 0).then(|| chunk.into())
}
