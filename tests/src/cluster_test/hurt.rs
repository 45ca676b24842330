//! Carrying out one step of a schedule. Owns who is hurt, how, and that it ends; never when it happens or what it does to
//! publishers.

use std::time::Duration;

use super::Failure;
use super::disk::SmallDisk;
use super::fault::Fault;
use super::ledger::Ledger;
use super::network::Network;
use super::nodes::Nodes;
use super::schedule::Step;
use super::view::PartitionView;

/// How long a cluster may take to be whole again before that counts as a failure of its own.
pub(super) const WHOLE_MAX: Duration = Duration::from_secs(60);

/// A fault that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) fault: Fault,
    /// Who was hurt.
    pub(super) victims: Vec<String>,
    /// The partitions they led.
    pub(super) partitions: Vec<usize>,
    /// When, from the start of the run.
    pub(super) began: Duration,
    /// When it was over.
    pub(super) ended: Duration,
    /// When all replicas were in sync again, if that was waited for.
    pub(super) whole: Option<Duration>,
}

/// Does what a step says and waits until it is over. Nothing happens when nobody can say who leads.
pub(super) async fn carry_out(step: &Step, nodes: &mut Nodes, ledger: &Ledger) -> Result<Vec<Outage>, Failure> {
    if step.fault != Fault::RollingRestart {
        let Some(victims) = victims(step, nodes).await else { return Ok(Vec::new()) };
        return Ok(vec![hurt(step, &victims, nodes, ledger).await?]);
    }
    let mut outages = Vec::new();
    for victim in 0..nodes.all.len() {
        // Whoever restarts servers one after the other waits in between, or takes two at once.
        nodes.whole(WHOLE_MAX, false).await?;
        outages.push(hurt(step, &[victim], nodes, ledger).await?);
    }
    Ok(outages)
}

async fn hurt(step: &Step, victims: &[usize], nodes: &mut Nodes, ledger: &Ledger) -> Result<Outage, Failure> {
    let ids: Vec<String> = victims.iter().map(|&victim| nodes.all[victim].id.clone()).collect();
    let view = nodes.view().await.unwrap_or_default();
    let is_led = |of: &PartitionView| of.leader.as_ref().is_some_and(|leader| ids.contains(leader));
    let partitions: Vec<usize> = (0..view.len()).filter(|&partition| is_led(&view[partition])).collect();
    let began = ledger.now();
    println!("{:7.1} s  {} {} (leads {})", began.as_secs_f64(), step.fault, ids.join(" "), partitions.len());
    begin(step.fault, victims, nodes).await?;
    if step.fault != Fault::RollingRestart {
        tokio::time::sleep_until(tokio::time::Instant::now() + step.hold).await;
    }
    end(step.fault, victims, nodes).await?;
    let ended = ledger.now();
    println!("{:7.1} s  {} over", ended.as_secs_f64(), step.fault);
    Ok(Outage { fault: step.fault, victims: ids, partitions, began, ended, whole: None })
}

async fn victims(step: &Step, nodes: &Nodes) -> Option<Vec<usize>> {
    let view = nodes.view().await?;
    let partition = view.get(step.partition)?;
    let leader = || nodes.number(partition.leader.as_ref()?);
    let victims = match step.fault {
        Fault::KillLeader
        | Fault::FreezeLeader
        | Fault::CutLeader
        | Fault::CutLeaderOut
        | Fault::CutLeaderIn
        | Fault::UnplugLeader => vec![leader()?],
        Fault::KillFollower => {
            let follower = partition.replicas.iter().find(|id| Some(*id) != partition.leader.as_ref())?;
            vec![nodes.number(follower)?]
        }
        Fault::KillController | Fault::FreezeController => vec![nodes.controller()?],
        Fault::KillMajority => {
            let first = leader()?;
            let count = nodes.all.len();
            (first..first + count / 2 + 1).map(|number| number % count).collect()
        }
        Fault::FullDisk => vec![nodes.all.len() - 1],
        Fault::KillAll | Fault::RollingRestart => (0..nodes.all.len()).collect(),
    };
    // One that is down cannot be hurt more.
    victims.iter().all(|&victim| nodes.all[victim].is_up()).then_some(victims)
}

async fn begin(fault: Fault, victims: &[usize], nodes: &mut Nodes) -> Result<(), Failure> {
    for &victim in victims {
        match fault {
            Fault::KillLeader | Fault::KillFollower | Fault::KillController | Fault::KillMajority | Fault::KillAll => {
                nodes.all[victim].kill().await;
            }
            Fault::FreezeLeader | Fault::FreezeController => nodes.all[victim].freeze(),
            Fault::RollingRestart => nodes.all[victim].stop().await?,
            Fault::FullDisk => nodes.means.disk.as_ref().map_or(Ok(()), SmallDisk::fill)?,
            Fault::CutLeader | Fault::CutLeaderOut | Fault::CutLeaderIn => {
                each_way(fault, victim, nodes, Network::cut)?;
            }
            Fault::UnplugLeader => nodes.means.network.as_ref().map_or(Ok(()), |network| network.unplug(victim))?,
        }
    }
    Ok(())
}

async fn end(fault: Fault, victims: &[usize], nodes: &mut Nodes) -> Result<(), Failure> {
    match fault {
        Fault::KillLeader
        | Fault::KillFollower
        | Fault::KillController
        | Fault::KillMajority
        | Fault::KillAll
        | Fault::RollingRestart => nodes.start_again(victims).await,
        Fault::FreezeLeader | Fault::FreezeController => {
            victims.iter().for_each(|&victim| nodes.all[victim].thaw());
            Ok(())
        }
        Fault::FullDisk => nodes.means.disk.as_ref().map_or(Ok(()), SmallDisk::free),
        Fault::CutLeader | Fault::CutLeaderOut | Fault::CutLeaderIn => {
            let heal = |&victim: &usize| each_way(fault, victim, nodes, Network::heal);
            victims.iter().try_for_each(heal)
        }
        Fault::UnplugLeader => {
            let Some(network) = &nodes.means.network else { return Ok(()) };
            victims.iter().try_for_each(|&victim| network.plug_in(victim))
        }
    }
}

/// Does something to every way between the victim and another server that a cut is about.
fn each_way(
    fault: Fault,
    victim: usize,
    nodes: &Nodes,
    act: impl Fn(&Network, usize, usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(network) = &nodes.means.network else { return Ok(()) };
    for other in (0..nodes.all.len()).filter(|&other| other != victim) {
        if fault != Fault::CutLeaderIn {
            act(network, victim, other)?;
        }
        if fault != Fault::CutLeaderOut {
            act(network, other, victim)?;
        }
    }
    Ok(())
}
