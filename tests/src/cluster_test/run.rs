//! One run from start to verdict. Owns the order of things and every limit on their time; each thing is done elsewhere.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_client::{Client, NewStream, ReplicationFactor};
use tokio::sync::watch;
use tokio::time::Instant;

use super::disk::SmallDisk;
use super::fault::Fault;
use super::hurt::{Outage, WHOLE_MAX, carry_out};
use super::judge::judge;
use super::ledger::Ledger;
use super::message_id::MessageId;
use super::network::Network;
use super::nodes::{Means, Nodes};
use super::plan::{Plan, Scenario};
use super::readers::Readers;
use super::report::Report;
use super::schedule::Schedule;
use super::workload::Load;
use super::{Failure, go_client, weather};
use crate::api::wire;

const STREAM: &str = "cluster-test";
const PARTITIONS: u32 = 6;
const REPLICAS: u32 = 3;
/// How large the disk that is to be filled is: room for what a server keeps anyway, and for the load.
const DISK_BYTES: u64 = 256 << 20;
const DISK_BYTES_PER_SECOND: u64 = 1 << 20;
/// The load goes on for so long after the last fault, so that an outage at the end is seen to end.
const LAST_PAUSE: Duration = Duration::from_secs(3);

/// Starts the servers, hurts them under load, and reads everything back. Data and logs stay in `folder`.
///
/// # Errors
/// When a server does not start or stop, or does not give back what it keeps.
pub async fn run(plan: &Plan, folder: &Path) -> Result<Report, Failure> {
    match plan.scenario {
        Scenario::Weather => weather::run(plan, folder).await,
        Scenario::All | Scenario::Only(_) => run_faults(plan, folder).await,
    }
}

async fn run_faults(plan: &Plan, folder: &Path) -> Result<Report, Failure> {
    let (faults, means, mut left_out) = allowed(plan, folder);
    let program = go_client::build(folder).await?;
    let mut nodes = Nodes::start(plan.nodes, folder, means, STREAM).await?;
    let client = create_stream(&nodes, STREAM, PARTITIONS).await?;
    nodes.whole(WHOLE_MAX, false).await?;

    let ledger = Arc::new(Ledger::new(usize::try_from(PARTITIONS).expect("it is small")));
    let (end, over) = watch::channel(false);
    let load = Load {
        ledger: Arc::clone(&ledger),
        servers: nodes.addresses(),
        stream: STREAM.to_owned(),
        partitions: PARTITIONS,
        seed: plan.seed,
        over,
    };
    let mut publishers = load.start();
    match program {
        Some(program) => drop(publishers.spawn(go_client::run(program, load.clone()))),
        None => left_out.push("the Go client: Go is not installed here".to_owned()),
    }
    let readers = Readers::start(&client, &load);
    let schedule = Schedule::new(plan.seed, faults, usize::try_from(PARTITIONS).expect("it is small"));
    let (outages, mut not_whole) = hurt(plan, schedule, &mut nodes, &ledger).await?;
    end.send_replace(true);
    let load_time = ledger.now();
    publishers.join_all().await;

    if let Err(failure) = nodes.whole(WHOLE_MAX, true).await {
        not_whole.push(format!("at the end: {failure}"));
    }
    let seen = readers.finish().await;
    let told = ledger.told();
    let identify = |message: &wire::Message| MessageId::of(&message.key, &message.value);
    let (judgement, unreadable) = judge(&mut nodes, STREAM, &told, &seen, &[], &identify).await?;
    not_whole.extend(unreadable.into_iter().map(|failure| failure.to_string()));
    Ok(Report { plan: plan.clone(), load: load_time, judgement, outages, told, left_out, not_whole })
}

/// The faults this machine allows, what they take, and what is left out.
fn allowed(plan: &Plan, folder: &Path) -> (Vec<Fault>, Means, Vec<String>) {
    let mut faults = plan.scenario.faults();
    let (mut means, mut left_out) = (Means::default(), Vec::new());
    if faults.iter().any(|fault| fault.needs_network()) {
        match Network::make(plan.nodes) {
            Ok(network) => means.network = Some(network),
            Err(failure) => left_out.push(format!("cuts of the network: {failure}")),
        }
    }
    if faults.iter().any(|fault| fault.needs_disk()) {
        let path = folder.join(format!("node-{}", plan.nodes - 1));
        match SmallDisk::mount(&path, DISK_BYTES + plan.load.as_secs() * DISK_BYTES_PER_SECOND) {
            Ok(disk) => means.disk = Some(disk),
            Err(failure) => left_out.push(format!("a full disk: {failure}")),
        }
    }
    faults.retain(|fault| {
        (means.network.is_some() || !fault.needs_network()) && (means.disk.is_some() || !fault.needs_disk())
    });
    (faults, means, left_out)
}

/// Creates a stream that three servers keep; a client of it.
pub(super) async fn create_stream(nodes: &Nodes, name: &str, partitions: u32) -> Result<Client, Failure> {
    let addresses: Vec<String> = nodes.addresses().iter().map(ToString::to_string).collect();
    let client = Client::builder(addresses).connect().await.map_err(|error| Failure::new("no client", error))?;
    let stream = NewStream::new(name).partitions(partitions).replication_factor(ReplicationFactor::Count(REPLICAS));
    client.create_stream(stream).await.map_err(|error| Failure::new("no stream", error))?;
    Ok(client)
}

/// Carries out the schedule for as long as there is load. What did not become whole in between is told, too.
async fn hurt(
    plan: &Plan,
    schedule: Schedule,
    nodes: &mut Nodes,
    ledger: &Ledger,
) -> Result<(Vec<Outage>, Vec<String>), Failure> {
    let (mut outages, mut not_whole) = (Vec::new(), Vec::new());
    for step in schedule {
        // Every step ends before the load does.
        if ledger.now() + step.pause + step.hold + LAST_PAUSE > plan.load {
            break;
        }
        tokio::time::sleep_until(Instant::now() + step.pause).await;
        let mut happened = carry_out(&step, nodes, ledger).await?;
        if step.is_patient {
            match nodes.whole(WHOLE_MAX, false).await {
                Ok(()) => happened.iter_mut().for_each(|outage| outage.whole = Some(ledger.now())),
                Err(failure) => not_whole.push(format!("after {}: {failure}", step.fault)),
            }
        }
        outages.append(&mut happened);
    }
    let rest = plan.load.saturating_sub(ledger.now());
    tokio::time::sleep_until(Instant::now() + rest.max(LAST_PAUSE)).await;
    Ok((outages, not_whole))
}
