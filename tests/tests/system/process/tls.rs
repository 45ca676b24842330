//! TLS, client certificates, and certificates that change while the server runs.

use std::fs;
use std::path::Path;

use liftbridge_tests::api::{Client, connect, metadata};
use liftbridge_tests::server::{Options, Server, within};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustix::process::Signal;
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// A certificate authority of one test.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(vec![]).expect("no names are legal");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        Self { issuer: CertifiedIssuer::self_signed(parameters, key).expect("it can sign itself") }
    }

    fn issue(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Pair {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a legal name");
        parameters.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("it can be signed");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }
}

/// Puts a server's certificate and key where its configuration says.
fn install(folder: &Path, pair: &Pair) {
    fs::write(folder.join("server.pem"), &pair.certificate).unwrap();
    fs::write(folder.join("server-key.pem"), &pair.key).unwrap();
}

fn options(folder: &Path) -> Options {
    let path = |name: &str| folder.join(name).display().to_string();
    Options::default()
        .with_config(format!("tls.cert: {}", path("server.pem")))
        .with_config(format!("tls.key: {}", path("server-key.pem")))
}

/// Connects trusting this authority, and asks for metadata.
async fn ask(server: &Server, authority: &Authority, identity: Option<&Pair>) -> Result<(), String> {
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem())).domain_name("localhost");
    if let Some(pair) = identity {
        tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", server.grpc)).expect("an address is a URI");
    let endpoint = endpoint.tls_config(tls).expect("a legal configuration");
    let channel = within("a handshake", endpoint.connect()).await.map_err(|error| format!("{error:?}"))?;
    let answer = metadata(&mut Client::new(channel)).await;
    answer.map(|_| ()).map_err(|status| status.to_string())
}

#[tokio::test]
async fn only_clients_with_a_known_certificate_get_in() {
    let folder = TempDir::new().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    install(folder.path(), &authority.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth));
    fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let options = options(folder.path())
        .with_config("tls.client.auth.enabled: true")
        .with_config(format!("tls.client.auth.ca: {}", folder.path().join("ca.pem").display()));
    let server = Server::start_with(&folder.path().join("data"), &options).await;

    let known = authority.issue("client", ExtendedKeyUsagePurpose::ClientAuth);
    let unknown = stranger.issue("client", ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(ask(&server, &authority, Some(&known)).await, Ok(()));
    assert!(ask(&server, &authority, None).await.is_err(), "no certificate");
    assert!(ask(&server, &authority, Some(&unknown)).await.is_err(), "a stranger's certificate");
    assert!(ask(&server, &stranger, Some(&known)).await.is_err(), "the server is not who the client expects");
    let plain = Endpoint::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await;
    if let Ok(channel) = plain {
        assert!(metadata(&mut Client::new(channel)).await.is_err(), "no TLS");
    }
    assert_eq!(ask(&server, &authority, Some(&known)).await, Ok(()), "it still serves");
}

#[tokio::test]
async fn sighup_reloads_certificates_and_keeps_the_old_ones_when_the_new_are_bad() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    install(folder.path(), &first.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth));
    let server = Server::start_with(&folder.path().join("data"), &options(folder.path())).await;
    assert_eq!(ask(&server, &first, None).await, Ok(()));

    install(folder.path(), &second.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth));
    server.signal(Signal::HUP);
    let reloaded = async { while ask(&server, &second, None).await.is_err() {} };
    within("the new certificate", reloaded).await;
    assert!(ask(&server, &first, None).await.is_err(), "the old one is gone");

    fs::write(folder.path().join("server.pem"), "no certificate").unwrap();
    server.signal(Signal::HUP);
    let told = within("the complaint", server.stderr().line_with("server.pem")).await;
    assert!(told.is_some(), "the bad file is named");
    assert_eq!(ask(&server, &second, None).await, Ok(()), "the good certificate stays");
}

#[tokio::test]
async fn sighup_without_tls_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    server.signal(Signal::HUP);
    assert!(metadata(&mut connect(&server).await).await.is_ok());
    server.stop().await;
}
