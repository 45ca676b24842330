use std::net::Ipv4Addr;

use liftbridge_auth::Identity;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::testing::{Authority, Certified};
use crate::tls::TlsFiles;

const REFUSAL: &[u8] = b"full";

/// Tells each client who it is, once it has said something, and hangs up when it does.
#[derive(Clone)]
struct Greeter;

impl Serve for Greeter {
    async fn serve(&self, mut connection: Connection, lifetime: Lifetime) {
        let identity = connection.identity();
        let mut said = [0; 64];
        let greet = async {
            while connection.read(&mut said).await.is_ok_and(|count| count > 0) {
                if connection.write_all(identity.to_string().as_bytes()).await.is_err() {
                    break;
                }
            }
        };
        let _ = lifetime.cut.run_until_cancelled(greet).await;
    }
}

struct Fixture {
    address: SocketAddr,
    lifetime: Lifetime,
}

impl Fixture {
    async fn start(connections_max: usize, tls: Option<Arc<Tls>>) -> Self {
        let config = ListenerConfig { name: "test", protocol: Protocol::Http2, connections_max, refusal: REFUSAL, tls };
        let listener = Listener::bind("127.0.0.1:0", config).await.unwrap();
        let fixture = Self { address: listener.address(), lifetime: Lifetime::default() };
        fixture.lifetime.tasks.spawn(listener.run(fixture.lifetime.clone(), Greeter));
        fixture
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.address.port())).await.unwrap()
    }
}

/// What the server calls the client at the other end; `None` when it hangs up.
async fn greeting(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> Option<String> {
    let mut heard = [0; 64];
    stream.write_all(b"hello").await.ok()?;
    let count = stream.read(&mut heard).await.ok()?;
    (count > 0).then(|| String::from_utf8_lossy(&heard[..count]).into_owned())
}

#[tokio::test]
async fn a_client_too_many_is_told_and_a_place_that_is_given_up_is_free() {
    let fixture = Fixture::start(1, None).await;
    let mut first = fixture.connect().await;
    first.write_all(b"hello").await.unwrap();
    assert!(first.read(&mut [0; 64]).await.unwrap() > 0);

    let mut told = Vec::new();
    fixture.connect().await.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, REFUSAL);

    drop(first);
    // The place is free once the server has noticed, so the client knocks until it is let in.
    loop {
        if greeting(fixture.connect().await).await == Some(Identity::Anonymous.to_string()) {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ending_waits_for_clients_only_so_long() {
    let fixture = Fixture::start(1, None).await;
    let mut client = fixture.connect().await;
    client.write_all(b"hello").await.unwrap();
    assert!(client.read(&mut [0; 64]).await.unwrap() > 0);
    fixture.lifetime.end(Duration::ZERO).await;
    assert_eq!(client.read(&mut [0; 64]).await.unwrap(), 0);
    assert!(TcpStream::connect(fixture.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_hung_up_on() {
    let fixture = Fixture::start(1, None).await;
    let mut silent = fixture.connect().await;
    // Time stands still until everybody waits; then it is the deadline.
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
}

/// A listener with a certificate of `server` that wants its clients certified by `clients`.
async fn encrypted(server: &Authority, clients: Option<&Authority>) -> (Fixture, Arc<Tls>, TlsFiles, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let files = server.write(directory.path(), &server.certify("server"), clients);
    let tls = Arc::new(Tls::load(files.clone()).unwrap());
    (Fixture::start(8, Some(Arc::clone(&tls))).await, tls, files, directory)
}

async fn greeting_of(fixture: &Fixture, server: &Authority, identity: Option<&Certified>) -> Option<String> {
    let stream = server.connect(fixture.connect().await, identity, b"h2").await.ok()?;
    greeting(stream).await
}

#[tokio::test]
async fn a_client_with_a_certificate_is_known_by_its_common_name() {
    let authority = Authority::new();
    let (fixture, ..) = encrypted(&authority, Some(&authority)).await;
    let client = authority.certify("client1");
    assert_eq!(greeting_of(&fixture, &authority, Some(&client)).await.as_deref(), Some("client1"));
}

#[tokio::test]
async fn clients_without_a_certificate_of_the_right_authority_are_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (fixture, ..) = encrypted(&authority, Some(&authority)).await;
    assert_eq!(greeting_of(&fixture, &authority, None).await, None);
    assert_eq!(greeting_of(&fixture, &authority, Some(&stranger.certify("client1"))).await, None);
    // Not even TLS.
    let answered = greeting(fixture.connect().await).await;
    assert!(answered.is_none_or(|text| !text.contains("anonymous")));
}

#[tokio::test]
async fn without_client_authorities_anybody_with_tls_is_let_in() {
    let authority = Authority::new();
    let (fixture, ..) = encrypted(&authority, None).await;
    assert_eq!(greeting_of(&fixture, &authority, None).await.as_deref(), Some("anonymous"));
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_keeps_nobody_waiting() {
    let authority = Authority::new();
    let (fixture, ..) = encrypted(&authority, None).await;
    let _stuck = fixture.connect().await;
    assert_eq!(greeting_of(&fixture, &authority, None).await.as_deref(), Some("anonymous"));
}

#[tokio::test]
async fn a_new_certificate_is_used_after_a_reload_and_a_broken_one_is_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let (fixture, tls, files, directory) = encrypted(&old, None).await;

    std::fs::write(&files.certificate, "garbage").unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.starts_with("failed to load TLS key pair") && !error.contains('\n'), "{error}");
    assert!(greeting_of(&fixture, &old, None).await.is_some());

    new.write(directory.path(), &new.certify("server"), None);
    tls.reload().unwrap();
    assert_eq!(greeting_of(&fixture, &old, None).await, None);
    assert!(greeting_of(&fixture, &new, None).await.is_some());
}
