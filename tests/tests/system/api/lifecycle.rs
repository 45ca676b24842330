//! What clients see of a server's life: health, idle streams, restarts, the end (2.0, 12, 13.2).

use liftbridge_tests::api::{
    Pipeline, connect, create, metadata, open, publish, publish_values, read_committed, subscribe, wire,
};
use liftbridge_tests::server::{Options, Server, within};
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Fixture;

#[tokio::test]
async fn the_health_service_knows_the_api() {
    let fixture = Fixture::start().await;
    let endpoint = Endpoint::from_shared(format!("http://{}", fixture.server.grpc)).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    let check = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["proto.API", ""] {
        let response = health.check(check(service)).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "{service:?}");
    }
    assert_eq!(health.check(check("unknown")).await.expect_err("no such service").code(), Code::NotFound);
}

#[tokio::test]
async fn a_stopping_server_is_unavailable_to_its_subscribers() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "running", 1).await;
    let follow =
        wire::SubscribeRequest { stop_position: wire::StopPosition::StopOnCancel.into(), ..subscribe("running", 0) };
    let subscription = open(&mut fixture.client, follow).await.unwrap();
    fixture.server.stop().await;
    assert_eq!(subscription.to_end().await.1.code(), Code::Unavailable);
}

#[tokio::test]
async fn streams_and_settings_survive_a_restart() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    let server = Server::start(&folder).await;
    let mut client = connect(&server).await;
    create(&mut client, "kept", 2).await;
    create(&mut client, "paused", 1).await;
    create(&mut client, "deleted", 1).await;
    publish_values(&mut client, "kept", 1, &["a", "b"]).await;
    let readonly = wire::SetStreamReadonlyRequest { name: "kept".into(), partitions: vec![0], readonly: true };
    client.set_stream_readonly(readonly).await.unwrap();
    client.pause_stream(wire::PauseStreamRequest { name: "paused".into(), ..Default::default() }).await.unwrap();
    client.delete_stream(wire::DeleteStreamRequest { name: "deleted".into() }).await.unwrap();
    let describe = async |client: &mut liftbridge_tests::api::Client| {
        let mut all = metadata(client).await.unwrap();
        all.stream_metadata.sort_by(|a, b| a.name.cmp(&b.name));
        // The port is another one, and when messages arrived is known to the process that took them.
        all.brokers.iter_mut().for_each(|broker| broker.port = 0);
        for partition in all.stream_metadata.iter_mut().flat_map(|stream| stream.partitions.values_mut()) {
            partition.messages_received_timestamps = None;
        }
        all
    };
    let before = describe(&mut client).await;
    server.stop().await;

    let options = Options::default().with_argument("--server-id").with_argument("another-id");
    let server = Server::start_with(&folder, &options).await;
    let mut client = connect(&server).await;
    assert_eq!(describe(&mut client).await, before, "the stored id wins, everything else is as it was");
    assert_eq!(read_committed(&mut client, "kept", 1).await.len(), 2);
    let mut pipeline = Pipeline::open(&mut client).await;
    assert!(pipeline.publish(publish("kept", 0, "x")).await.is_err(), "still read-only");
    assert_eq!(pipeline.publish(publish("kept", 1, "c")).await.expect("writable").offset, 2);
}

#[tokio::test]
async fn an_idle_pipeline_stays_open_while_others_work() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "busy", 1).await;
    let mut idle = Pipeline::open(&mut fixture.client).await;
    let mut other = connect(&fixture.server).await;
    publish_values(&mut other, "busy", 0, &["a"; 100]).await;
    assert!(idle.publish(publish("busy", 0, "late")).await.is_ok());
}

#[tokio::test]
async fn many_connections_do_not_starve_a_publisher() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "popular", 1).await;
    let follow =
        wire::SubscribeRequest { stop_position: wire::StopPosition::StopOnCancel.into(), ..subscribe("popular", 0) };
    let mut subscriptions = Vec::new();
    for _ in 0..300 {
        let mut client = connect(&fixture.server).await;
        subscriptions.push((open(&mut client, follow.clone()).await.unwrap(), client));
    }
    publish_values(&mut fixture.client, "popular", 0, &["a", "b", "c"]).await;
    for (subscription, _) in &mut subscriptions {
        assert_eq!(subscription.take(3).await.len(), 3);
    }
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let mut fixture = Fixture::start().await;
    create(&mut fixture.client, "left", 1).await;
    let follow =
        wire::SubscribeRequest { stop_position: wire::StopPosition::StopOnCancel.into(), ..subscribe("left", 0) };
    let files = |server: &Server| std::fs::read_dir(format!("/proc/{}/fd", server.process_id())).unwrap().count();
    publish_values(&mut fixture.client, "left", 0, &["a"]).await;
    let before = files(&fixture.server);
    for _ in 0..50 {
        let mut client = connect(&fixture.server).await;
        drop(open(&mut client, follow.clone()).await.unwrap());
    }
    // Each look makes a request, so the server gets to work between them.
    let gone = async {
        while files(&fixture.server) > before {
            publish_values(&mut fixture.client, "left", 0, &["b"]).await;
        }
    };
    within("the end of fifty vanished connections", gone).await;
}
