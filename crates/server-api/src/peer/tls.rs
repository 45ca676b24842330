//! TLS between servers, where both ends show a certificate of the cluster's authority. Owns the caller's end of it; a
//! listener's end is that of [`Tls`]. It never decides whether a certificate's name is the right one.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use crate::tls::{self, ClientAuthorities, Tls, TlsError, TlsFiles};

/// Where the certificates between servers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTlsFiles {
    /// This server's certificate chain, PEM. Its subject's common name is the server's id.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The authorities that sign the certificates of the cluster's servers, PEM.
    pub authorities: PathBuf,
}

impl From<PeerTlsFiles> for TlsFiles {
    fn from(files: PeerTlsFiles) -> Self {
        let PeerTlsFiles { certificate, key, authorities } = files;
        Self { certificate, key, client_authorities: Some(ClientAuthorities::File(authorities)) }
    }
}

/// The certificates in use between servers. Connections that are open keep those they began with.
#[derive(Debug)]
pub struct PeerTls {
    files: TlsFiles,
    listening: Arc<Tls>,
    calling: ArcSwap<ClientConfig>,
}

impl PeerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them cannot be read or used.
    pub fn load(files: PeerTlsFiles) -> Result<Self, TlsError> {
        let files = TlsFiles::from(files);
        let calling = ArcSwap::new(client_config(&files)?);
        Ok(Self { listening: Arc::new(Tls::load(files.clone())?), files, calling })
    }

    /// Reads the files again, for connections to come.
    ///
    /// # Errors
    /// When one of them cannot be read or used; what was in use before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let calling = client_config(&self.files)?;
        self.listening.reload()?;
        self.calling.store(calling);
        Ok(())
    }

    /// What a listener accepts connections with.
    pub(crate) fn listening(&self) -> Arc<Tls> {
        Arc::clone(&self.listening)
    }

    /// Makes connections with what is in use now.
    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.calling.load_full())
    }
}

fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let roots = files.client_authorities.as_ref().map_or_else(|| Ok(RootCertStore::empty()), tls::roots)?;
    let (chain, key) = tls::key_pair(files)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports every protocol version rustls has")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OfTheCluster { roots, algorithms }));
    let mut config = builder.with_client_auth_cert(chain, key).map_err(|error| tls::key_pair_error(files, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Takes certificates that the cluster's authority has signed, whatever the address they are found at: servers are known by
/// their ids, which the greeting compares with the certificate, and move between addresses.
#[derive(Debug)]
struct OfTheCluster {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OfTheCluster {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
