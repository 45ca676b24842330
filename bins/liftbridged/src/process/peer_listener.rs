//! The listener for other servers, from settings to a network. Owns where its secret and its address come from; never what
//! servers say.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use liftbridge_broker::ClusterConfig;
use liftbridge_server_api::{ClusterSecret, PeerConfig, PeerNetwork, PeerTls, TlsError};

use super::start_error::StartError;
use crate::config::{Config, HostPort, PeerListening, SecretSource};

/// A file beyond this holds no secret.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The listener for other servers, with what becomes of it while it runs.
pub(super) struct PeerListener {
    pub(super) network: PeerNetwork,
    tls: Option<Arc<PeerTls>>,
    /// Where the others are told to reach it.
    advertised: HostPort,
}

impl PeerListener {
    /// Begins to listen, if there are to be other servers.
    pub(super) async fn bind(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(PeerListening { bind, advertised, secret, tls }) = &config.clustering.peers else { return Ok(None) };
        let tls = tls.clone().map(PeerTls::load).transpose().map_err(StartError::PeerTls)?.map(Arc::new);
        let peer_config = PeerConfig {
            address: bind.to_string(),
            namespace: config.namespace.clone(),
            secret: secret.as_ref().map(read_secret).transpose()?,
            tls: tls.clone(),
        };
        let network = PeerNetwork::bind(peer_config).await.map_err(StartError::PeerBind)?;
        let bound = HostPort { host: bind.host.clone(), port: network.address().port() };
        let advertised = advertised.clone().unwrap_or(bound);
        Ok(Some(Self { network, tls, advertised }))
    }

    /// Reads its certificates again; `None` when it has none.
    pub(super) fn reload(&self) -> Option<Result<(), TlsError>> {
        self.tls.as_deref().map(PeerTls::reload)
    }
}

/// What the broker is told about being one of several.
pub(super) fn cluster(config: &Config, listener: Option<&PeerListener>) -> ClusterConfig {
    let alone = ClusterConfig::default();
    let clustering = &config.clustering;
    ClusterConfig {
        peers: listener.map_or(alone.peers, |listener| listener.network.peers()),
        peer_address: listener.map(|listener| listener.advertised.to_string()),
        namespace: config.namespace.clone(),
        join: clustering.join.clone(),
        founds: clustering.founds,
        rack: clustering.rack.clone(),
        session_timeout: clustering.session_timeout,
        voters_max: clustering.voters_max,
        replica_lag_max: clustering.replica_lag_max,
        unclean_elections: clustering.unclean_election,
    }
}

fn read_secret(source: &SecretSource) -> Result<ClusterSecret, StartError> {
    match source {
        SecretSource::Given(secret) => Ok(secret.clone()),
        SecretSource::File(path) => {
            let failed = |reason: String| StartError::SecretFile { path: path.clone(), reason };
            let text = read_text(path).map_err(|error| failed(error.to_string()))?;
            ClusterSecret::new(&text).map_err(|short| failed(short.to_string()))
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(SECRET_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_is_the_same_as_one_in_the_configuration_and_a_bad_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "correct horse battery staple\n").unwrap();
        let given = ClusterSecret::new("correct horse battery staple").unwrap();
        assert_eq!(read_secret(&SecretSource::File(path.clone())).unwrap(), given);
        let refused = |path: &Path| read_secret(&SecretSource::File(path.to_owned())).unwrap_err().to_string();
        std::fs::write(&path, "too short\n").unwrap();
        let line = refused(&path);
        assert!(line.contains("at least 16") && line.contains("secret") && !line.contains("too short"), "{line}");
        assert!(refused(&directory.path().join("missing")).contains("missing"));
    }
}
