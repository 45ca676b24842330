//! Every setting there is: its name, what it may be, what it is when nobody says, and what becomes of it.
//!
//! Owns the one table that reading, refusing, suggesting and documenting go by. It never knows where a value came from.

use std::fmt;

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A file or a directory.
    Path,
    /// True or false.
    Flag,
    /// A whole number in this range, ends included.
    Integer(i64, i64),
    /// A duration in Go's syntax, or a number of nanoseconds; not negative.
    Duration,
    /// Texts.
    List,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// When appends are forced to the medium: `commit`, `never`, or a duration.
    Sync,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Path => f.write_str("a path"),
            Self::Flag => f.write_str("`true` or `false`"),
            Self::Integer(min, max) if *max == i64::MAX => write!(f, "a whole number from {min}"),
            Self::Integer(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Duration => f.write_str("a duration such as `1h30m`, `250ms` or a number of nanoseconds"),
            Self::List => f.write_str("a list of texts"),
            Self::OneOf(words) => write!(f, "one of `{}`", words.join("`, `")),
            Self::Sync => f.write_str("`commit`, `never` or a duration of at least 1ms"),
        }
    }
}

/// What becomes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It does what it says.
    Works,
    /// It is taken and changes nothing, because there is nothing it could change.
    NoEffect(&'static str),
    /// It belongs to a feature that this version does not have. Only its default, which asks for nothing, is taken.
    Later(&'static str),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its name, dotted and in lower case.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Its value when nobody gives one, as it would be written; `None` = unset.
    pub(crate) default: Option<&'static str>,
    pub(crate) status: Status,
    /// What it does, in a sentence.
    pub(crate) about: &'static str,
}

impl Key {
    /// The environment variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// What the name of every environment variable begins with.
pub(crate) const VARIABLE_PREFIX: &str = "LIFTBRIDGE_";

/// The setting of this name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

const AUTHORIZATION: &str = "authorization";
const NATS: &str = "NATS";
const COMPACTION: &str = "compaction";
const AUTO_PAUSE: &str = "automatic pausing";
const ENCRYPTION: &str = "encryption at rest";
const ACTIVITY: &str = "the activity stream";
const CURSORS: &str = "cursors";
const GROUPS: &str = "consumer groups";
const PUSHED: Status = Status::NoEffect("leaders send to their followers without being asked");
const SILENT: Status = Status::NoEffect("nothing is ever sent anywhere");

const ANY: Kind = Kind::Integer(0, i64::MAX);
const COUNT: Kind = Kind::Integer(0, i32::MAX as i64);
const MIB: i64 = 1024 * 1024;

const fn works(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key { name, kind, default: Some(default), status: Status::Works, about }
}

const fn unset(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, default: None, status: Status::Works, about }
}

const fn later(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    feature: &'static str,
    about: &'static str,
) -> Key {
    Key { name, kind, default, status: Status::Later(feature), about }
}

const fn idle(name: &'static str, kind: Kind, default: &'static str, status: Status, about: &'static str) -> Key {
    Key { name, kind, default: Some(default), status, about }
}

/// The table, in the order of the documentation.
pub(crate) static KEYS: &[Key] = &[
    // Where clients find the server.
    unset(
        "listen",
        Kind::Text,
        "Address the API is served on: `host:port`, `:port` for every interface, or a port alone. Without it `host` (else 127.0.0.1) and `port` are used.",
    ),
    unset(
        "host",
        Kind::Text,
        "Host that clients are told to reach this server at. Without it that of `listen`, else `localhost`.",
    ),
    works(
        "port",
        Kind::Integer(0, 65535),
        "9292",
        "Port of the API where `listen` has none, and the one clients are told. 0 lets the system choose.",
    ),
    works(
        "http.listen",
        Kind::Text,
        "127.0.0.1:9293",
        "Address of `/health`, `/ready` and `/metrics`, written like `listen`; `off` for none.",
    ),
    works(
        "limits.connections",
        Kind::Integer(1, 1_000_000),
        "10000",
        "Most connections to the API at once; more are turned away. Never more than half of the files the process may have open, so that logs can be opened.",
    ),
    works(
        "limits.subscriptions",
        Kind::Integer(1, 10_000_000),
        "65536",
        "Most subscriptions at once; more are refused with RESOURCE_EXHAUSTED.",
    ),
    works(
        "limits.admission.bytes",
        Kind::Integer(MIB, i64::MAX),
        "67108864",
        "Most bytes of messages that wait to be stored, over all partitions; publishers beyond it wait.",
    ),
    works(
        "limits.read.bytes",
        Kind::Integer(MIB, i64::MAX),
        "134217728",
        "Most bytes of messages that were read for subscriptions and wait to be delivered, over all of them; beyond it each has a few messages read at a time, at least one.",
    ),
    // Where data is kept, and how safely.
    unset(
        "data.dir",
        Kind::Path,
        "Directory everything is kept in. Without it `liftbridge/<clustering.namespace>` in `$XDG_STATE_HOME`, else in `~/.local/state`, else in `/var/lib`.",
    ),
    works(
        "log.sync",
        Kind::Sync,
        "commit",
        "When appends are forced to the disk: `commit` before they count as committed, `never`, or at least every so often (`100ms`). What each survives is in docs/log-format.md.",
    ),
    works("batch.max.messages", Kind::Integer(1, 1_000_000), "1024", "Most messages that are appended at once."),
    works("batch.max.time", Kind::Duration, "0s", "How long a batch waits for more messages; 0 = not at all."),
    // What the server says about itself.
    works("logging.level", Kind::OneOf(&["debug", "info", "warn", "error"]), "info", "How much is logged."),
    works("logging.recovery", Kind::Flag, "false", "Log in detail how partitions are opened."),
    works("logging.raft", Kind::Flag, "false", "Log in detail how metadata is agreed on."),
    later("logging.nats", Kind::Flag, Some("false"), NATS, "Log NATS traffic."),
    idle("telemetry.enabled", Kind::Flag, "false", SILENT, "Report usage."),
    idle("telemetry.interval.seconds", COUNT, "86400", SILENT, "How often usage is reported."),
    // TLS.
    unset(
        "tls.cert",
        Kind::Path,
        "Certificate chain of both listeners, PEM. TLS is on with this and `tls.key`. Read again on SIGHUP.",
    ),
    unset("tls.key", Kind::Path, "Key of that certificate, PEM."),
    works("tls.client.auth.enabled", Kind::Flag, "false", "Let in only clients with a certificate."),
    unset(
        "tls.client.auth.ca",
        Kind::Path,
        "Authorities that sign the certificates of clients, PEM; without it those the system trusts.",
    ),
    later(
        "tls.client.authz.enabled",
        Kind::Flag,
        Some("false"),
        AUTHORIZATION,
        "Check what clients do against a policy.",
    ),
    later("tls.client.authz.model", Kind::Path, None, AUTHORIZATION, "The policy's model."),
    later("tls.client.authz.policy", Kind::Path, None, AUTHORIZATION, "The policy."),
    // What applies to streams whose creator does not say otherwise.
    works("streams.retention.max.bytes", ANY, "0", "Most bytes a partition keeps; 0 = no limit."),
    works("streams.retention.max.messages", ANY, "0", "Most messages a partition keeps; 0 = no limit."),
    works("streams.retention.max.age", Kind::Duration, "168h", "How long a message is kept; 0 = no limit."),
    works(
        "streams.cleaner.interval",
        Kind::Duration,
        "5m",
        "How often retention is enforced, at least 1s; 0 = the default.",
    ),
    works("streams.segment.max.bytes", ANY, "268435456", "Size at which a new segment file is begun; 0 = the default."),
    unset(
        "streams.segment.max.age",
        Kind::Duration,
        "Age at which a new segment file is begun, at least 1s. Unset or 0 = `streams.retention.max.age`.",
    ),
    works("streams.concurrency.control", Kind::Flag, "false", "Publishers must name the offset they expect."),
    later(
        "streams.compact.enabled",
        Kind::Flag,
        Some("false"),
        COMPACTION,
        "Keep only the newest message of each key.",
    ),
    later("streams.compact.max.goroutines", COUNT, Some("0"), COMPACTION, "Workers compaction may use."),
    later(
        "streams.auto.pause.time",
        Kind::Duration,
        Some("0s"),
        AUTO_PAUSE,
        "Idle time after which a partition pauses itself.",
    ),
    later(
        "streams.auto.pause.disable.if.subscribers",
        Kind::Flag,
        Some("false"),
        AUTO_PAUSE,
        "Subscribers keep a partition from pausing itself.",
    ),
    later("streams.encryption", Kind::Flag, Some("false"), ENCRYPTION, "Encrypt every stream."),
    // Being one of several.
    unset(
        "clustering.server.id",
        Kind::Text,
        "The server's id when its data directory has none yet, unique in its cluster. Without it a random one.",
    ),
    works(
        "clustering.namespace",
        Kind::Text,
        "liftbridge-default",
        "Name of the cluster; part of the default data directory.",
    ),
    unset(
        "clustering.listen",
        Kind::Text,
        "Address other servers of the cluster find this one at, written like `listen`. Without it 127.0.0.1:9294 where `clustering.join` or `clustering.raft.bootstrap.peers` is set, else nothing is listened on.",
    ),
    unset(
        "clustering.advertise",
        Kind::Text,
        "Address other servers are told to reach this one at, `host:port`. Without it the one that is listened on.",
    ),
    works(
        "clustering.join",
        Kind::List,
        "",
        "Addresses of servers to join the cluster of, as they advertise them; any one of them is enough. Only a server without a past asks.",
    ),
    unset(
        "clustering.rack",
        Kind::Text,
        "What this server shares its fate with, such as a rack or a zone: replicas of a partition are spread over them.",
    ),
    unset(
        "clustering.secret",
        Kind::Text,
        "What servers prove to each other that they know, at least 16 characters; the same on all. It proves and does not encrypt: use certificates on a network others can listen to.",
    ),
    unset("clustering.secret.file", Kind::Path, "File that holds `clustering.secret`."),
    unset(
        "clustering.tls.cert",
        Kind::Path,
        "Certificate chain shown to other servers, PEM, for servers and clients; the subject's common name is `clustering.server.id`. Read again on SIGHUP.",
    ),
    unset("clustering.tls.key", Kind::Path, "Key of that certificate, PEM."),
    unset("clustering.tls.ca", Kind::Path, "Authorities that sign the certificates of the cluster's servers, PEM."),
    works(
        "clustering.session.timeout",
        Kind::Duration,
        "2s",
        "How long a server may be silent before others lead what it leads, from 500ms to 5m. A server is waited for as long as it is told here, or the controller if that is longer.",
    ),
    unset(
        "clustering.min.insync.replicas",
        Kind::Integer(1, i32::MAX as i64),
        "Fewest in-sync replicas that may commit a message. Unset = a majority of the stream's replicas.",
    ),
    works(
        "unclean.leader.election",
        Kind::Flag,
        "false",
        "Let a replica lead that may lack committed messages when no other is left. They are lost then.",
    ),
    works(
        "clustering.replica.max.lag.time",
        Kind::Duration,
        "15s",
        "How long a follower may lag before it leaves the in-sync replicas.",
    ),
    works(
        "clustering.replication.max.bytes",
        Kind::Integer(1024, 64 * MIB),
        "1048576",
        "Most bytes of key, value and headers in one message.",
    ),
    works(
        "clustering.raft.bootstrap.seed",
        Kind::Flag,
        "false",
        "Found the cluster, if this server has no past. So does a server that is told nothing about others.",
    ),
    works(
        "clustering.raft.bootstrap.peers",
        Kind::List,
        "",
        "Ids of the servers that found the cluster: the smallest founds it, the others join it by `clustering.join`.",
    ),
    works("clustering.raft.max.quorum.size", COUNT, "0", "Most servers that vote on metadata; 0 = no limit."),
    works("clustering.raft.snapshot.retain", Kind::Integer(1, 1000), "2", "Snapshots of the metadata that are kept."),
    works(
        "clustering.raft.snapshot.threshold",
        COUNT,
        "8192",
        "Changes of the metadata after which a snapshot is taken; 0 = the default.",
    ),
    idle(
        "clustering.raft.cache.size",
        COUNT,
        "512",
        Status::NoEffect("the log of changes is read from memory anyway"),
        "Changes of the metadata kept in memory.",
    ),
    idle(
        "clustering.replica.max.leader.timeout",
        Kind::Duration,
        "15s",
        Status::NoEffect("a leader that is gone is known by its session, see `clustering.session.timeout`"),
        "How long a leader may be silent before followers report it.",
    ),
    idle(
        "clustering.replica.max.idle.wait",
        Kind::Duration,
        "10s",
        PUSHED,
        "How long an idle follower waits before it asks its leader.",
    ),
    idle(
        "clustering.replica.fetch.timeout",
        Kind::Duration,
        "3s",
        PUSHED,
        "How long a follower waits for its leader's answer.",
    ),
    idle(
        "metadata.cache.max.age",
        Kind::Duration,
        "2m",
        Status::NoEffect("metadata is answered from what is agreed on, never from a cache"),
        "How old answers about brokers may be.",
    ),
    // NATS.
    later("nats.servers", Kind::List, Some(""), NATS, "NATS servers to connect to."),
    later("nats.user", Kind::Text, None, NATS, "User at the NATS servers."),
    later("nats.password", Kind::Text, None, NATS, "Password at the NATS servers."),
    later("nats.tls.cert", Kind::Path, None, NATS, "Certificate shown to the NATS servers."),
    later("nats.tls.key", Kind::Path, None, NATS, "Key of that certificate."),
    later("nats.tls.ca", Kind::Path, None, NATS, "Authorities that sign the certificates of the NATS servers."),
    later("nats.embedded", Kind::Flag, Some("false"), NATS, "Serve NATS from this process."),
    later("nats.embedded.config", Kind::Path, None, NATS, "Configuration of that NATS server."),
    // Streams the server keeps for itself.
    later("activity.stream.enabled", Kind::Flag, Some("false"), ACTIVITY, "Publish what happens to streams."),
    later("activity.stream.publish.timeout", Kind::Duration, Some("5s"), ACTIVITY, "How long such a publish may take."),
    later(
        "activity.stream.publish.ack.policy",
        Kind::OneOf(&["none", "leader", "all"]),
        Some("all"),
        ACTIVITY,
        "What such a publish waits for.",
    ),
    later(
        "cursors.stream.partitions",
        COUNT,
        Some("0"),
        CURSORS,
        "Partitions of the stream cursors are kept in; 0 = no cursors.",
    ),
    later(
        "cursors.stream.replication.factor",
        Kind::Integer(-1, i32::MAX as i64),
        Some("-1"),
        CURSORS,
        "Replicas of that stream; -1 = one on every server.",
    ),
    later(
        "cursors.stream.auto.pause.time",
        Kind::Duration,
        Some("1m"),
        CURSORS,
        "Idle time after which its partitions pause.",
    ),
    later(
        "groups.consumer.timeout",
        Kind::Duration,
        Some("15s"),
        GROUPS,
        "How long a consumer may be silent before it leaves its group.",
    ),
    later(
        "groups.coordinator.timeout",
        Kind::Duration,
        Some("15s"),
        GROUPS,
        "How long consumers wait for their coordinator.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::value::Value;

    #[test]
    fn names_are_lower_case_and_no_two_keys_or_variables_are_the_same() {
        let variables: BTreeSet<String> = KEYS.iter().map(Key::variable).collect();
        assert_eq!(variables.len(), KEYS.len());
        for key in KEYS {
            assert!(key.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'.'), "{}", key.name);
        }
    }

    #[test]
    fn every_default_is_legal() {
        for key in KEYS {
            if let Some(default) = key.default {
                assert!(Value::of_text(default, key.kind).is_some(), "{} = {default}", key.name);
            }
        }
    }
}
