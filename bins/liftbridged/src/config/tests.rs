use std::path::Path;

use super::*;

fn config(text: &str) -> Result<Config, ConfigError> {
    let mut settings = Settings::default();
    settings.add_file(Path::new("lift.yaml"), text)?;
    Config::new(settings, |name| (name == "HOME").then(|| "/home/ada".into()))
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    assert_eq!(config(text).unwrap_err().to_string(), expected);
}

#[test]
fn nothing_set_means_the_documented_defaults() {
    let config = config("").unwrap();
    assert_eq!(config.addresses.bind.to_string(), "127.0.0.1:9292");
    assert_eq!(config.http.unwrap().to_string(), "127.0.0.1:9293");
    assert_eq!(config.data_directory, Path::new("/home/ada/.local/state/liftbridge/liftbridge-default"));
    assert_eq!(config.stream_defaults, StreamSettings::default());
    assert_eq!((config.sync, config.tls, config.server_id), (SyncPolicy::Commit, None, None));
    assert_eq!((config.batch_messages_max, config.batch_time_max), (1024, Duration::ZERO));
    assert_eq!((config.message_bytes_max, config.admission_bytes_max), (1024 * 1024, 64 * 1024 * 1024));
    assert_eq!(config.read_bytes_max, 128 * 1024 * 1024);
    assert_eq!((config.snapshot_threshold, config.snapshot_retain), (8192, 2));
    assert_eq!(config.logging, Logging { level: "info".to_owned(), recovery: false, raft: false });
    assert!(config.warnings.is_empty());
}

#[test]
fn every_setting_of_a_full_file_reaches_its_place() {
    let config = config(
        "listen: localhost:9293
host: 0.0.0.0
port: 5050
data.dir: /foo
http.listen: off
log.sync: 100ms
batch.max: {messages: 10, time: 1s}
limits: {connections: 5, subscriptions: 6, admission.bytes: 1048576, read.bytes: 2097152}
logging: {level: debug, recovery: true, raft: true}
tls: {cert: c.pem, key: k.pem, client.auth: {enabled: true, ca: ca.pem}}
streams:
  retention.max: {bytes: 1024, messages: 100, age: 1h}
  cleaner.interval: 1m
  segment.max: {bytes: 64, age: 1m}
  concurrency.control: true
clustering:
  server.id: foo
  namespace: bar
  min.insync.replicas: 1
  replication.max.bytes: 2048
  raft.snapshot: {retain: 10, threshold: 100}
",
    )
    .unwrap();
    assert_eq!(config.addresses.bind.to_string(), "localhost:9293");
    assert_eq!((config.addresses.advertised_host.as_str(), config.addresses.advertised_port), ("0.0.0.0", Some(5050)));
    assert_eq!((config.http, config.data_directory.as_path()), (None, Path::new("/foo")));
    assert_eq!(config.sync, SyncPolicy::Interval(Duration::from_millis(100)));
    assert_eq!((config.batch_messages_max, config.batch_time_max), (10, Duration::from_secs(1)));
    assert_eq!((config.connections_max, config.subscriptions_max, config.admission_bytes_max), (5, 6, 1048576));
    assert_eq!(config.read_bytes_max, 2097152);
    assert_eq!(config.logging, Logging { level: "debug".to_owned(), recovery: true, raft: true });
    let tls = TlsFiles {
        certificate: "c.pem".into(),
        key: "k.pem".into(),
        client_authorities: Some(ClientAuthorities::File("ca.pem".into())),
    };
    assert_eq!(config.tls, Some(tls));
    let streams = StreamSettings {
        retention_max_bytes: Some(1024),
        retention_max_messages: Some(100),
        retention_max_age: Some(Duration::from_hours(1)),
        cleaner_interval: Duration::from_mins(1),
        segment_max_bytes: 64,
        segment_max_age: Some(Duration::from_mins(1)),
        min_isr: Some(1),
        optimistic_concurrency_control: true,
    };
    assert_eq!(config.stream_defaults, streams);
    assert_eq!(config.server_id.unwrap().as_str(), "foo");
    assert_eq!(config.message_bytes_max, 2048);
    assert_eq!((config.snapshot_retain, config.snapshot_threshold), (10, 100));
}

#[test]
fn zero_means_no_limit_or_the_default() {
    let text = "streams: {retention.max.age: 0, cleaner.interval: 0, segment.max: {bytes: 0, age: 0}}\n\
                clustering.raft.snapshot.threshold: 0\n";
    let config = config(text).unwrap();
    assert_eq!(config.stream_defaults, StreamSettings { retention_max_age: None, ..StreamSettings::default() });
    assert_eq!(config.snapshot_threshold, 8192);
}

#[test]
fn segments_are_not_rolled_more_often_than_every_second() {
    let config = config("streams.segment.max.age: 1ms").unwrap();
    assert_eq!(config.stream_defaults.segment_max_age, Some(Duration::from_secs(1)));
}

#[test]
fn a_malformed_listen_is_refused() {
    check_refused("listen: abc", "`listen`: Could not parse address string \"abc\", write it as `host:port`");
    check_refused("listen: a:b", "`listen`: Could not parse port \"b\", it must be a number from 0 to 65535");
    check_refused(
        "http.listen: a:70000",
        "`http.listen`: Could not parse port \"70000\", it must be a number from 0 to 65535",
    );
}

#[test]
fn a_host_that_nobody_can_connect_to_is_refused() {
    let reason = "it must be one name or address without port";
    check_refused("host: \"a b\"", &format!("`host`: Could not read host \"a b\", {reason}"));
    check_refused("host: my-host:9292", &format!("`host`: Could not read host \"my-host:9292\", {reason}"));
}

#[test]
fn half_of_tls_is_refused() {
    let both = "`tls.cert` and `tls.key` must be set both or not at all: ";
    check_refused("tls.cert: c.pem", &format!("{both}`tls.key` is missing"));
    check_refused("tls.key: k.pem", &format!("{both}`tls.cert` is missing"));
    check_refused(
        "tls.client.auth.enabled: true",
        "`tls.client.auth.enabled` asks for client certificates, which takes TLS: set `tls.cert` and `tls.key`",
    );
    check_refused(
        "tls: {cert: c, key: k, client.auth.ca: ca.pem}",
        "`tls.client.auth.ca` says whose client certificates are let in, but nobody is asked for one: set \
         `tls.client.auth.enabled: true`, or remove it",
    );
    let config = config("tls: {cert: c, key: k, client.auth.enabled: true}").unwrap();
    assert_eq!(config.tls.unwrap().client_authorities, Some(ClientAuthorities::System));
}

#[test]
fn names_that_would_leave_the_data_directory_are_refused() {
    let reason = "is not a legal name: Name contains '/', which is not allowed";
    check_refused("clustering.namespace: ../x", &format!("`clustering.namespace` {reason}"));
    check_refused("clustering.server.id: a/b", &format!("`clustering.server.id` {reason}"));
}

#[test]
fn one_message_must_fit_what_may_wait() {
    check_refused(
        "limits.admission.bytes: 1048576\nclustering.replication.max.bytes: 2097152",
        "`limits.admission.bytes` is 1048576, it must be at least `clustering.replication.max.bytes`, 2097152",
    );
}

#[test]
fn listening_for_everybody_without_a_host_draws_a_warning() {
    assert_eq!(config("listen: 0.0.0.0:1").unwrap().warnings.len(), 1);
    assert_eq!(config("listen: 0.0.0.0:1\nhost: h").unwrap().warnings, Vec::<String>::new());
}

#[test]
fn an_even_number_of_votes_draws_a_warning() {
    let warnings = |size: u64| config(&format!("clustering.raft.max.quorum.size: {size}")).unwrap().warnings;
    for size in [0, 1, 3, 5] {
        assert_eq!(warnings(size), Vec::<String>::new());
    }
    for size in [2, 4] {
        assert!(
            warnings(size).concat().contains(&format!("is {size}: no more servers may be lost than of {}", size - 1))
        );
    }
}
