//! Calls between servers, and messages that are forwarded.

use std::time::Duration;

use liftbridge_broker::{
    Command, Heartbeat, HeartbeatAnswer, Join, JoinAnswer, LogIndex, PeerError, Peers, ProposeAnswer, Publish,
    PublishError, PublishReply, Rejection,
};
use liftbridge_types::{AckPolicy, BrokerIncarnation, Message};

use crate::peer::pairs::LinkEvent;
use crate::peer::testing::{Means, Node, id, pair, within};

const SECRET: &str = "correct horse battery staple";

fn join(name: &str) -> Join {
    Join {
        broker_id: id(name),
        directory_id: "d".to_owned(),
        peer_address: "h:1".to_owned(),
        namespace: "namespace".to_owned(),
        cluster_id: None,
        raft_id: None,
        feature_levels: 1..=2,
    }
}

fn publish(text: &'static str) -> Publish {
    Publish {
        stream: "s".into(),
        partition: 0,
        message: Message { value: text.into(), ..Message::default() },
        arrived_on: None,
        ack_policy: AckPolicy::All,
        expected_offset: -1,
    }
}

#[tokio::test]
async fn calls_are_answered() {
    let (a, b) = pair(Means::secret(SECRET)).await;
    let refused = JoinAnswer::Refused { reason: "no, a".to_owned() };
    assert_eq!(a.peers.join(&b.address(), join("a")).await, Ok(refused));
    let posing = JoinAnswer::Refused { reason: "`broker_id` is missing or makes no sense".to_owned() };
    assert_eq!(a.peers.join(&b.address(), join("c")).await, Ok(posing));
    let (incarnation, applied) = (BrokerIncarnation::new(1), LogIndex::new(1));
    let beat = Heartbeat { broker_id: id("a"), incarnation, applied };
    assert_eq!(a.peers.heartbeat(&id("b"), beat).await, Ok(HeartbeatAnswer::Alive));
    let remove = Command::RemoveBroker(liftbridge_broker::RemoveBroker { id: id("c"), forced: false });
    let proposed = a.peers.propose(&id("b"), remove, Duration::from_secs(20)).await;
    assert_eq!(proposed, Ok(ProposeAnswer::Rejected(Rejection::StreamExists)));
}

#[tokio::test]
async fn a_call_without_a_connection_was_not_sent_and_one_without_an_answer_may_have_happened() {
    let (a, b) = pair(Means::default()).await;
    let patience = Duration::from_millis(50);
    let unknown = a.peers.propose(&id("b"), Command::SetFeatureLevel(2), patience).await;
    assert!(matches!(unknown, Err(PeerError::Unknown { .. })), "{unknown:?}");
    let peers = a.peers.clone();
    let patience = Duration::from_secs(600);
    let cut = tokio::spawn(async move { peers.propose(&id("b"), Command::SetFeatureLevel(2), patience).await });
    let address = b.address();
    b.stop().await;
    let cut = within("the end of a cut call", cut).await.unwrap();
    a.until("b", LinkEvent::Down).await;
    assert!(matches!(cut, Err(PeerError::Unknown { .. } | PeerError::NotSent { .. })), "{cut:?}");
    let not_sent = a.peers.propose(&id("b"), Command::SetFeatureLevel(2), patience).await;
    assert!(matches!(not_sent, Err(PeerError::NotSent { .. })), "{not_sent:?}");
    let not_sent = a.peers.join(&address, join("a")).await;
    assert!(matches!(not_sent, Err(PeerError::NotSent { .. })), "{not_sent:?}");
}

#[tokio::test]
async fn forwarded_messages_are_answered_each_by_its_own() {
    let (a, _b) = pair(Means::default()).await;
    let (reply, slow) = PublishReply::one();
    a.peers.publish(&id("b"), publish(""), reply);
    let mut answers = Vec::new();
    for text in ["one", "two", "three"] {
        let (reply, answer) = PublishReply::one();
        a.peers.publish(&id("b"), publish(text), reply);
        answers.push((text, answer));
    }
    for (text, answer) in answers {
        let outcome = within("an answer", answer).await.unwrap();
        assert_eq!(outcome.unwrap_err(), PublishError::Offline { reason: text.to_owned() });
    }
    drop(slow);
}

#[tokio::test]
async fn a_forwarded_message_whose_connection_breaks_may_have_been_stored_and_one_without_any_was_not() {
    let (a, b) = pair(Means::default()).await;
    let (reply, answer) = PublishReply::one();
    a.peers.publish(&id("b"), publish(""), reply);
    b.stop().await;
    assert_eq!(within("an answer", answer).await.unwrap().unwrap_err(), PublishError::Closed);
    a.until("b", LinkEvent::Down).await;
    for peer in ["b", "nobody"] {
        let (reply, answer) = PublishReply::one();
        a.peers.publish(&id(peer), publish("one"), reply);
        assert_eq!(within("an answer", answer).await.unwrap().unwrap_err(), PublishError::NotLeader);
    }
}

#[tokio::test]
async fn a_server_that_starts_is_asked_again_later() {
    let a = Node::start("a", Means::default()).await;
    let starting = Node::unready().await;
    let refused = a.peers.join(&starting.address().to_string(), join("a")).await;
    assert!(matches!(refused, Err(PeerError::NotSent { .. })), "it does not know who it is: {refused:?}");
    starting.peers().introduce(&id("b"), None);
    assert_eq!(a.peers.join(&starting.address().to_string(), join("a")).await, Ok(JoinAnswer::Starting));
}
