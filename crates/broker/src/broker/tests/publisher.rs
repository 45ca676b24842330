//! Publishes of one client in a row: what is stored is what came, in its order, whatever it has to wait for.

use std::collections::VecDeque;
use std::future::poll_fn;

use super::*;
use crate::admission::AdmissionPermit;
use crate::publisher::{Publisher, Waiting};
use crate::reply_queue::{QueuedOutcome, ReplyQueue};

/// A client with its publisher, and what it was told.
struct Client {
    publisher: Publisher,
    replies: ReplyQueue,
    sent: usize,
}

impl Client {
    fn new(broker: &Broker) -> Self {
        Self { publisher: Publisher::new(broker.clone()), replies: ReplyQueue::new(), sent: 0 }
    }

    fn publish(&mut self, partition: i32, value: &'static str) -> Option<Waiting> {
        let reply = PublishReply::queued(self.replies.clone(), self.sent);
        self.sent += 1;
        self.publisher.publish(Authorized::internal(to("orders", partition, value)), reply)
    }

    /// Takes messages in that need nothing to be waited for.
    #[track_caller]
    fn take_in(&mut self, values: &[&'static str]) {
        for value in values {
            assert!(self.publish(0, value).is_none());
        }
    }

    /// Everything it is told, once it was told of everything; by ticket.
    async fn outcomes(&self) -> Vec<Option<PublishOutcome>> {
        let mut outcomes: Vec<Option<PublishOutcome>> = (0..self.sent).map(|_| None).collect();
        let mut taken = VecDeque::new();
        while outcomes.iter().any(Option::is_none) {
            poll_fn(|context| self.replies.poll_take(context, &mut taken)).await;
            for QueuedOutcome { ticket, outcome } in taken.drain(..) {
                assert!(outcomes[ticket].replace(outcome).is_none(), "an answer is given once");
            }
        }
        outcomes
    }

    /// The offsets of all its messages, none of which was refused.
    async fn offsets(&self) -> Vec<u64> {
        self.outcomes().await.into_iter().map(|outcome| outcome.unwrap().unwrap().offset.get()).collect()
    }
}

/// A broker with a stream of two partitions.
async fn broker_with_orders() -> Broker {
    let broker = start(&MemoryVolume::new()).await;
    create(&broker, CreateStream { partitions: 2, ..stream("orders") }).await;
    broker
}

/// All the room for waiting messages.
async fn everything(broker: &Broker) -> AdmissionPermit {
    broker.node.host.admission().acquire(usize::MAX).await
}

#[tokio::test]
async fn messages_of_a_burst_are_stored_in_their_order() {
    let broker = broker_with_orders().await;
    let mut client = Client::new(&broker);
    client.take_in(&["one", "two", "three"]);
    assert!(client.publisher.hand_over().is_none());
    assert_eq!(client.offsets().await, [0, 1, 2]);
    assert_eq!(values(&broker, "orders", 0).await, ["one", "two", "three"]);
    stop(broker).await;
}

#[tokio::test]
async fn a_burst_that_waits_for_room_stays_ahead_of_what_comes_after_it() {
    let broker = broker_with_orders().await;
    let mut client = Client::new(&broker);
    let everything = everything(&broker).await;
    client.take_in(&["one", "two"]);
    let waiting = client.publish(1, "elsewhere").expect("another partition, and the burst has to wait first");
    drop(everything);
    waiting.await;
    client.take_in(&["three"]);
    assert!(client.publisher.hand_over().is_none());
    assert_eq!(client.offsets().await, [0, 1, 0, 2]);
    assert_eq!(values(&broker, "orders", 0).await, ["one", "two", "three"]);
    stop(broker).await;
}

#[tokio::test]
async fn a_burst_that_waits_for_room_uses_it_without_being_looked_at() {
    let broker = broker_with_orders().await;
    let mut client = Client::new(&broker);
    let everything = everything(&broker).await;
    client.take_in(&["one"]);
    let waiting = client.publisher.hand_over().expect("there is no room");
    drop(everything);
    assert_eq!(client.offsets().await, [0]);
    drop(waiting);
    stop(broker).await;
}

#[tokio::test]
async fn a_burst_whose_client_leaves_while_it_waits_leaves_nothing_behind() {
    let broker = broker_with_orders().await;
    let mut client = Client::new(&broker);
    let everything = everything(&broker).await;
    client.take_in(&["one"]);
    drop(client.publisher.hand_over().expect("there is no room"));
    let closed = client.outcomes().await.remove(0).unwrap();
    assert_eq!(closed.unwrap_err(), PublishError::Closed);
    drop(everything);
    assert_eq!(publish_ok(&broker, "orders", 0, "two").await, 0);
    stop(broker).await;
}

#[tokio::test]
async fn a_burst_that_a_pause_overtakes_resumes_the_partition() {
    for waits_for_room in [false, true] {
        let broker = broker_with_orders().await;
        let mut client = Client::new(&broker);
        client.take_in(&["one", "two"]);
        let everything = if waits_for_room { Some(everything(&broker).await) } else { None };
        let waiting = if waits_for_room { client.publisher.hand_over() } else { None };
        pause(&broker, "orders", &[0], false).await.unwrap();
        drop(everything);
        waiting.or_else(|| client.publisher.hand_over()).expect("the partition has to be resumed").await;
        assert_eq!(client.offsets().await, [0, 1]);
        assert_eq!(values(&broker, "orders", 0).await, ["one", "two"]);
        stop(broker).await;
    }
}

#[tokio::test]
async fn a_message_to_a_paused_partition_comes_behind_the_burst_before_it() {
    let broker = broker_with_orders().await;
    let mut client = Client::new(&broker);
    client.take_in(&["one"]);
    pause(&broker, "orders", &[0], false).await.unwrap();
    client.publish(0, "two").expect("the partition has to be resumed").await;
    assert_eq!(client.offsets().await, [0, 1]);
    assert_eq!(values(&broker, "orders", 0).await, ["one", "two"]);
    stop(broker).await;
}

#[tokio::test]
async fn refusals_come_without_a_hand_over_and_leave_the_burst_alone() {
    let broker = broker_with_orders().await;
    let mut client = Client::new(&broker);
    client.take_in(&["one"]);
    assert!(client.publish(7, "nowhere").is_none());
    client.take_in(&["two"]);
    assert!(client.publisher.hand_over().is_none());
    let mut outcomes = client.outcomes().await.into_iter().map(Option::unwrap);
    assert_eq!(outcomes.next().unwrap().unwrap().offset, Offset::ZERO);
    assert_eq!(outcomes.next().unwrap().unwrap_err(), PublishError::PartitionNotFound { partition: 7 });
    assert_eq!(outcomes.next().unwrap().unwrap().offset, Offset::new(1));
    stop(broker).await;
}
