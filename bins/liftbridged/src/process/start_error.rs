//! Why the server did not start, or stopped without being asked to. Owns the one line each reason is told in.

use std::io;
use std::path::PathBuf;

use liftbridge_commitlog::DirectoryLockError;
use liftbridge_server_api::{BindError, RecorderInstalled, TlsError};
use thiserror::Error;

/// The server did not start, or may not go on.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error("cannot start threads: {0}")]
    Runtime(io::Error),
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
    #[error("cannot create the data directory `{}`: {error}; set `data.dir` or `--data-dir` to one that can be written", directory.display())]
    DataDirectory { directory: PathBuf, error: io::Error },
    #[error("{0}; stop it, or set `data.dir` or `--data-dir` to another directory")]
    Locked(#[from] DirectoryLockError),
    #[error("{0}; see `tls.cert`, `tls.key` and `tls.client.auth.ca`")]
    Tls(#[from] TlsError),
    #[error("{0}; set `listen`, `port` or `http.listen` to a free address of this machine")]
    Bind(#[from] BindError),
    #[error("{0}; see `clustering.tls.cert`, `clustering.tls.key` and `clustering.tls.ca`")]
    PeerTls(TlsError),
    #[error("{0}; set `clustering.listen` to a free address of this machine")]
    PeerBind(BindError),
    #[error("cannot take the secret in `{}`: {reason}; see `clustering.secret.file`", path.display())]
    SecretFile { path: PathBuf, reason: String },
    #[error(transparent)]
    Metrics(#[from] RecorderInstalled),
    #[error("{reason}")]
    Expelled { reason: String },
    #[error(transparent)]
    Broker(#[from] liftbridge_broker::StartError),
}
