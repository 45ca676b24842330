//! One run of the server, from an empty process to a stopped one.
//!
//! Owns the order in which parts are started and stopped. Everything that can fail does so before the first line of
//! standard output, which tells where the server is.

mod peer_listener;
mod start_error;

use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_auth::Authorizer;
use liftbridge_broker::{Broker, BrokerConfig, Shutdown};
use liftbridge_commitlog::{DirectoryLock, DiskVolume};
use liftbridge_server_api::{MetricsPage, Server, ServerConfig, Tls};
use liftbridge_types::BrokerId;
use rand::RngExt as _;
use rand::distr::Alphanumeric;
use tokio::runtime::{Builder, Runtime};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::descriptors;
use crate::logging;
use crate::signals::{Asked, Signals};
use peer_listener::{PeerListener, cluster};
use start_error::StartError;

/// How long accepted work may take to finish when the server is asked to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long clients may stay connected after that.
const CLIENT_GRACE: Duration = Duration::from_secs(5);
/// How long a stop at once may take, for whatever cannot be interrupted.
const FAST_GRACE: Duration = Duration::from_secs(2);
/// Threads for calls that block, such as making the page of metrics. Partitions have threads of their own.
const BLOCKING_THREADS_MAX: usize = 32;
/// Characters of a random server id: as many as the other implementation's, and far too many to meet twice.
const SERVER_ID_LENGTH: usize = 22;

/// Runs the server until it is asked to stop.
pub(crate) fn run(config: Config) -> Result<(), StartError> {
    logging::start(&config.logging);
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let runtime = runtime().map_err(StartError::Runtime)?;
    let connections_max = descriptors::connections_max(config.connections_max, descriptors::raise_limit());
    let outcome = runtime.block_on(start_and_serve(Config { connections_max, ..config }));
    // Nothing that still runs has anything to say to anyone.
    runtime.shutdown_timeout(FAST_GRACE);
    outcome
}

/// At least two workers, so that one busy task never keeps the others from being looked after.
fn runtime() -> std::io::Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("liftbridge")
        .enable_all()
        .build()
}

async fn start_and_serve(config: Config) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let _lock = lock_data_directory(&config)?;
    let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
    let peers = PeerListener::bind(&config).await?;
    let mut server = Server::bind(server_config(&config, tls.clone())?).await?;
    let broker = tokio::select! {
        started = Broker::start(broker_config(&config, &server, peers.as_ref())) => started?,
        // Opening many partitions takes a while. What is interrupted now is what recovery is for.
        () = signals.stop() => return Ok(()),
    };
    if let Some(configured) = config.server_id.as_ref().filter(|id| *id != broker.id()) {
        warn!(stored = %broker.id(), %configured, "the server id this data directory was given first wins");
    }
    server.serve(broker.clone(), Authorizer::allow_all()).await;
    announce(&config, &server, peers.as_ref(), &broker);
    let expelled = tokio::select! {
        () = obey(&mut signals, tls.as_deref(), peers.as_ref()) => None,
        reason = broker.expelled() => Some(reason),
    };
    stop(&server, peers.as_ref(), &broker, &mut signals).await;
    expelled.map_or(Ok(()), |reason| Err(StartError::Expelled { reason }))
}

fn lock_data_directory(config: &Config) -> Result<DirectoryLock, StartError> {
    let directory = &config.data_directory;
    let unusable = |error| StartError::DataDirectory { directory: directory.clone(), error };
    fs::create_dir_all(directory).map_err(unusable)?;
    Ok(DirectoryLock::acquire(directory)?)
}

fn server_config(config: &Config, tls: Option<Arc<Tls>>) -> Result<ServerConfig, StartError> {
    Ok(ServerConfig {
        grpc_address: config.addresses.bind.to_string(),
        http_address: config.http.as_ref().map(ToString::to_string),
        tls,
        connections_max: config.connections_max,
        message_bytes_max: config.message_bytes_max,
        metrics: MetricsPage::install()?,
    })
}

fn broker_config(config: &Config, server: &Server, peers: Option<&PeerListener>) -> BrokerConfig {
    let volume = Arc::new(DiskVolume::new(config.data_directory.clone()));
    let server_id = config.server_id.clone().unwrap_or_else(random_server_id);
    BrokerConfig {
        advertised_host: config.addresses.advertised_host.clone(),
        advertised_port: config.addresses.advertised_port.unwrap_or_else(|| server.grpc_address().port()),
        stream_defaults: config.stream_defaults.clone(),
        sync: config.sync,
        boot_id: boot_id(),
        batch_messages_max: config.batch_messages_max,
        batch_time_max: config.batch_time_max,
        message_bytes_max: config.message_bytes_max,
        admission_bytes_max: config.admission_bytes_max,
        read_bytes_max: config.read_bytes_max,
        subscriptions_max: config.subscriptions_max,
        snapshot_threshold: config.snapshot_threshold,
        snapshot_retain: config.snapshot_retain,
        cluster: cluster(config, peers),
        ..BrokerConfig::new(volume, server_id)
    }
}

/// In which boot of the machine this is, where the system tells.
fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

fn random_server_id() -> BrokerId {
    let id: String = rand::rng().sample_iter(Alphanumeric).take(SERVER_ID_LENGTH).map(char::from).collect();
    BrokerId::new(&id).expect("letters and digits are legal in names")
}

/// Says where the server is, in one line that programs can read. That nobody reads it is no reason to stop.
fn announce(config: &Config, server: &Server, peers: Option<&PeerListener>, broker: &Broker) {
    let http = server.http_address().map_or_else(|| "off".to_owned(), |address| address.to_string());
    let peer = peers.map(|peers| format!(" peer={}", peers.network.address())).unwrap_or_default();
    let (grpc, data) = (server.grpc_address(), config.data_directory.display());
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "liftbridged ready: grpc={grpc} http={http}{peer} data={data}");
    let _ = stdout.flush();
    info!(id = %broker.id(), version = env!("CARGO_PKG_VERSION"), tls = config.tls.is_some(), "serving");
}

/// Does what signals ask for, until one asks to stop.
async fn obey(signals: &mut Signals, tls: Option<&Tls>, peers: Option<&PeerListener>) {
    while signals.next().await == Asked::ReloadCertificates {
        let reloads = [tls.map(Tls::reload), peers.and_then(PeerListener::reload)];
        if reloads.iter().all(Option::is_none) {
            info!("asked to reload certificates, but TLS is off");
        }
        for reload in reloads.into_iter().flatten() {
            match reload {
                Ok(()) => info!("certificates reloaded"),
                Err(reason) => error!(%reason, "certificates not reloaded, the old ones stay in use"),
            }
        }
    }
}

/// Stops gracefully, or at once when asked a second time. Other servers are spoken to until nothing is left to say.
async fn stop(server: &Server, peers: Option<&PeerListener>, broker: &Broker, signals: &mut Signals) {
    info!("stopping; a second signal stops at once");
    let gracefully = async {
        server.begin_stop().await;
        broker.shutdown(Shutdown::Graceful(GRACE)).await;
        server.stop(CLIENT_GRACE).await;
        stop_listening(peers, CLIENT_GRACE).await;
    };
    tokio::select! {
        () = gracefully => info!("stopped"),
        () = signals.stop() => {
            warn!("stopping at once");
            let at_once = async {
                broker.shutdown(Shutdown::Fast).await;
                server.stop(Duration::ZERO).await;
                stop_listening(peers, Duration::ZERO).await;
            };
            if tokio::time::timeout(FAST_GRACE, at_once).await.is_err() {
                warn!("not everything stopped in time");
            }
        }
    }
}

async fn stop_listening(peers: Option<&PeerListener>, grace: Duration) {
    if let Some(peers) = peers {
        peers.network.stop(grace).await;
    }
}
