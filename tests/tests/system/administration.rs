//! What people who run a cluster see of it: a server alone, and three of which some die.

use liftbridge_tests::admin::{Ran, admin};
use liftbridge_tests::api::{Pipeline, connect, create, open, publish, publish_values, stream, subscribe, wire};
use liftbridge_tests::cluster::Cluster;
use liftbridge_tests::damage::{files, find, flip_bit, partition_directories};
use liftbridge_tests::server::{Options, Server, within};
use serde_json::Value;
use tempfile::TempDir;
use tonic::Code;

async fn json(server: &Server, arguments: &[&str]) -> Value {
    let mut all = vec!["--format", "json"];
    all.extend(arguments);
    json_of(&admin(server, &all).await.succeeded())
}

fn json_of(said: &str) -> Value {
    serde_json::from_str(said).expect("one line of JSON")
}

async fn health(server: &Server) -> Ran {
    admin(server, &["cluster", "health"]).await
}

/// Asks for the cluster's health until it ends like this; what it said then.
async fn until_health(server: &Server, code: i32) -> Ran {
    within("another health", async {
        loop {
            let said = health(server).await;
            if said.code == code {
                return said;
            }
        }
    })
    .await
}

/// Asks for the cluster's health until this is among the reasons; what it said then.
async fn until_health_says(server: &Server, reason: &str) -> Ran {
    within("another reason", async {
        loop {
            let said = health(server).await;
            if said.stderr.contains(reason) {
                return said;
            }
        }
    })
    .await
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

/// The value of a metric without labels.
async fn gauge(server: &Server, name: &str) -> f64 {
    let (_, page) = server.http_get("/metrics").await;
    let line = page.lines().find(|line| line.split(' ').next() == Some(name));
    let value = line.and_then(|line| line.rsplit_once(' ')).and_then(|(_, value)| value.parse().ok());
    value.unwrap_or_else(|| panic!("`{name}` is missing in:\n{page}"))
}

#[tokio::test]
async fn a_server_alone_is_a_healthy_cluster_of_one() {
    let data = TempDir::new().unwrap();
    let options =
        Options::default().with_argument("--id").with_argument("solo").with_argument("--rack").with_argument("r1");
    let server = Server::start_with(&data.path().join("data"), &options).await;
    let mut client = connect(&server).await;
    create(&mut client, "orders", 2).await;
    publish_values(&mut client, "orders", 0, &["x"; 3]).await;

    let status = json(&server, &["cluster", "status"]).await;
    assert_eq!(
        (&status["controller"], &status["streams"], &status["partitions"]),
        (&"solo".into(), &1.into(), &2.into())
    );
    assert_eq!((&status["troubled"], &status["cut_off"]), (&Value::Array(Vec::new()), &false.into()));
    let members = json(&server, &["cluster", "members"]).await;
    let member = &members[0];
    for (field, expected) in [("id", "solo"), ("state", "live"), ("vote", "voter"), ("rack", "r1")] {
        assert_eq!(member[field], expected, "{member}");
    }
    assert_eq!(
        (&member["controller"], &member["partitions"], &member["leaders"]),
        (&true.into(), &2.into(), &2.into())
    );
    assert_eq!(member["address"].as_str().unwrap().rsplit_once(':').unwrap().1, server.grpc.port().to_string());

    let well = health(&server).await;
    assert_eq!((well.code, well.stdout.as_str(), well.stderr.as_str()), (0, "healthy\n", ""));
    let explained = admin(&server, &["partitions", "explain", "orders", "0"]).await.succeeded();
    assert_says(
        &explained,
        &["leader     solo", "in sync    1 of 1", "committed to 3, written to 3", "waits for nothing"],
    );
    for (name, expected) in [
        ("liftbridge_controller", 1.0),
        ("liftbridge_partitions_leaderless", 0.0),
        ("liftbridge_partitions_under_replicated", 0.0),
        ("liftbridge_partitions_at_min_isr", 0.0),
        ("liftbridge_partitions_offline", 0.0),
        ("liftbridge_partitions_damaged", 0.0),
    ] {
        assert_eq!(gauge(&server, name).await, expected, "{name}");
    }
    let (_, page) = server.http_get("/metrics").await;
    assert_says(&page, &["liftbridge_replication_lag_ms{stream=\"orders\"} 0", "liftbridge_replication_lag_seconds{"]);
}

#[tokio::test]
async fn a_stream_that_wants_more_in_sync_replicas_than_there_are_degrades_the_cluster() {
    let data = TempDir::new().unwrap();
    let server = Server::start(&data.path().join("data")).await;
    admin(&server, &["streams", "create", "--name", "careful", "--min-isr", "2"]).await.succeeded();
    let degraded = health(&server).await;
    assert_eq!(degraded.code, 1);
    assert_says(&degraded.stdout, &["degraded\n", "careful", "below minimum"]);
    assert_says(&degraded.stderr, &["error: the cluster is degraded: 1 partitions at or below their minimum"]);
    let explained = json(&server, &["partitions", "explain", "careful", "0"]).await;
    assert_eq!(explained["waits_for"][0], "too few replicas are in sync: 1, and it takes 2");
    assert_eq!(gauge(&server, "liftbridge_partitions_at_min_isr").await, 1.0);
}

/// Of files that failed nobody else knows, and nothing that is agreed on says it.
#[tokio::test]
async fn damage_degrades_the_cluster_and_a_log_that_cannot_be_written_makes_it_unavailable() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data).await;
    let mut client = connect(&server).await;
    let segment_max_bytes = Some(wire::NullableInt64 { value: 200 });
    let request = wire::CreateStreamRequest { partitions: 2, segment_max_bytes, ..stream("orders") };
    client.create_stream(request).await.unwrap();
    for partition in [0, 1] {
        publish_values(&mut client, "orders", partition, &["here it is"; 3]).await;
    }
    server.stop().await;
    let [first, second] = &partition_directories(&data)[..] else { panic!("two partitions") };
    let segment = files(first, "log").remove(0);
    flip_bit(&segment, find(&segment, b"here it is").expect("the first value"));

    let server = Server::start(&data).await;
    let mut client = connect(&server).await;
    std::fs::remove_dir_all(second).unwrap();
    std::fs::write(second, "in the way of the next segment").unwrap();
    let refused = Pipeline::open(&mut client).await.publish(publish("orders", 1, "here it is")).await.unwrap_err();
    assert_says(&refused.message, &["cannot create"]);
    let (_, end) = open(&mut client, subscribe("orders", 0)).await.unwrap().to_end().await;
    assert_eq!(end.code(), Code::DataLoss);
    let unavailable = until_health_says(&server, "1 partitions damaged").await;
    assert_eq!(unavailable.code, 2);
    assert_says(&unavailable.stdout, &["unavailable\n", "1 partitions offline at", "offline: ", "damaged: offsets 0"]);
    let troubles = &json_of(&admin(&server, &["--format", "json", "cluster", "health"]).await.stdout)["servers"][0];
    assert_eq!((&troubles["partitions_offline"], &troubles["partitions_damaged"]), (&1.into(), &1.into()));
    let described = json(&server, &["streams", "describe", "orders"]).await;
    assert!(described["partitions"][1]["offline"].is_string() && described["partitions"][0]["offline"].is_null());
    let described = admin(&server, &["streams", "describe", "orders"]).await.succeeded();
    assert_says(&described, &["active", "offline"]);
    let explained = admin(&server, &["partitions", "explain", "orders", "0"]).await.succeeded();
    assert_says(&explained, &["damaged: offsets 0"]);
    for name in ["liftbridge_partitions_offline", "liftbridge_partitions_damaged"] {
        assert_eq!(gauge(&server, name).await, 1.0, "{name}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_to_do() {
    let data = TempDir::new().unwrap();
    let server =
        Server::start_with(&data.path().join("data"), &Options::default().with_argument("--id").with_argument("a"))
            .await;
    for (arguments, text) in [
        (&["cluster", "remove", "a"][..], "broker `a` is running: stop it first"),
        (&["cluster", "remove", "b"][..], "the cluster has no member `b` (`liftbridge-admin cluster members` shows"),
        (&["partitions", "explain", "orders", "0"][..], "no known stream `orders` (`liftbridge-admin streams list`"),
    ] {
        let refused = admin(&server, arguments).await;
        assert_eq!(refused.code, 1, "{arguments:?}: {}", refused.stderr);
        assert_says(&refused.stderr, &[text]);
    }
}

#[tokio::test]
async fn a_dead_member_degrades_the_cluster_and_one_that_was_removed_is_missed() {
    let mut cluster = Cluster::start(3, &Options::default()).await;
    let request = wire::CreateStreamRequest { replication_factor: 3, ..stream("orders") };
    connect(cluster.members[0].running()).await.create_stream(request).await.expect("a stream");
    let well = until_health(cluster.members[0].running(), 0).await;
    assert_says(&well.stdout, &["healthy"]);
    let members = json(cluster.members[1].running(), &["cluster", "members"]).await;
    assert_eq!(members.as_array().map(Vec::len), Some(3), "{members}");

    let leader = cluster.until("a leader", "node-0", "orders", |partition| !partition.leader.is_empty()).await.leader;
    let dead = cluster.members.iter().find(|member| member.id != leader).expect("three members").id.clone();
    cluster.member(&dead).kill().await;
    let survivor = cluster.other_than(&dead);
    let degraded = until_health_says(survivor, &format!("not heard of: `{dead}`")).await;
    assert_eq!(degraded.code, 1);
    assert_says(&degraded.stderr, &["1 partitions under-replicated"]);
    let status = admin(survivor, &["cluster", "status"]).await.succeeded();
    assert_says(&status, &["fenced", "orders", "at minimum, under-replicated"]);
    // Wherever it is asked, the leader answers.
    let explained = admin(survivor, &["partitions", "explain", "orders", "0"]).await.succeeded();
    assert_says(&explained, &["in sync    2 of 3", "out of sync, fenced", "down", "waits for nothing"]);

    admin(survivor, &["cluster", "remove", &dead]).await.succeeded();
    let without = admin(survivor, &["cluster", "health"]).await;
    assert_eq!(without.code, 1, "nobody is there to keep the third replica");
    assert_says(&without.stdout, &["1 partitions under-replicated"]);
    assert!(!without.stdout.contains("not heard of"), "{}", without.stdout);
    let members = json(survivor, &["cluster", "members"]).await;
    let left = members.as_array().expect("a list").iter().filter(|member| member["state"] == "live").count();
    assert_eq!(left, 2, "{members}");
}

#[tokio::test]
async fn a_server_left_alone_says_that_nothing_is_decided_any_more() {
    let mut cluster = Cluster::start(3, &Options::default()).await;
    let request = wire::CreateStreamRequest { replication_factor: 3, ..stream("orders") };
    connect(cluster.members[0].running()).await.create_stream(request).await.expect("a stream");
    until_health(cluster.members[2].running(), 0).await;
    for dead in ["node-0", "node-1"] {
        cluster.member(dead).kill().await;
    }
    let alone = cluster.members[2].running();
    let unavailable = until_health(alone, 2).await;
    assert_says(&unavailable.stdout, &["unavailable", "controller"]);
    let explained = json(alone, &["partitions", "explain", "orders", "0"]).await;
    assert!(explained["waits_for"].as_array().is_some_and(|reasons| !reasons.is_empty()), "{explained}");
}
