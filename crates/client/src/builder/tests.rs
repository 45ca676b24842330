//! TLS, with certificates made for the test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::*;
use crate::testing::MockBroker;

/// An authority, and the certificate and key it vouches for.
fn certificates(name: &str) -> (String, String, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    (authority.pem(), certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn tls_needs_an_authority_that_is_trusted_and_the_certificate_the_server_wants() {
    let (authority, certificate, key) = certificates("broker.test");
    let config = ServerTlsConfig::new()
        .identity(Identity::from_pem(&certificate, &key))
        .client_ca_root(Certificate::from_pem(&authority));
    let broker = MockBroker::start_with_tls(config).await;
    let trusting = TlsOptions::default().ca_pem(authority).server_name("broker.test");

    broker.builder().tls(trusting.clone().identity_pem(certificate, key)).connect().await.unwrap();
    assert!(broker.builder().tls(trusting).connect().await.is_err(), "without a certificate of its own");
    let (other_authority, ..) = certificates("broker.test");
    let distrusting = TlsOptions::default().ca_pem(other_authority).server_name("broker.test");
    assert!(broker.builder().tls(distrusting).connect().await.is_err(), "with another authority");
    assert!(broker.builder().connect().await.is_err(), "without TLS");
}

#[tokio::test]
async fn certificates_that_are_none_are_refused_before_connecting() {
    let identity = TlsOptions::default().identity_pem("no certificate", "no key");
    for options in [identity, TlsOptions::default().ca_pem("no certificate")] {
        let error = Client::builder(["127.0.0.1:1"]).tls(options).connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
    }
}
