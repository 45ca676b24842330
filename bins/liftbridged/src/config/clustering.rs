//! Being one of several: where other servers find this one, how they are told from strangers, who founds the cluster.
//!
//! Owns what these settings mean together and which combinations are refused. It never reads a file or opens a socket.

use std::path::PathBuf;
use std::time::Duration;

use liftbridge_broker::SESSION_TIMEOUT_MAX;
use liftbridge_server_api::{ClusterSecret, PeerTlsFiles, ShortSecret};
use liftbridge_types::{BrokerId, InvalidName};
use thiserror::Error;

use super::addresses::{AddressError, HostPort, bind_address, is_loopback, is_wildcard};
use super::settings::Settings;

/// Where other servers are listened for when there are to be any and nobody says where.
const LISTEN_DEFAULT: &str = "127.0.0.1:9294";
/// Shorter sessions would end at every pause of a busy machine.
const SESSION_TIMEOUT_MIN: Duration = Duration::from_millis(500);

/// What a server is told about being one of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clustering {
    /// `None` = there are no other servers.
    pub(crate) peers: Option<PeerListening>,
    /// Whom a server without a past asks to be let in; nobody = it founds a cluster.
    pub(crate) join: Vec<String>,
    /// Whether a server without a past founds the cluster although there are others to ask.
    pub(crate) founds: bool,
    pub(crate) rack: Option<String>,
    pub(crate) session_timeout: Duration,
    /// `None` = no limit.
    pub(crate) voters_max: Option<usize>,
    pub(crate) replica_lag_max: Duration,
    pub(crate) unclean_election: bool,
}

/// Where other servers find this one, and how they are told from strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerListening {
    pub(crate) bind: HostPort,
    /// `None` = what is bound.
    pub(crate) advertised: Option<HostPort>,
    pub(crate) secret: Option<SecretSource>,
    pub(crate) tls: Option<PeerTlsFiles>,
}

/// Where the cluster's secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretSource {
    Given(ClusterSecret),
    File(PathBuf),
}

/// Settings about other servers that make no sense. Every text is one line that says what to do; none holds the secret.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ClusteringError {
    #[error("`{key}`: {reason}")]
    Address { key: &'static str, reason: AddressError },
    #[error(
        "`clustering.listen` is `{address}`, which other machines can reach: set `clustering.secret` or `clustering.tls.cert`, `clustering.tls.key` and `clustering.tls.ca`, or listen on 127.0.0.1"
    )]
    Unprotected { address: String },
    #[error(
        "`clustering.listen` is `{address}`, where no other server can be sent: set `clustering.advertise` to the address they reach this one at"
    )]
    NotAdvertised { address: String },
    #[error("`clustering.advertise` is `{address}`, where no other server can be sent: name one address with its port")]
    AdvertisedNowhere { address: String },
    #[error(
        "`clustering.tls.cert`, `clustering.tls.key` and `clustering.tls.ca` must be set all or not at all: `{missing}` is missing"
    )]
    PartialTls { missing: &'static str },
    #[error("`{key}` is for servers that talk to others, and this one does not: set `clustering.listen`, or remove it")]
    NoPeers { key: &'static str },
    #[error("`clustering.secret` and `clustering.secret.file` are both set, keep one of them")]
    TwoSecrets,
    #[error("`clustering.secret` is too short: {0}")]
    Secret(ShortSecret),
    #[error("`clustering.raft.bootstrap.peers` names servers by their ids: set `clustering.server.id` of this one")]
    NoOwnId,
    #[error("`clustering.raft.bootstrap.peers` has a name that is not legal: {0}")]
    PeerName(InvalidName),
    #[error(
        "`clustering.raft.bootstrap.peers` has `{founder}` found the cluster: set `clustering.join` to its address, so that this server can join it"
    )]
    NobodyToJoin { founder: BrokerId },
    #[error(
        "`clustering.session.timeout` is {found:?}, it must be from {SESSION_TIMEOUT_MIN:?} to {SESSION_TIMEOUT_MAX:?}"
    )]
    SessionTimeout { found: Duration },
}

/// What means nothing to a server that no other one can reach.
const MEANT_FOR_PEERS: &[&str] =
    &["clustering.advertise", "clustering.secret", "clustering.secret.file", "clustering.tls.cert"];

impl Clustering {
    /// What the settings mean together, for a server that is given this id.
    pub(crate) fn new(settings: &Settings, own_id: Option<&BrokerId>) -> Result<Self, ClusteringError> {
        let join = settings.list("clustering.join");
        for address in &join {
            reachable("clustering.join", address)?;
        }
        let founder = founder(settings, own_id)?;
        let founds = match &founder {
            Some(founder) if Some(founder) == own_id => true,
            Some(founder) if join.is_empty() => {
                return Err(ClusteringError::NobodyToJoin { founder: founder.clone() });
            }
            Some(_) => false,
            None => settings.flag("clustering.raft.bootstrap.seed") || join.is_empty(),
        };
        let session_timeout = settings.duration("clustering.session.timeout");
        if !(SESSION_TIMEOUT_MIN..=SESSION_TIMEOUT_MAX).contains(&session_timeout) {
            return Err(ClusteringError::SessionTimeout { found: session_timeout });
        }
        let is_one_of_several = !join.is_empty() || founder.is_some();
        let voters_max = usize::try_from(settings.number("clustering.raft.max.quorum.size")).unwrap_or(usize::MAX);
        Ok(Self {
            peers: PeerListening::new(settings, is_one_of_several)?,
            join,
            founds,
            rack: settings.text("clustering.rack"),
            session_timeout,
            voters_max: Some(voters_max).filter(|count| *count > 0),
            replica_lag_max: settings.duration("clustering.replica.max.lag.time"),
            unclean_election: settings.flag("unclean.leader.election"),
        })
    }
}

impl PeerListening {
    fn new(settings: &Settings, is_one_of_several: bool) -> Result<Option<Self>, ClusteringError> {
        let (secret, tls) = (secret(settings)?, tls(settings)?);
        let default = is_one_of_several.then(|| LISTEN_DEFAULT.to_owned());
        let Some(listen) = settings.text("clustering.listen").or(default) else {
            let of_no_use = MEANT_FOR_PEERS.iter().find(|key| settings.is_given(key));
            return of_no_use.map_or(Ok(None), |key| Err(ClusteringError::NoPeers { key }));
        };
        let unreadable = |key| move |reason| ClusteringError::Address { key, reason };
        let bind = bind_address(&listen, "127.0.0.1").map_err(unreadable("clustering.listen"))?;
        if !is_loopback(&bind.host) && secret.is_none() && tls.is_none() {
            return Err(ClusteringError::Unprotected { address: bind.to_string() });
        }
        let advertised = settings.text("clustering.advertise");
        let advertised = advertised.map(|address| reachable("clustering.advertise", &address)).transpose()?;
        if advertised.is_none() && is_wildcard(&bind.host) {
            return Err(ClusteringError::NotAdvertised { address: bind.to_string() });
        }
        Ok(Some(Self { bind, advertised, secret, tls }))
    }
}

/// An address that servers can be sent to.
fn reachable(key: &'static str, text: &str) -> Result<HostPort, ClusteringError> {
    let address = bind_address(text, "").map_err(|reason| ClusteringError::Address { key, reason })?;
    match address.host.is_empty() || is_wildcard(&address.host) || address.port == 0 {
        true if key == "clustering.advertise" => Err(ClusteringError::AdvertisedNowhere { address: text.to_owned() }),
        true => Err(ClusteringError::Address { key, reason: AddressError::Address { text: text.to_owned() } }),
        false => Ok(address),
    }
}

/// Who founds the cluster, if the founders are named.
fn founder(settings: &Settings, own_id: Option<&BrokerId>) -> Result<Option<BrokerId>, ClusteringError> {
    let names = settings.list("clustering.raft.bootstrap.peers");
    if names.is_empty() {
        return Ok(None);
    }
    // The server itself is always one of them.
    let own_id = own_id.cloned().ok_or(ClusteringError::NoOwnId)?;
    names.iter().try_fold(Some(own_id), |smallest, name| {
        let id = BrokerId::new(name).map_err(ClusteringError::PeerName)?;
        Ok(smallest.into_iter().chain([id]).min())
    })
}

fn secret(settings: &Settings) -> Result<Option<SecretSource>, ClusteringError> {
    match (settings.text("clustering.secret"), settings.path("clustering.secret.file")) {
        (Some(_), Some(_)) => Err(ClusteringError::TwoSecrets),
        (Some(text), None) => {
            let secret = ClusterSecret::new(&text).map_err(ClusteringError::Secret)?;
            Ok(Some(SecretSource::Given(secret)))
        }
        (None, file) => Ok(file.map(SecretSource::File)),
    }
}

fn tls(settings: &Settings) -> Result<Option<PeerTlsFiles>, ClusteringError> {
    const KEYS: [&str; 3] = ["clustering.tls.cert", "clustering.tls.key", "clustering.tls.ca"];
    if KEYS.iter().all(|key| settings.path(key).is_none()) {
        return Ok(None);
    }
    let file = |key| settings.path(key).ok_or(ClusteringError::PartialTls { missing: key });
    let [certificate, key, authorities] = KEYS;
    Ok(Some(PeerTlsFiles { certificate: file(certificate)?, key: file(key)?, authorities: file(authorities)? }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SECRET: &str = "correct horse battery staple";

    fn clustering(text: &str) -> Result<Clustering, ClusteringError> {
        let mut settings = Settings::default();
        settings.add_file(Path::new("lift.yaml"), text).unwrap();
        let id = settings.text("clustering.server.id").map(|id| BrokerId::new(&id).unwrap());
        Clustering::new(&settings, id.as_ref())
    }

    /// What the server does when it has no past.
    #[track_caller]
    fn check_founds(text: &str, founds: bool) {
        assert_eq!(clustering(text).unwrap().founds, founds, "{text}");
    }

    #[track_caller]
    fn check_refused(text: &str, parts: &[&str]) {
        let line = clustering(text).unwrap_err().to_string();
        assert!(!line.contains('\n') && parts.iter().all(|part| line.contains(part)), "{text}: {line}");
    }

    #[test]
    fn a_server_that_is_told_of_no_others_listens_to_none() {
        let alone = clustering("").unwrap();
        assert_eq!((alone.peers, alone.join, alone.founds), (None, Vec::new(), true));
        assert_eq!(alone.session_timeout, Duration::from_secs(2));
        assert_eq!((alone.voters_max, alone.replica_lag_max), (None, Duration::from_secs(15)));
        assert!(!alone.unclean_election);
    }

    #[test]
    fn a_server_that_joins_listens_on_this_machine_unless_told_otherwise() {
        let joins = clustering("clustering.join: [\"127.0.0.1:9294\"]").unwrap();
        assert_eq!(joins.peers.unwrap().bind.to_string(), "127.0.0.1:9294");
        let told = clustering("clustering: {join: \"a:1\", listen: \"127.0.0.1:7\"}").unwrap();
        assert_eq!(told.peers.unwrap().bind.to_string(), "127.0.0.1:7");
        assert!(clustering("clustering.listen: 127.0.0.1:0").unwrap().peers.is_some());
    }

    #[test]
    fn who_founds_follows_from_seed_peers_and_whom_to_join() {
        check_founds("clustering.listen: 127.0.0.1:1", true);
        check_founds("clustering.join: a:1", false);
        check_founds("clustering: {join: \"a:1\", raft.bootstrap.seed: true}", true);
        check_founds("clustering: {server.id: a, join: \"b:1\", raft.bootstrap.peers: [b, c]}", true);
        check_founds("clustering: {server.id: b, join: \"a:1\", raft.bootstrap.peers: [a, c]}", false);
        // The list takes precedence over the seed.
        check_founds("clustering: {server.id: b, join: \"a:1\", raft.bootstrap: {seed: true, peers: [a]}}", false);
        check_refused("clustering: {server.id: b, raft.bootstrap.peers: [a]}", &["`a`", "clustering.join"]);
        check_refused("clustering: {join: \"a:1\", raft.bootstrap.peers: [a]}", &["clustering.server.id"]);
        check_refused("clustering: {server.id: b, join: \"a:1\", raft.bootstrap.peers: [\"a/b\"]}", &["peers"]);
    }

    #[test]
    fn other_machines_are_let_in_only_with_a_secret_or_certificates() {
        let open = "clustering: {listen: \"10.0.0.1:1\"";
        check_refused(&format!("{open}}}"), &["10.0.0.1:1", "clustering.secret", "clustering.tls.cert", "127.0.0.1"]);
        check_refused("clustering.listen: some-host:1", &["clustering.secret"]);
        clustering(&format!("{open}, secret: {SECRET}}}")).unwrap();
        clustering(&format!("{open}, secret.file: /secret}}")).unwrap();
        clustering(&format!("{open}, tls: {{cert: c, key: k, ca: a}}}}")).unwrap();
        for loopback in ["127.0.0.1:1", "127.8.8.8:1", "localhost:1", "\"[::1]:1\""] {
            clustering(&format!("clustering.listen: {loopback}")).unwrap();
        }
    }

    #[test]
    fn halves_and_doubles_are_refused_and_the_secret_is_not_repeated() {
        check_refused("clustering.tls: {cert: c, ca: a}", &["clustering.tls.key"]);
        check_refused("clustering.tls: {key: k}", &["clustering.tls.cert"]);
        let both = format!("clustering.secret: {SECRET}\nclustering.secret.file: f");
        check_refused(&both, &["keep one"]);
        assert!(!clustering(&both).unwrap_err().to_string().contains(SECRET));
        let short = clustering("clustering.secret: too-short").unwrap_err().to_string();
        assert!(short.contains("at least 16") && !short.contains("too-short"), "{short}");
        let known = clustering(&format!("clustering: {{listen: \"127.0.0.1:1\", secret: {SECRET}}}")).unwrap();
        assert!(!format!("{known:?}").contains(SECRET));
    }

    #[test]
    fn nobody_is_sent_to_every_interface() {
        let everywhere = format!("clustering: {{secret: {SECRET}, listen: \":1\"");
        check_refused(&format!("{everywhere}}}"), &["clustering.advertise"]);
        let told = clustering(&format!("{everywhere}, advertise: \"a:1\"}}")).unwrap();
        assert_eq!(told.peers.unwrap().advertised.unwrap().to_string(), "a:1");
        for nowhere in [":1", "0.0.0.0:1", "a:0", "1"] {
            check_refused(&format!("{everywhere}, advertise: \"{nowhere}\"}}"), &["clustering.advertise"]);
            check_refused(&format!("clustering.join: [\"{nowhere}\"]"), &["clustering.join"]);
        }
    }

    #[test]
    fn a_session_is_neither_a_blink_nor_an_age() {
        for text in ["0", "499ms", "301s"] {
            check_refused(&format!("clustering.session.timeout: {text}"), &["clustering.session.timeout"]);
        }
        clustering("clustering.session.timeout: 500ms").unwrap();
    }
}
