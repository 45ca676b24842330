//! From what was set to what the server is started with.
//!
//! Owns what settings mean together, and every default that depends on another. It never starts anything.

mod addresses;
mod clustering;
mod data_directory;
mod documentation;
mod file;
mod go_duration;
mod keys;
mod malformed;
mod nearest;
mod settings;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use liftbridge_commitlog::SyncPolicy;
use liftbridge_server_api::{ClientAuthorities, TlsFiles};
use liftbridge_types::{BrokerId, InvalidName, StreamSettings};
use thiserror::Error;

pub(crate) use addresses::HostPort;
use addresses::{AddressError, Addresses, bind_address, check_host, is_wildcard, resolve};
pub(crate) use clustering::{Clustering, ClusteringError, PeerListening, SecretSource};
pub(crate) use documentation::Documentation;
pub(crate) use settings::{SettingError, Settings};
pub(crate) use value::Raw;

/// What the server is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) addresses: Addresses,
    /// `None` = no HTTP listener.
    pub(crate) http: Option<HostPort>,
    pub(crate) data_directory: PathBuf,
    /// `None` = a random one.
    pub(crate) server_id: Option<BrokerId>,
    pub(crate) logging: Logging,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) sync: SyncPolicy,
    pub(crate) batch_messages_max: usize,
    pub(crate) batch_time_max: Duration,
    pub(crate) message_bytes_max: usize,
    pub(crate) admission_bytes_max: usize,
    pub(crate) read_bytes_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) subscriptions_max: usize,
    pub(crate) snapshot_threshold: u64,
    pub(crate) snapshot_retain: usize,
    pub(crate) stream_defaults: StreamSettings,
    /// The name of the cluster.
    pub(crate) namespace: String,
    pub(crate) clustering: Clustering,
    /// Things to tell the operator once there is a log.
    pub(crate) warnings: Vec<String>,
}

/// How much is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logging {
    pub(crate) level: String,
    pub(crate) recovery: bool,
    pub(crate) raft: bool,
}

/// Settings that make no sense together. Every text is one line that says what to do.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ConfigError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Clustering(#[from] ClusteringError),
    #[error("`listen`: {0}")]
    Listen(AddressError),
    #[error("`host`: {0}")]
    Host(AddressError),
    #[error("`http.listen`: {0}")]
    HttpListen(AddressError),
    #[error("`{key}` is not a legal name: {reason}")]
    Name { key: &'static str, reason: InvalidName },
    #[error("`tls.cert` and `tls.key` must be set both or not at all: `{missing}` is missing")]
    HalfTls { missing: &'static str },
    #[error("`tls.client.auth.enabled` asks for client certificates, which takes TLS: set `tls.cert` and `tls.key`")]
    ClientAuthWithoutTls,
    #[error(
        "`tls.client.auth.ca` says whose client certificates are let in, but nobody is asked for one: set \
         `tls.client.auth.enabled: true`, or remove it"
    )]
    AuthorityForNobody,
    #[error(
        "`limits.admission.bytes` is {admission}, it must be at least `clustering.replication.max.bytes`, {message}"
    )]
    AdmissionTooSmall { admission: usize, message: usize },
}

impl Config {
    /// What the settings mean together. `variable` looks up an environment variable that is not a setting.
    pub(crate) fn new(
        settings: Settings,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Self, ConfigError> {
        let namespace = settings.text("clustering.namespace").unwrap_or_default();
        check_name("clustering.namespace", &namespace)?;
        let message_bytes_max = size(&settings, "clustering.replication.max.bytes");
        let admission_bytes_max = size(&settings, "limits.admission.bytes");
        if admission_bytes_max < message_bytes_max {
            return Err(ConfigError::AdmissionTooSmall { admission: admission_bytes_max, message: message_bytes_max });
        }
        let addresses = addresses(&settings)?;
        let mut warnings = settings.warnings.clone();
        warnings.extend(unreachable_host(&addresses, settings.text("host").is_some()));
        warnings.extend(even_quorum(settings.number("clustering.raft.max.quorum.size")));
        let server_id = server_id(&settings)?;
        let clustering = Clustering::new(&settings, server_id.as_ref())?;
        Ok(Self {
            addresses,
            http: http(&settings)?,
            data_directory: settings.path("data.dir").unwrap_or_else(|| data_directory::default(&namespace, variable)),
            server_id,
            logging: logging(&settings),
            tls: tls(&settings)?,
            sync: settings.sync("log.sync"),
            batch_messages_max: size(&settings, "batch.max.messages"),
            batch_time_max: settings.duration("batch.max.time"),
            message_bytes_max,
            admission_bytes_max,
            read_bytes_max: size(&settings, "limits.read.bytes"),
            connections_max: size(&settings, "limits.connections"),
            subscriptions_max: size(&settings, "limits.subscriptions"),
            snapshot_threshold: positive(settings.number("clustering.raft.snapshot.threshold")).unwrap_or(8192),
            snapshot_retain: size(&settings, "clustering.raft.snapshot.retain"),
            stream_defaults: stream_defaults(&settings),
            namespace,
            clustering,
            warnings,
        })
    }
}

fn addresses(settings: &Settings) -> Result<Addresses, ConfigError> {
    let (listen, host) = (settings.text("listen"), settings.text("host"));
    host.as_deref().map_or(Ok(()), check_host).map_err(ConfigError::Host)?;
    let port = u16::try_from(settings.number("port")).unwrap_or(u16::MAX);
    resolve(listen.as_deref(), host.as_deref(), port, settings.is_given("port")).map_err(ConfigError::Listen)
}

/// The server listens for other machines and tells them to look for it on their own.
fn unreachable_host(addresses: &Addresses, host_given: bool) -> Option<String> {
    let unreachable = is_wildcard(&addresses.bind.host) && !host_given;
    unreachable.then(|| {
        "clients are told to reach this server at `localhost`; set `host` to the name other machines know it by"
            .to_owned()
    })
}

/// More servers would vote without more of them being allowed to be lost.
fn even_quorum(voters_max: u64) -> Option<String> {
    let is_even = voters_max > 0 && voters_max.is_multiple_of(2);
    is_even.then(|| {
        let (fewer, more) = (voters_max - 1, voters_max.saturating_add(1));
        format!(
            "`clustering.raft.max.quorum.size` is {voters_max}: no more servers may be lost than of {fewer} that vote; set it \
             to {more}, or to {fewer}"
        )
    })
}

fn http(settings: &Settings) -> Result<Option<HostPort>, ConfigError> {
    match settings.text("http.listen") {
        None => Ok(None),
        Some(off) if off.eq_ignore_ascii_case("off") || off.eq_ignore_ascii_case("false") => Ok(None),
        Some(listen) => bind_address(&listen, "127.0.0.1").map(Some).map_err(ConfigError::HttpListen),
    }
}

fn server_id(settings: &Settings) -> Result<Option<BrokerId>, ConfigError> {
    const KEY: &str = "clustering.server.id";
    let id = settings.text(KEY).map(|id| check_name(KEY, &id)).transpose()?;
    Ok(id)
}

fn check_name(key: &'static str, name: &str) -> Result<BrokerId, ConfigError> {
    BrokerId::new(name).map_err(|reason| ConfigError::Name { key, reason })
}

fn logging(settings: &Settings) -> Logging {
    Logging {
        level: settings.text("logging.level").unwrap_or_default(),
        recovery: settings.flag("logging.recovery"),
        raft: settings.flag("logging.raft"),
    }
}

fn tls(settings: &Settings) -> Result<Option<TlsFiles>, ConfigError> {
    let wants_client_certificates = settings.flag("tls.client.auth.enabled");
    if !wants_client_certificates && settings.path("tls.client.auth.ca").is_some() {
        return Err(ConfigError::AuthorityForNobody);
    }
    let (certificate, key) = match (settings.path("tls.cert"), settings.path("tls.key")) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if wants_client_certificates => return Err(ConfigError::ClientAuthWithoutTls),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(ConfigError::HalfTls { missing: "tls.key" }),
        (None, Some(_)) => return Err(ConfigError::HalfTls { missing: "tls.cert" }),
    };
    let authorities = settings.path("tls.client.auth.ca").map_or(ClientAuthorities::System, ClientAuthorities::File);
    Ok(Some(TlsFiles { certificate, key, client_authorities: wants_client_certificates.then_some(authorities) }))
}

fn stream_defaults(settings: &Settings) -> StreamSettings {
    let built_in = StreamSettings::default();
    let limit = |name| positive(settings.number(name));
    let age = |name| Some(settings.duration(name)).filter(|age| !age.is_zero());
    StreamSettings {
        retention_max_bytes: limit("streams.retention.max.bytes"),
        retention_max_messages: limit("streams.retention.max.messages"),
        retention_max_age: age("streams.retention.max.age"),
        cleaner_interval: age("streams.cleaner.interval")
            .map_or(built_in.cleaner_interval, |age| age.max(StreamSettings::INTERVAL_MIN)),
        segment_max_bytes: limit("streams.segment.max.bytes").unwrap_or(built_in.segment_max_bytes),
        segment_max_age: age("streams.segment.max.age").map(|age| age.max(StreamSettings::INTERVAL_MIN)),
        min_isr: limit("clustering.min.insync.replicas").and_then(|count| u32::try_from(count).ok()),
        optimistic_concurrency_control: settings.flag("streams.concurrency.control"),
    }
}

fn positive(number: u64) -> Option<u64> {
    Some(number).filter(|number| *number > 0)
}

fn size(settings: &Settings, name: &str) -> usize {
    usize::try_from(settings.number(name)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
