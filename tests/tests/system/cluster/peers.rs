//! Who is let into a cluster, and what is refused at start.

use std::process::Stdio;

use liftbridge_tests::admin::admin;
use liftbridge_tests::api::{connect, metadata, stream, wire};
use liftbridge_tests::cluster::Cluster;
use liftbridge_tests::server::{Options, Output, Server, command, within};
use tempfile::TempDir;

#[tokio::test]
async fn a_server_with_another_secret_is_not_let_in_and_says_why() {
    let secret = |text: &str| Options::default().with_config(format!("clustering.secret: {text}"));
    let cluster = Cluster::start(2, &secret("correct horse battery staple")).await;
    let seed = cluster.members[0].running().peer.expect("it listens to others");
    let stranger = secret("another horse battery staple").with_config(format!("clustering.join: \"{seed}\""));
    let directory = TempDir::new().unwrap();
    let options = stranger.with_argument("--cluster-listen").with_argument("127.0.0.1:0");
    let mut command = command(&directory.path().join("data"), &options);
    let mut process = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let said = Output::collect(process.stderr.take().unwrap());
    let line = within("the reason", said.line_with("clustering.secret")).await;
    assert!(line.is_some(), "{}", said.so_far());
    let mut client = connect(cluster.members[1].running()).await;
    client.create_stream(stream("undisturbed")).await.expect("the cluster goes on");
    within("the end of the stranger", process.kill()).await.unwrap();
}

#[tokio::test]
async fn an_open_peer_listener_is_refused_with_what_to_do() {
    let directory = TempDir::new().unwrap();
    let options = Options::default().with_config("clustering.listen: 0.0.0.0:0");
    let refusal = Server::try_start(&directory.path().join("data"), &options).await;
    let line = refusal.expect_err("a refusal").stderr;
    assert!(line.contains("clustering.secret") && line.contains("clustering.tls.cert"), "{line}");
}

#[tokio::test]
async fn a_list_of_founders_makes_one_cluster_of_one_file_for_all() {
    let directory = TempDir::new().unwrap();
    let config = |id: &str, seed: &str| {
        Options::default()
            .with_config("clustering.raft.bootstrap.peers: [a, b]")
            .with_config(format!("clustering.join: [\"{seed}\"]"))
            .with_config("clustering.listen: \"127.0.0.1:0\"")
            .with_argument(format!("--id={id}"))
    };
    // The founder asks nobody who is there, and founds.
    let nobody = "127.0.0.1:1";
    let founder = Server::start_with(&directory.path().join("a"), &config("a", nobody)).await;
    let seed = founder.peer.expect("it listens to others").to_string();
    let joiner = Server::start_with(&directory.path().join("b"), &config("b", &seed)).await;
    let mut client = connect(&joiner).await;
    let told = metadata(&mut client).await.unwrap();
    let mut brokers: Vec<&str> = told.brokers.iter().map(|broker| broker.id.as_str()).collect();
    brokers.sort_unstable();
    assert_eq!(brokers, ["a", "b"]);
}

#[tokio::test]
async fn a_server_that_lost_its_disk_is_let_in_again_once_the_dead_one_is_removed() {
    let mut cluster = Cluster::start(3, &Options::default()).await;
    let request = wire::CreateStreamRequest { replication_factor: 3, ..stream("kept") };
    connect(cluster.members[0].running()).await.create_stream(request).await.expect("the stream can be created");
    cluster.member("node-2").kill().await;
    cluster.until("a smaller set", "node-0", "kept", |partition| partition.isr.len() == 2).await;

    let refusal = cluster.member("node-2").restart_without_data().await.expect_err("a lost disk is not believed");
    assert!(refusal.stderr.contains("liftbridge-admin cluster remove node-2"), "{}", refusal.stderr);
    admin(cluster.members[0].running(), &["cluster", "remove", "node-2"]).await.succeeded();
    cluster.member("node-2").restart_without_data().await.expect("it is a new server now");
    let mut client = connect(cluster.member("node-2").running()).await;
    client.create_stream(stream("anew")).await.expect("it is a member again");
}
