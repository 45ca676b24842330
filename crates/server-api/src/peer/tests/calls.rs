//! Calls between servers.

use std::time::Duration;

use liftbridge_proto::v1;
use tonic::{Code, Request};

use crate::peer::testing::{Means, id, pair};

#[tokio::test]
async fn calls_go_over_the_connection_of_the_link() {
    let (a, _b) = pair(Means::default()).await;
    let mut client = a.links.connection(&id("b")).unwrap().client.clone();
    let answer = client.join(v1::JoinRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.answer, Some(v1::join_answer::Answer::Refused("no, a".to_owned())));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_with_its_connection() {
    let (a, b) = pair(Means::default()).await;
    let mut client = a.links.connection(&id("b")).unwrap().client.clone();
    let mut request = Request::new(v1::ProposeRequest::default());
    request.set_timeout(Duration::from_millis(50));
    assert_eq!(client.propose(request).await.unwrap_err().code(), Code::DeadlineExceeded);
    let unanswered = tokio::spawn(async move { client.propose(v1::ProposeRequest::default()).await });
    b.stop().await;
    unanswered.await.unwrap().unwrap_err();
}
