//! Three servers as one cluster.

mod all_killed;
mod killed_leaders;
mod peers;

use liftbridge_tests::api::{Client, Pipeline, connect, offsets, open, publish, read_committed, stream, values, wire};
use liftbridge_tests::cluster::Cluster;
use liftbridge_tests::server::{Options, within};

const STREAM: &str = "kept";
/// Messages published through each server while all is well, and through the survivors afterwards.
const BATCH: usize = 50;

fn replicated() -> wire::CreateStreamRequest {
    wire::CreateStreamRequest { replication_factor: 3, ..stream(STREAM) }
}

/// Publishes texts under `ALL` through one server, each until it is acknowledged; what was acknowledged, in order.
async fn publish_through(client: &mut Client, prefix: &str) -> Vec<String> {
    let mut pipeline = Pipeline::open(client).await;
    let mut acked = Vec::new();
    for number in 0..BATCH {
        let text = format!("{prefix}-{number}");
        let published = async { while pipeline.publish(publish(STREAM, 0, &text)).await.is_err() {} };
        within("an acknowledged message", published).await;
        acked.push(text);
    }
    acked
}

/// Asserts that everything acknowledged is there, in order for each publisher. A message whose outcome nobody could tell may be
/// there more than once.
#[track_caller]
fn assert_kept(found: &[String], acked: &[Vec<String>]) {
    for texts in acked {
        let prefix = texts[0].rsplit_once('-').expect("texts are numbered").0;
        let mut of_publisher: Vec<&String> = found.iter().filter(|text| text.starts_with(prefix)).collect();
        of_publisher.dedup();
        assert_eq!(of_publisher, texts.iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_was_acked_under_all_outlives_the_leader_which_comes_back_into_the_in_sync_replicas() {
    let mut cluster = Cluster::start(3, &Options::default()).await;
    // Whoever is asked passes it on to the controller.
    let last = cluster.members[2].running();
    connect(last).await.create_stream(replicated()).await.expect("any server creates a stream");
    let mut acked = Vec::new();
    for member in &cluster.members {
        acked.push(publish_through(&mut connect(member.running()).await, &member.id).await);
    }

    let leader = cluster.until("a full set", "node-0", STREAM, |partition| partition.isr.len() == 3).await.leader;
    cluster.member(&leader).kill().await;
    let survivor = cluster.members.iter().find(|member| member.id != leader).expect("two survive").id.clone();
    let wanted = |partition: &wire::PartitionMetadata| !partition.leader.is_empty() && partition.leader != leader;
    let elected = cluster.until("another leader", &survivor, STREAM, wanted).await.leader;
    acked.push(publish_through(&mut connect(cluster.other_than(&leader)).await, "after").await);
    let mut client = connect(cluster.member(&elected).running()).await;
    let kept = read_committed(&mut client, STREAM, 0).await;
    assert_kept(&values(&kept), &acked);

    cluster.member(&leader).restart().await;
    cluster.until("the killed server back in sync", &leader, STREAM, |partition| partition.isr.len() == 3).await;
    let mut client = connect(cluster.member(&leader).running()).await;
    let last = kept.last().expect("messages were kept").offset;
    let from_replica = wire::SubscribeRequest { read_isr_replica: true, ..offsets(STREAM, 0, 0, last) };
    let (copied, _end) = open(&mut client, from_replica).await.expect("a replica in sync serves").to_end().await;
    assert_eq!(copied, kept, "the same messages at the same offsets");
}
