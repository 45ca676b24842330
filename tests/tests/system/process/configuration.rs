//! Starting without anything, and refusing what cannot be (section 6).

use std::fs;

use liftbridge_tests::api::{connect, create, metadata};
use liftbridge_tests::server::{Options, Refusal, Server, binary};
use tempfile::TempDir;
use tokio::process::Command;

/// A refusal's one line, after making sure that it is one.
#[track_caller]
fn one_line(refusal: Refusal) -> String {
    assert_ne!(refusal.status.code(), Some(0), "a refusal is no success");
    let lines: Vec<&str> = refusal.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let [line] = lines[..] else { panic!("one line, not {lines:?}") };
    assert!(!line.contains("panicked"), "{line}");
    line.to_owned()
}

/// Starts a server that must refuse, with this configuration file; its one line.
async fn refused(config: &str) -> String {
    let data = TempDir::new().unwrap();
    let options = Options::default().with_config(config);
    let folder = data.path().join("data");
    one_line(Server::try_start(&folder, &options).await.expect_err("a refusal"))
}

#[track_caller]
fn assert_says(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "`{part}` is missing in `{line}`");
    }
}

#[tokio::test]
async fn it_starts_with_no_flag_at_all() {
    let home = TempDir::new().unwrap();
    let mut command = Command::new(binary("liftbridged"));
    // The default ports may be taken on this machine; everything else is as somebody's first try would have it.
    command.env("LIFTBRIDGE_LISTEN", "127.0.0.1:0").env("LIFTBRIDGE_HTTP_LISTEN", "127.0.0.1:0");
    command.env("LIFTBRIDGE_DATA_DIR", home.path().join("data"));
    command.env("HOME", home.path()).current_dir(home.path());
    let server = Server::spawn(&mut command).await.expect("it starts");
    create(&mut connect(&server).await, "first", 1).await;
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let cases = [
        ("streams.retention.max.age.: 1h", &["streams.retention.max.age"][..]),
        ("strems.retention.max.bytes: 1", &["strems.retention.max.bytes", "streams.retention.max.bytes"]),
        ("logging:\n  levle: info", &["logging.levle", "logging.level"]),
        ("prot: 9292", &["prot", "port"]),
    ];
    for (config, parts) in cases {
        assert_says(&refused(config).await, parts);
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_is_refused_with_its_key() {
    let cases = [
        ("logging.level: loud", &["logging.level", "loud"][..]),
        ("streams.retention.max.age: soon", &["streams.retention.max.age", "soon"]),
        ("batch.max.messages: -1", &["batch.max.messages"]),
        ("tls.cert: /missing/cert.pem\ntls.key: /missing/key.pem", &["/missing/"]),
        ("a: [unclosed", &[]),
    ];
    for (config, parts) in cases {
        assert_says(&refused(config).await, parts);
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_is_refused() {
    let cases = [
        ("LISTEN", "nowhere", "nowhere"),
        ("LISTEN", "host:70000", "70000"),
        ("HTTP_LISTEN", "127.0.0.1:many", "many"),
    ];
    for (variable, value, part) in cases {
        let data = TempDir::new().unwrap();
        let mut options = Options::default();
        options.environment.push((format!("LIFTBRIDGE_{variable}"), value.to_owned()));
        let refusal = Server::try_start(&data.path().join("data"), &options).await.expect_err("a refusal");
        assert_says(&one_line(refusal), &[part]);
    }
}

#[tokio::test]
async fn keys_of_later_features_are_refused_by_name_not_ignored() {
    let cases = [
        "tls.client.authz.enabled: true",
        "streams.encryption: true",
        "activity.stream.enabled: true",
        "nats.embedded: true",
        "nats.servers: [nats://127.0.0.1:4222]",
    ];
    for config in cases {
        let key = config.split(':').next().unwrap_or_default();
        assert_says(&refused(config).await, &[key]);
    }
}

#[tokio::test]
async fn keys_of_the_reference_that_change_nothing_here_are_taken() {
    let data = TempDir::new().unwrap();
    let options = Options::default()
        .with_config("telemetry.enabled: true")
        .with_config("clustering.namespace: somewhere")
        .with_config("clustering:\n  server.id: named\n  raft:\n    bootstrap.seed: true")
        .with_config("streams: {retention.max.age: 1h30m, segment.max.bytes: 1048576}");
    let server = Server::start_with(&data.path().join("data"), &options).await;
    let told = metadata(&mut connect(&server).await).await.unwrap();
    assert_eq!(told.brokers[0].id, "named");
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let data = TempDir::new().unwrap();
    let id = async |options: &Options, folder: &str| {
        let server = Server::start_with(&data.path().join(folder), options).await;
        metadata(&mut connect(&server).await).await.unwrap().brokers[0].id.clone()
    };
    let mut options = Options::default().with_config("clustering.server.id: of-the-file");
    assert_eq!(id(&options, "file").await, "of-the-file");
    options.environment.push(("LIFTBRIDGE_CLUSTERING_SERVER_ID".to_owned(), "of-the-environment".to_owned()));
    assert_eq!(id(&options, "environment").await, "of-the-environment");
    let options = options.with_argument("--server-id=of-the-flag");
    assert_eq!(id(&options, "flag").await, "of-the-flag");
}

#[tokio::test]
async fn a_data_directory_in_use_is_refused_and_left_alone() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    let server = Server::start(&folder).await;
    let line = one_line(Server::try_start(&folder, &Options::default()).await.expect_err("a refusal"));
    assert_says(&line, &[folder.to_str().expect("a temporary path is text")]);
    create(&mut connect(&server).await, "unharmed", 1).await;
    server.stop().await;
    Server::start(&folder).await.stop().await;
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_is_refused_in_one_line() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let line = one_line(Server::try_start(&file, &Options::default()).await.expect_err("a refusal"));
    assert_says(&line, &[file.to_str().expect("a temporary path is text")]);
}

#[tokio::test]
async fn a_missing_configuration_file_and_an_unknown_flag_are_refused() {
    let data = TempDir::new().unwrap();
    let missing = Options::default().with_argument("--config").with_argument("/missing/liftbridge.yaml");
    let refusal = Server::try_start(&data.path().join("data"), &missing).await.expect_err("a refusal");
    assert_says(&one_line(refusal), &["/missing/liftbridge.yaml"]);
    let unknown = Options::default().with_argument("--prot=1");
    let refusal = Server::try_start(&data.path().join("data"), &unknown).await.expect_err("a refusal");
    assert!(refusal.stderr.contains("--prot"), "{}", refusal.stderr);
}
