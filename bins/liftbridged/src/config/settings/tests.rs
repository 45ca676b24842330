use super::*;

fn from_file(text: &str) -> Result<Settings, SettingError> {
    let mut settings = Settings::default();
    settings.add_file(Path::new("lift.yaml"), text)?;
    Ok(settings)
}

fn collect(
    variables: &[(&str, &str)],
    flags: Vec<(&'static str, &'static str, Raw)>,
) -> Result<Settings, SettingError> {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Settings::collect(None, variables.collect::<Vec<_>>(), flags)
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    assert_eq!(from_file(text).unwrap_err().to_string(), expected);
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_known_one() {
    check_refused("prot: 1", "Unknown configuration setting \"prot\" in `lift.yaml`; did you mean \"port\"?");
    check_refused(
        "streams.retention.max.byte: 1",
        "Unknown configuration setting \"streams.retention.max.byte\" in `lift.yaml`; did you mean \
         \"streams.retention.max.bytes\"?",
    );
    check_refused("zzzzzzzz: 1", "Unknown configuration setting \"zzzzzzzz\" in `lift.yaml`");
}

#[test]
fn a_setting_out_of_range_says_what_would_be_in_range() {
    check_refused("port: 70000", "`port` in `lift.yaml` is `70000`, it must be a whole number from 0 to 65535");
    check_refused(
        "streams.retention.max.bytes: -1",
        "`streams.retention.max.bytes` in `lift.yaml` is `-1`, it must be a whole number from 0",
    );
    check_refused(
        "limits.read.bytes: 0",
        "`limits.read.bytes` in `lift.yaml` is `0`, it must be a whole number from 1048576",
    );
    check_refused(
        "logging.level: loud",
        "`logging.level` in `lift.yaml` is `loud`, it must be one of `debug`, `info`, `warn`, `error`",
    );
    check_refused(
        "batch.max.time: 1 day",
        "`batch.max.time` in `lift.yaml` is `1 day`, it must be a duration such as `1h30m`, `250ms` or a number of nanoseconds",
    );
    check_refused("port: [1]", "`port` in `lift.yaml` is `[1]`, it must be a whole number from 0 to 65535");
}

#[test]
fn a_setting_given_twice_is_refused() {
    check_refused("port: 1\nPORT: 2\n", "`port` in `lift.yaml` is given twice, keep one of them");
    check_refused("data.dir: a\ndata: {dir: b}\n", "`data.dir` in `lift.yaml` is given twice, keep one of them");
}

#[test]
fn a_setting_of_a_feature_to_come_is_refused_by_name_with_the_feature() {
    for (text, key, feature) in [
        ("nats.embedded: true", "nats.embedded", "NATS"),
        ("nats: {servers: [\"nats://x\"]}", "nats.servers", "NATS"),
        ("activity.stream.enabled: true", "activity.stream.enabled", "the activity stream"),
        ("cursors: {stream.partitions: 1}", "cursors.stream.partitions", "cursors"),
        ("groups.consumer.timeout: 1s", "groups.consumer.timeout", "consumer groups"),
        ("tls.client.authz.enabled: true", "tls.client.authz.enabled", "authorization"),
        ("tls.client.authz.policy: p.csv", "tls.client.authz.policy", "authorization"),
        ("streams.encryption: true", "streams.encryption", "encryption at rest"),
        ("streams.compact.enabled: true", "streams.compact.enabled", "compaction"),
        ("streams.auto.pause.time: 1m", "streams.auto.pause.time", "automatic pausing"),
    ] {
        check_refused(
            text,
            &format!(
                "`{key}` in `lift.yaml` asks for {feature}, which this version of the server does not have; remove it \
                 to start without"
            ),
        );
    }
}

#[test]
fn a_feature_to_come_that_is_switched_off_is_taken() {
    let off = "nats: {embedded: no, servers: []}\nactivity.stream.enabled: false\ncursors.stream.partitions: 0\n\
               streams: {compact.enabled: false, encryption: false, auto.pause.time: 0}\ngroups.consumer.timeout: 15s\n\
               tls.client.authz.enabled: false\ntelemetry.enabled: true\nclustering.raft.bootstrap.seed: true\n";
    from_file(off).unwrap();
}

#[test]
fn no_refusal_shows_a_secret() {
    let refused = from_file("nats: {user: u, password: hunter2}").unwrap_err().to_string();
    assert!(refused.contains("nats.user"), "{refused}");
    let refused = from_file("nats.password: hunter2").unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
    let refused = collect(&[("LIFTBRIDGE_ENCRYPTION_KEY", "hunter2")], Vec::new()).unwrap_err();
    assert!(refused.to_string().starts_with("`LIFTBRIDGE_ENCRYPTION_KEY` asks for encryption at rest"), "{refused}");
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lift.yaml");
    std::fs::write(&path, "port: 1\nhost: file\nlogging.level: warn\n").unwrap();
    let environment = [("LIFTBRIDGE_PORT", "2"), ("LIFTBRIDGE_HOST", "environment"), ("PORT", "9")];
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let flags = vec![("--port", "port", Raw::Text("3".to_owned()))];
    let settings = Settings::collect(Some(&path), environment, flags).unwrap();
    assert_eq!(settings.number("port"), 3);
    assert_eq!(settings.text("host").as_deref(), Some("environment"));
    assert_eq!(settings.text("logging.level").as_deref(), Some("warn"));
    assert_eq!(settings.number("batch.max.messages"), 1024);
}

#[test]
fn the_environment_works_without_a_file_in_its_documented_form() {
    let settings = collect(&[("LIFTBRIDGE_LOGGING_LEVEL", "debug"), ("LIFTBRIDGE_DATA_DIR", "")], Vec::new()).unwrap();
    assert_eq!(settings.text("logging.level").as_deref(), Some("debug"));
    assert_eq!(settings.text("data.dir"), None);
    let refused = collect(&[("LIFTBRIDGE_NATS_SERVERS", "nats://x")], Vec::new()).unwrap_err().to_string();
    assert!(refused.starts_with("`LIFTBRIDGE_NATS_SERVERS` in the environment asks for NATS"), "{refused}");
}

#[test]
fn an_unknown_variable_is_ignored_with_a_warning() {
    let settings =
        collect(&[("LIFTBRIDGE_LOGGING_LEVELS", "debug"), ("LIFTBRIDGE_ADDRESS", "a:1"), ("OTHER", "x")], Vec::new())
            .unwrap();
    assert_eq!(
        settings.warnings,
        ["`LIFTBRIDGE_LOGGING_LEVELS` in the environment is no setting and is ignored; did you mean \
          `LIFTBRIDGE_LOGGING_LEVEL`?"]
    );
}

#[test]
fn the_variable_kubernetes_sets_is_explained() {
    let refused = collect(&[("LIFTBRIDGE_PORT", "tcp://10.0.0.1:9292")], Vec::new()).unwrap_err().to_string();
    assert!(refused.contains("enableServiceLinks: false"), "{refused}");
}

#[test]
fn a_missing_file_is_named() {
    let refused = Settings::collect(Some(Path::new("/nowhere/lift.yaml")), [], Vec::new()).unwrap_err().to_string();
    assert!(refused.starts_with("Failed to load configuration file: `/nowhere/lift.yaml`: "), "{refused}");
}

#[test]
fn a_flag_without_a_value_is_refused() {
    for nothing in ["", " "] {
        let refused = collect(&[], vec![("--data-dir", "data.dir", Raw::Text(nothing.to_owned()))]).unwrap_err();
        assert_eq!(refused.to_string(), "`--data-dir` is given without a value; leave it out to have the default");
    }
}

#[test]
fn a_flag_of_a_feature_to_come_is_refused_by_its_own_name() {
    let refused = collect(&[], vec![("--embedded-nats", "nats.embedded", Raw::Text("true".to_owned()))]).unwrap_err();
    assert!(refused.to_string().starts_with("`--embedded-nats` asks for NATS"), "{refused}");
}
