use std::time::Duration;

use futures_util::stream;
use liftbridge_proto::api::api_client::ApiClient;
use liftbridge_proto::api::{AckPolicy, PublishRequest};
use tonic::transport::Channel;

use crate::metrics_page::MetricsPage;
use crate::server::testing::{Fixture, PATIENCE};

fn message(ack_policy: AckPolicy) -> PublishRequest {
    PublishRequest { stream: "foo".into(), ack_policy: ack_policy.into(), ..PublishRequest::default() }
}

/// Publishes more than a window of messages that nobody wants an answer to.
async fn flood_without_answers() {
    const MESSAGES: usize = 50_000;
    let mut fixture = Fixture::with_stream("foo").await;
    for _ in 0..5 {
        let messages = stream::iter((0..MESSAGES).map(|_| message(AckPolicy::None)));
        let mut answers = fixture.client.publish_async(messages).await.unwrap().into_inner();
        let end = tokio::time::timeout(PATIENCE, answers.message()).await.expect("the call goes on by itself");
        assert_eq!(end.unwrap(), None);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_window_of_messages_without_answers_is_followed_by_the_next() {
    flood_without_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_of_messages_without_answers_is_followed_by_the_next_on_several_threads() {
    flood_without_answers().await;
}

#[tokio::test]
async fn clients_that_do_not_read_their_answers_keep_nobody_else_from_publishing() {
    let mut fixture = Fixture::with_admission("foo", 1024 * 1024).await;
    let narrow = Channel::from_shared(format!("http://{}", fixture.server.grpc_address())).unwrap();
    let channel = narrow.initial_stream_window_size(1000).connect().await.unwrap();
    let mut unread = Vec::new();
    for _ in 0..16 {
        let messages = stream::iter((0..8000).map(|_| message(AckPolicy::Leader)));
        unread.push(ApiClient::new(channel.clone()).publish_async(messages).await.unwrap());
    }
    for _ in 0..20 {
        let published = tokio::time::timeout(Duration::from_secs(10), fixture.publish("foo", "x")).await;
        published.expect("room that was given back is used by whoever is next").unwrap();
    }
    drop((unread, channel));
    fixture.stop().await;
}

#[tokio::test]
async fn an_id_that_nobody_has_room_for_is_refused() {
    let mut fixture = Fixture::with_stream("foo").await;
    let long = PublishRequest { correlation_id: "x".repeat(1025), ..message(AckPolicy::All) };
    let longest = PublishRequest { correlation_id: "x".repeat(1024), ..message(AckPolicy::All) };
    let mut answers = fixture.client.publish_async(stream::iter([long, longest])).await.unwrap().into_inner();
    let refused = answers.message().await.unwrap().unwrap();
    let error = refused.async_error.unwrap();
    assert_eq!(error.message, "Correlation id is 1025 bytes long, the limit is 1024");
    let acked = answers.message().await.unwrap().unwrap();
    assert_eq!((acked.async_error, acked.correlation_id.len()), (None, 1024));
    fixture.stop().await;
}

#[tokio::test]
async fn every_message_is_timed_by_what_became_of_it() {
    let (recorder, page) = MetricsPage::with_recorder();
    let counting = metrics::set_default_local_recorder(&recorder);
    let mut fixture = Fixture::with_stream("foo").await;
    let elsewhere = PublishRequest { stream: "bar".into(), ..message(AckPolicy::All) };
    let meaningless = PublishRequest { ack_policy: 9, ..message(AckPolicy::All) };
    let stored = [AckPolicy::All, AckPolicy::Leader, AckPolicy::None].into_iter().map(message);
    let messages: Vec<PublishRequest> = stored.cycle().take(300).chain([elsewhere, meaningless]).collect();
    let mut answers = fixture.client.publish_async(stream::iter(messages)).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
    let page = page.render();
    for line in [
        "liftbridge_request_latency_seconds_bucket{rpc=\"PublishAsync\",code=\"ok\",le=\"+Inf\"} 300",
        "liftbridge_request_latency_ms_count{rpc=\"PublishAsync\",code=\"ok\"} 300",
        "liftbridge_request_latency_ms_count{rpc=\"PublishAsync\",code=\"not_found\"} 1",
        "liftbridge_request_latency_ms_count{rpc=\"PublishAsync\",code=\"invalid_argument\"} 1",
        "# TYPE liftbridge_log_sync_seconds histogram",
        "# TYPE liftbridge_append_batch_messages histogram",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    assert!(page.contains("liftbridge_append_batch_messages_bucket{le=\"64\"}"), "{page}");
    fixture.stop().await;
    drop(counting);
}
