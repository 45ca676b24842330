//! Weather readings published, each until it is acknowledged, while the leaders of the partitions are killed in turn.
//!
//! Owns when who is killed: the readings are cut into legs, in the middle of each of which a leader goes, and the next one
//! begins when all replicas are in sync again. So every leader that is killed has readings coming, whatever a machine is able
//! to do. What readings are and how they are published is in `readings` and `publishers`.

mod publishers;
mod readings;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::publishers::{Publishers, stall};
use self::readings::Readings;
use super::Failure;
use super::fault::Fault;
use super::hurt::{Outage, WHOLE_MAX, carry_out};
use super::judge::judge;
use super::ledger::Ledger;
use super::nodes::{Means, Nodes};
use super::plan::Plan;
use super::report::Report;
use super::run::create_stream;
use super::schedule::Step;
use crate::weather::Weather;

const STREAM: &str = "weather";
const PARTITIONS: usize = 3;
/// Readings for each of which one leader is killed, at least one of each partition.
const READINGS_PER_KILL: usize = 2_000;
/// How long a leader is down: longer than its session lasts, so that another one takes its place.
const HOLD: Duration = Duration::from_secs(4);
/// How long readings may take to get to where the next leader is killed.
const LEG_MAX: Duration = Duration::from_secs(300);

/// Publishes everything, kills leaders meanwhile, and reads it back from every replica and every disk.
///
/// # Errors
/// When a server does not start, the file cannot be read, or readings stay unacknowledged.
pub(super) async fn run(plan: &Plan, folder: &Path) -> Result<Report, Failure> {
    let source = plan.data.clone().unwrap_or_else(Weather::sample);
    let by_airport = Weather::by_airport(&source).map_err(|error| Failure::new(source.display(), error))?;
    let readings = Arc::new(Readings::new(by_airport, PARTITIONS));
    let mut nodes = Nodes::start(plan.nodes, folder, Means::default(), STREAM).await?;
    let partitions = u32::try_from(PARTITIONS).expect("there are few partitions");
    create_stream(&nodes, STREAM, partitions).await?.close().await;
    nodes.whole(WHOLE_MAX, false).await?;

    let ledger = Arc::new(Ledger::new(PARTITIONS));
    let kills = (readings.count() / READINGS_PER_KILL).max(PARTITIONS);
    println!("{} readings of {} airports, {kills} leaders to kill", readings.count(), readings.airports());
    let publishers = Publishers::start(&nodes.addresses(), STREAM, &readings, kills, &ledger);
    let (outages, mut not_whole) = kill_in_turn(kills, &mut nodes, &publishers, &ledger).await?;
    tokio::time::timeout(LEG_MAX, publishers.finish()).await.map_err(|_| stall(&ledger, LEG_MAX))??;
    let load = ledger.now();

    if let Err(failure) = nodes.whole(WHOLE_MAX, true).await {
        not_whole.push(format!("at the end: {failure}"));
    }
    let told = ledger.told();
    let nothing_seen = vec![Vec::new(); PARTITIONS];
    let identify = |message: &_| readings.identify(message);
    let (judgement, unreadable) =
        judge(&mut nodes, STREAM, &told, &nothing_seen, readings.promised(), &identify).await?;
    not_whole.extend(unreadable.into_iter().map(|failure| failure.to_string()));
    Ok(Report { plan: plan.clone(), load, judgement, outages, told, left_out: Vec::new(), not_whole })
}

/// Kills the leader of one partition after the other; what did not become whole in between is told, too.
async fn kill_in_turn(
    kills: usize,
    nodes: &mut Nodes,
    publishers: &Publishers,
    ledger: &Ledger,
) -> Result<(Vec<Outage>, Vec<String>), Failure> {
    let (mut outages, mut not_whole) = (Vec::new(), Vec::new());
    let mut acked: watch::Receiver<usize> = publishers.acked();
    for leg in 0..kills {
        let middle = publishers.open_leg(leg);
        let reached = tokio::time::timeout(LEG_MAX, acked.wait_for(|acked| *acked >= middle)).await;
        let reached = reached.map_err(|_| stall(ledger, LEG_MAX))?;
        reached.map_err(|_| Failure("the publishers ended early".to_owned()))?;
        let step = Step {
            fault: Fault::KillLeader,
            pause: Duration::ZERO,
            hold: HOLD,
            partition: leg % PARTITIONS,
            is_patient: true,
        };
        let mut happened = carry_out(&step, nodes, ledger).await?;
        if happened.is_empty() {
            not_whole.push(format!("nobody led partition {} when its leader was to be killed", step.partition));
        }
        match nodes.whole(WHOLE_MAX, false).await {
            Ok(()) => happened.iter_mut().for_each(|outage| outage.whole = Some(ledger.now())),
            Err(failure) => not_whole.push(format!("after kill {leg}: {failure}")),
        }
        outages.append(&mut happened);
    }
    Ok((outages, not_whole))
}
