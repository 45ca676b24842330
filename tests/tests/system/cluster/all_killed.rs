//! All servers are killed at once, and one of them comes back with less than it had, or not at all.

use liftbridge_tests::api::{connect, read_committed, values};
use liftbridge_tests::cluster::Cluster;
use liftbridge_tests::server::Options;

use super::{STREAM, assert_kept, publish_through, replicated};

/// A cluster of which all servers were killed after everything was on all three of them, and what was acknowledged.
async fn killed() -> (Cluster, Vec<Vec<String>>) {
    let mut cluster = Cluster::start(3, &Options::default()).await;
    connect(cluster.members[0].running()).await.create_stream(replicated()).await.expect("the stream is created");
    let mut acked = Vec::new();
    for member in &cluster.members {
        acked.push(publish_through(&mut connect(member.running()).await, &member.id).await);
    }
    cluster.until("a full set", "node-0", STREAM, |partition| partition.isr.len() == 3).await;
    for member in &mut cluster.members {
        member.kill().await;
    }
    (cluster, acked)
}

/// Asserts that the partition is led, takes messages under `ALL` and has everything that was acknowledged.
async fn assert_all_there(cluster: &Cluster, mut acked: Vec<Vec<String>>, asked: &str) {
    let leader = cluster.until("a leader", asked, STREAM, |partition| partition.isr.len() >= 2).await.leader;
    let leader = cluster.members.iter().find(|member| member.id == leader).expect("a member leads");
    let mut client = connect(leader.running()).await;
    acked.push(publish_through(&mut client, "after").await);
    assert_kept(&values(&read_committed(&mut client, STREAM, 0).await), &acked);
}

#[tokio::test]
async fn one_server_that_lost_its_partitions_files_undoes_nothing_that_the_others_have() {
    let (mut cluster, acked) = killed().await;
    cluster.members[0].lose_partitions();
    // The one that lost them registers last, and so was the only one in sync.
    let loser = cluster.members.remove(0);
    cluster.restart_all().await;
    cluster.members.push(loser);
    cluster.restart_all().await;
    cluster.until("everybody in sync", "node-0", STREAM, |partition| partition.isr.len() == 3).await;
    assert_all_there(&cluster, acked, "node-1").await;
}

#[tokio::test]
async fn one_server_that_never_comes_back_stops_nothing() {
    let (mut cluster, acked) = killed().await;
    cluster.members.remove(0);
    cluster.restart_all().await;
    assert_all_there(&cluster, acked, "node-1").await;
}
