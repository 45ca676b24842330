//! Pausing, and what resumes a partition.

use super::*;

#[tokio::test]
async fn publishing_resumes_one_partition_or_all_of_them() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, CreateStream { partitions: 3, ..stream("orders") }).await;
    publish_ok(&broker, "orders", 0, "before").await;
    pause(&broker, "orders", &[], false).await.unwrap();
    assert_eq!(paused(&broker, "orders"), [true, true, true]);
    let refused = broker.subscribe(Authorized::internal(reading("orders", 0))).await.unwrap_err();
    assert_eq!(refused, SubscribeError::Paused);
    let refused = broker.describe_partition(&Authorized::internal(()), "orders", 0);
    assert_eq!(refused, Err(DescribeError::NotLeader));
    assert_eq!(publish_ok(&broker, "orders", 0, "after").await, 1);
    assert_eq!(paused(&broker, "orders"), [false, true, true]);
    assert_eq!(values(&broker, "orders", 0).await, ["before", "after"]);
    pause(&broker, "orders", &[0], true).await.unwrap();
    publish_ok(&broker, "orders", 2, "all").await;
    assert_eq!(paused(&broker, "orders"), [false, false, false]);
    stop(broker).await;
}

#[tokio::test]
async fn subscribing_resumes_when_it_is_asked_to() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    create(&broker, stream("orders")).await;
    publish_ok(&broker, "orders", 0, "one").await;
    pause(&broker, "orders", &[0], false).await.unwrap();
    stop(broker).await;
    let broker = start(&volume).await;
    assert_eq!(paused(&broker, "orders"), [true], "a pause outlives the server");
    let request = Subscribe { resume: true, ..reading("orders", 0) };
    let mut subscription = broker.subscribe(Authorized::internal(request)).await.unwrap();
    assert_eq!(subscription.next().await.unwrap().len(), 1);
    assert_eq!(paused(&broker, "orders"), [false]);
    stop(broker).await;
}

#[tokio::test]
async fn a_paused_partition_is_described_as_before_after_a_restart() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    create(&broker, CreateStream { partitions: 2, ..stream("orders") }).await;
    publish_ok(&broker, "orders", 0, "one").await;
    publish_ok(&broker, "orders", 0, "two").await;
    pause(&broker, "orders", &[], false).await.unwrap();
    let ends = |broker: &Broker| -> Vec<_> {
        let described = broker.describe_stream(&Authorized::internal(()), "orders").unwrap();
        described.partitions.iter().map(|partition| (partition.log_end, partition.high_watermark)).collect()
    };
    let before = ends(&broker);
    let (two, none) = (Some(Offset::new(2)), Some(Offset::ZERO));
    assert_eq!(before, [(two, two), (none, none)]);
    stop(broker).await;
    let broker = start(&volume).await;
    assert_eq!(ends(&broker), before);
    assert_eq!(paused(&broker, "orders"), [true, true], "nobody has resumed them");
    stop(broker).await;
}

#[tokio::test]
async fn many_publishers_resume_a_partition_once() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    pause(&broker, "orders", &[], false).await.unwrap();
    create(&broker, stream("before")).await;
    let mut publishers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let broker = broker.clone();
        publishers.spawn(async move { publish_ok(&broker, "orders", 0, "x").await });
    }
    let mut offsets = publishers.join_all().await;
    offsets.sort_unstable();
    assert_eq!(offsets, (0..50).collect::<Vec<u64>>());
    create(&broker, stream("after")).await;
    // A stream's id is its place in the metadata log: one command stands between the two.
    let id = |name| broker.node.streams.get(name).unwrap().id.get();
    assert_eq!(id("after") - id("before"), 2);
    stop(broker).await;
}

#[tokio::test]
async fn a_readonly_partition_refuses_publishes_through_pause_and_restart() {
    let volume = MemoryVolume::new();
    let broker = start(&volume).await;
    create(&broker, CreateStream { partitions: 2, ..stream("orders") }).await;
    set_readonly(&broker, "orders", &[1], true).await.unwrap();
    pause(&broker, "orders", &[], false).await.unwrap();
    let readonly =
        |outcome: PublishOutcome| assert!(matches!(outcome, Err(PublishError::Readonly { .. })), "{outcome:?}");
    readonly(publish(&broker, to("orders", 1, "x")).await);
    assert_eq!(paused(&broker, "orders"), [true, true], "a refused publish resumes nothing");
    publish_ok(&broker, "orders", 0, "x").await;
    stop(broker).await;
    let broker = start(&volume).await;
    readonly(publish(&broker, to("orders", 1, "x")).await);
    set_readonly(&broker, "orders", &[], false).await.unwrap();
    publish_ok(&broker, "orders", 1, "x").await;
    stop(broker).await;
}

/// Drives a publish to the point where it has found its partition and waits to be admitted, pauses the partition, and lets
/// it go on.
async fn pause_before_handover(broker: &Broker, publishing: impl Future<Output = ()>) {
    let everything = broker.node.host.admission().acquire(usize::MAX).await;
    let mut publishing = std::pin::pin!(publishing);
    assert!(tokio::time::timeout(Duration::ZERO, &mut publishing).await.is_err(), "nothing more is admitted");
    pause(broker, "orders", &[], false).await.unwrap();
    drop(everything);
    publishing.await;
}

#[tokio::test]
async fn a_publish_that_a_pause_overtakes_resumes_the_partition() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    let (reply, outcome) = PublishReply::one();
    pause_before_handover(&broker, broker.publish(Authorized::internal(to("orders", 0, "one")), reply)).await;
    assert_eq!(outcome.await.unwrap().unwrap().offset, Offset::ZERO);

    let request =
        PublishToSubject { subject: "orders".to_owned(), message: message("two"), ack_policy: AckPolicy::All };
    let (reply, outcome) = PublishReply::one();
    pause_before_handover(&broker, broker.publish_to_subject(Authorized::internal(request), reply, None)).await;
    assert_eq!(outcome.await.unwrap().unwrap().offset, Offset::new(1));
    assert_eq!(values(&broker, "orders", 0).await, ["one", "two"]);
    assert_eq!(paused(&broker, "orders"), [false]);
    stop(broker).await;
}

#[tokio::test]
async fn a_publish_that_a_pause_overtook_is_stored_even_if_its_publisher_leaves() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    let everything = broker.node.host.admission().acquire(usize::MAX).await;
    let (reply, outcome) = PublishReply::one();
    let mut publishing = Box::pin(broker.publish(Authorized::internal(to("orders", 0, "one")), reply));
    assert!(tokio::time::timeout(Duration::ZERO, &mut publishing).await.is_err(), "nothing more is admitted");
    pause(&broker, "orders", &[], false).await.unwrap();
    drop(everything);
    tokio::select! {
        biased;
        () = &mut publishing => panic!("the resumption takes longer than one look"),
        () = std::future::ready(()) => drop(publishing),
    }
    assert_eq!(outcome.await.unwrap().unwrap().offset, Offset::ZERO);
    stop(broker).await;
}

#[tokio::test]
async fn a_publish_that_a_pause_overtook_is_refused_when_nothing_can_resume_the_partition() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    let stream = broker.node.streams.get("orders").unwrap();
    let replica = stream.replicas().next().unwrap();
    let everything = broker.node.host.admission().acquire(usize::MAX).await;
    let (reply, outcome) = PublishReply::one();
    let request = PublishToSubject { subject: "orders".to_owned(), message: message("x"), ack_policy: AckPolicy::All };
    let mut publishing = Box::pin(broker.publish_to_subject(Authorized::internal(request), reply, None));
    assert!(tokio::time::timeout(Duration::ZERO, &mut publishing).await.is_err(), "nothing more is admitted");
    replica.pause().await;
    // As a deletion begins, whose command has not reached the partition yet.
    broker.node.forget(&stream);
    drop(everything);
    publishing.await;
    assert_eq!(outcome.await.unwrap().unwrap_err(), PublishError::StreamNotFound { stream: "orders".to_owned() });
    stop(broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_publishes_keep_their_order_through_any_number_of_pauses() {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, stream("orders")).await;
    let pausing = tokio::spawn({
        let broker = broker.clone();
        async move {
            for _ in 0..50 {
                pause(&broker, "orders", &[], false).await.unwrap();
            }
        }
    });
    let mut outcomes = Vec::new();
    while outcomes.len() < 500 || !pausing.is_finished() {
        let (reply, outcome) = PublishReply::one();
        broker.publish(Authorized::internal(to("orders", 0, "x")), reply).await;
        outcomes.push(outcome);
    }
    for (index, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.await.unwrap().unwrap().offset, Offset::new(index as u64));
    }
    pausing.await.unwrap();
    stop(broker).await;
}
