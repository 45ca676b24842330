//! Leaders killed in turn while everybody publishes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use liftbridge_tests::api::{Client, Pipeline, connect, offsets, open, publish, stream, values, wire};
use liftbridge_tests::cluster::{Cluster, Member};
use liftbridge_tests::server::{Options, within};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

const STREAM: &str = "fire";
const ROUNDS: usize = 3;
/// Acks waited for before and after each kill.
const ACKS: u32 = 200;
/// Publishes of one publisher that may be on their way at once.
const UNDER_WAY_MAX: usize = 32;

/// Publishes unique texts under `ALL` until told to stop or its server is gone; what was acknowledged, by offset. Each ack
/// adds a permit to `acks`. What was refused or never answered may be stored or not; it is not tried again.
async fn fire(
    mut client: Client,
    name: String,
    acks: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
) -> BTreeMap<i64, String> {
    let mut pipeline = Pipeline::open(&mut client).await;
    let (mut acked, mut under_way) = (BTreeMap::new(), HashMap::new());
    let mut sent = 0;
    loop {
        while under_way.len() < UNDER_WAY_MAX && !*stopped.borrow() {
            sent += 1;
            let text = format!("{name}/{sent}");
            let Ok(id) = pipeline.send(publish(STREAM, 0, &text)).await else { return acked };
            under_way.insert(id, text);
        }
        if under_way.is_empty() {
            return acked;
        }
        let Ok(response) = pipeline.next().await else { return acked };
        let text = under_way.remove(&response.correlation_id).expect("an answer to something sent");
        match (response.async_error, response.ack) {
            (None, Some(ack)) => {
                let earlier = acked.insert(ack.offset, text);
                assert_eq!(earlier, None, "offset {} is acknowledged once", ack.offset);
                acks.add_permits(1);
            }
            // Nobody leads at the moment; whoever fires on at full speed starves those who elect.
            _ => tokio::task::yield_now().await,
        }
    }
}

/// What a replica has from the beginning to `last`.
async fn kept(member: &Member, last: i64) -> Vec<wire::Message> {
    let mut client = connect(member.running()).await;
    let request = wire::SubscribeRequest { read_isr_replica: true, ..offsets(STREAM, 0, 0, last) };
    let (messages, _end) = open(&mut client, request).await.expect("a replica in sync serves").to_end().await;
    messages
}

#[tokio::test]
async fn nothing_acked_is_lost_or_changed_on_any_replica_while_leaders_are_killed_in_turn() {
    let mut cluster = Cluster::start(3, &Options::default()).await;
    let request = wire::CreateStreamRequest { replication_factor: 3, ..stream(STREAM) };
    connect(cluster.members[0].running()).await.create_stream(request).await.expect("the stream can be created");
    let mut acked = BTreeMap::new();
    for round in 0..ROUNDS {
        let (acks, stop) = (Arc::new(Semaphore::new(0)), watch::Sender::new(false));
        let mut firing = JoinSet::new();
        for member in &cluster.members {
            let (client, name) = (connect(member.running()).await, format!("{round}/{}", member.id));
            firing.spawn(fire(client, name, Arc::clone(&acks), stop.subscribe()));
        }
        within("acks before the kill", acks.acquire_many(ACKS)).await.unwrap().forget();
        let asked = cluster.members[0].id.clone();
        let leader = cluster.until("a leader", &asked, STREAM, |partition| !partition.leader.is_empty()).await.leader;
        cluster.member(&leader).kill().await;
        let killed = Instant::now();
        // Those that were on their way when it was killed do not count.
        let forgotten = acks.forget_permits(usize::MAX >> 4);
        within("acks after the kill", acks.acquire_many(ACKS)).await.unwrap().forget();
        eprintln!("round {round}: {forgotten} acks on their way, {ACKS} more {:?} after the kill", killed.elapsed());
        stop.send_replace(true);
        for of_publisher in within("the end of the fire", firing.join_all()).await {
            acked.extend(of_publisher);
        }
        cluster.member(&leader).restart().await;
        cluster.until("everybody in sync", &leader, STREAM, |partition| partition.isr.len() == 3).await;
    }

    let last = *acked.keys().last().expect("messages were acknowledged");
    let first = kept(&cluster.members[0], last).await;
    let texts = values(&first);
    for (offset, text) in &acked {
        assert_eq!(texts.get(usize::try_from(*offset).unwrap()), Some(text), "at {offset}");
    }
    for member in &cluster.members[1..] {
        assert_eq!(kept(member, last).await, first, "{} has the same", member.id);
    }
}
