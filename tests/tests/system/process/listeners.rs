//! The HTTP listener: health, readiness, metrics.

use std::collections::HashMap;

use liftbridge_proto::api as wire;
use liftbridge_tests::api::{connect, create, publish_values, read_committed};
use liftbridge_tests::server::Server;
use tempfile::TempDir;

#[tokio::test]
async fn a_serving_server_is_healthy_and_ready() {
    let data = TempDir::new().unwrap();
    let server = Server::start(&data.path().join("data")).await;
    for (path, expected) in [("/health", 200), ("/ready", 200), ("/metrics", 200), ("/unknown", 404)] {
        let (status, body) = server.http_get(path).await;
        assert_eq!(status, expected, "{path}: {body}");
    }
}

/// Samples of the metrics page, summed over their labels.
async fn metrics(server: &Server) -> HashMap<String, f64> {
    let (_, page) = server.http_get("/metrics").await;
    let mut sums = HashMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let name = sample.split('{').next().unwrap_or_default();
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        *sums.entry(name.to_owned()).or_insert(0.0) += value;
    }
    sums
}

#[tokio::test]
async fn metrics_count_what_went_in_and_out() {
    let data = TempDir::new().unwrap();
    let server = Server::start(&data.path().join("data")).await;
    let mut client = connect(&server).await;
    create(&mut client, "counted", 1).await;
    publish_values(&mut client, "counted", 0, &["12345"; 7]).await;
    read_committed(&mut client, "counted", 0).await;
    read_committed(&mut client, "counted", 0).await;
    let metrics = metrics(&server).await;
    let of = |name: &str| metrics.get(name).copied().unwrap_or_else(|| panic!("`{name}` is missing: {metrics:?}"));
    assert_eq!((of("liftbridge_messages_in_total"), of("liftbridge_messages_out_total")), (7.0, 14.0));
    assert_eq!((of("liftbridge_bytes_in_total"), of("liftbridge_bytes_out_total")), (35.0, 70.0));
    assert_eq!(of("liftbridge_isr_count"), 1.0);
    assert!(metrics.keys().any(|name| name.starts_with("liftbridge_request_latency_ms")), "{metrics:?}");
    assert!(metrics.keys().any(|name| name.starts_with("liftbridge_request_latency_seconds")), "{metrics:?}");
    client.delete_stream(wire::DeleteStreamRequest { name: "counted".to_owned() }).await.unwrap();
    let metrics = self::metrics(&server).await;
    assert!(!metrics.contains_key("liftbridge_isr_count"), "the stream is gone: {metrics:?}");
    assert_eq!(metrics.get("liftbridge_messages_in_total"), Some(&7.0));
}
