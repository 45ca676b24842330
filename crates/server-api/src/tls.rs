//! Certificates of the listeners and the authorities their clients are checked against.
//!
//! Owns how they are read and replaced while the server runs. It never keeps what it has not been able to use, and no
//! key material ends in an error or a log line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// Certificates and key that cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The server's own certificate or key.
    #[error("failed to load TLS key pair from `{certificate}` and `{key}`: {reason}")]
    KeyPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with one of them.
        reason: String,
    },
    /// The file with the authorities of clients cannot be read.
    #[error("failed to load TLS client ca certificate: {reason}")]
    ClientAuthorities {
        /// Which file or store, and why.
        reason: String,
    },
    /// There is no authority among what was read.
    #[error("failed to append TLS client certificate: {reason}")]
    NoClientAuthority {
        /// What was read instead.
        reason: String,
    },
}

/// Who signs the certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuthorities {
    /// The authorities in this PEM file.
    File(PathBuf),
    /// Those the operating system trusts.
    System,
}

/// Where certificates and keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Whose clients are let in; `None` = clients need no certificate.
    pub client_authorities: Option<ClientAuthorities>,
}

/// What is spoken on a listener, which TLS agrees on with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

#[derive(Debug)]
struct Acceptors {
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
}

/// The certificates in use. Connections that are open keep those they began with.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: ArcSwap<Acceptors>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them cannot be read or used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files again, for connections to come.
    ///
    /// # Errors
    /// When one of them cannot be read or used; what was in use before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// Accepts connections with what is in use now.
    pub(crate) fn acceptor(&self, protocol: Protocol) -> TlsAcceptor {
        let current = self.current.load();
        let config = match protocol {
            Protocol::Http1 => &current.http1,
            Protocol::Http2 => &current.http2,
        };
        TlsAcceptor::from(Arc::clone(config))
    }
}

fn read(files: &TlsFiles) -> Result<Acceptors, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring supports every protocol version rustls has");
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => builder.with_client_cert_verifier(verifier(authorities, provider)?),
    };
    let (chain, key) = key_pair(files)?;
    let config = builder.with_single_cert(chain, key).map_err(|error| key_pair_error(files, &error))?;
    let speaking = |protocol: &[u8]| {
        let mut config = config.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    };
    Ok(Acceptors { http1: speaking(b"http/1.1"), http2: speaking(b"h2") })
}

/// The server's own certificate chain and key.
pub(crate) fn key_pair(files: &TlsFiles) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(&files.certificate).map_err(|reason| key_pair_error(files, &reason))?;
    if chain.is_empty() {
        return Err(key_pair_error(files, &"the certificate's file holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| key_pair_error(files, &error))?;
    Ok((chain, key))
}

/// The refusal of that pair.
pub(crate) fn key_pair_error(files: &TlsFiles, reason: &impl ToString) -> TlsError {
    TlsError::KeyPair { certificate: files.certificate.clone(), key: files.key.clone(), reason: reason.to_string() }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<_, rustls::pki_types::pem::Error>>();
    read().map_err(|error| error.to_string())
}

fn verifier(
    authorities: &ClientAuthorities,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authorities)?), provider)
        .build()
        .map_err(|error| TlsError::NoClientAuthority { reason: error.to_string() })
}

/// The certificates of these authorities.
pub(crate) fn roots(authorities: &ClientAuthorities) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        ClientAuthorities::File(file) => {
            let failed = |reason| TlsError::ClientAuthorities { reason: format!("`{}`: {reason}", file.display()) };
            for certificate in certificates(file).map_err(failed)? {
                let added = roots.add(certificate);
                added.map_err(|error| TlsError::NoClientAuthority { reason: error.to_string() })?;
            }
        }
        ClientAuthorities::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
