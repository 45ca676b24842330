//! Who is let in.

use std::path::Path;
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use liftbridge_broker::Peers;
use liftbridge_proto::v1;
use liftbridge_proto::v1::peer_client::PeerClient;
use liftbridge_proto::v1::peer_greeting_client::PeerGreetingClient;
use liftbridge_types::BrokerId;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::peer::dial::DialError;
use crate::peer::pairs::LinkEvent;
use crate::peer::secret::{ClusterSecret, Greeting, Nonce, Side};
use crate::peer::testing::{Means, Node, id, pair, within};
use crate::peer::{PeerTls, PeerTlsFiles};
use crate::testing::Authority;

const SECRET: &str = "correct horse battery staple";

/// What comes of one server calling another.
async fn dial(from: &Node, to: &Node, expected: Option<&BrokerId>) -> Result<BrokerId, DialError> {
    let connected = from.peers.links.dialer.dial(&to.address(), expected).await;
    connected.map(|connection| connection.id)
}

#[tokio::test]
async fn servers_with_the_same_secret_know_each_other() {
    let (a, b) = pair(Means::secret(SECRET)).await;
    assert_eq!(dial(&a, &b, Some(&id("b"))).await.unwrap(), id("b"));
}

#[tokio::test]
async fn a_server_with_another_secret_or_none_is_not_let_in() {
    let (good, other) = (Means::secret(SECRET), Means::secret("another horse battery staple"));
    let server = Node::start("server", good.clone()).await;
    let wrong = dial(&Node::start("wrong", other).await, &server, None).await;
    assert!(matches!(wrong, Err(DialError::NotProven)), "{wrong:?}");
    let none = Node::start("none", Means::default()).await;
    let without = dial(&none, &server, None).await;
    assert!(matches!(without, Err(DialError::SecretRequired)), "{without:?}");
    // Nor does a server with a secret talk to one without.
    let open = dial(&Node::start("good", good).await, &none, None).await;
    assert!(matches!(open, Err(DialError::NotProven)), "{open:?}");
}

#[tokio::test]
async fn another_server_than_the_expected_one_is_not_talked_to() {
    let (a, b) = (Node::start("a", Means::default()).await, Node::start("b", Means::default()).await);
    let other = dial(&a, &b, Some(&id("c"))).await;
    assert!(matches!(other, Err(DialError::OtherServer { .. })), "{other:?}");
    let twin = dial(&Node::start("b", Means::default()).await, &b, None).await;
    assert!(matches!(&twin, Err(DialError::Refused(reason)) if reason.contains("`clustering.server.id`")), "{twin:?}");
    a.peers.introduce(&id("a"), Some("one"));
    b.peers.introduce(&id("b"), Some("another"));
    let foreign = dial(&a, &b, None).await;
    assert!(matches!(&foreign, Err(DialError::Refused(reason)) if reason.contains("cluster")), "{foreign:?}");
}

/// A client that is not bound to what this server's own client does.
async fn channel(node: &Node) -> Channel {
    let address = node.network.address();
    let connect = service_fn(move |_: Uri| async move { TcpStream::connect(address).await.map(TokioIo::new) });
    Endpoint::from_static("http://peer").connect_with_connector(connect).await.unwrap()
}

fn hello(nonce: &Nonce) -> v1::PeerHello {
    v1::PeerHello {
        broker_id: "intruder".to_owned(),
        namespace: "namespace".to_owned(),
        nonce: nonce.as_bytes().to_vec().into(),
        ..v1::PeerHello::default()
    }
}

/// What an honest caller answers to this challenge.
fn proof(nonce: &Nonce, answer: &v1::PeerHelloAnswer) -> v1::PeerProof {
    let (caller, called) = (id("intruder"), BrokerId::new(&answer.broker_id).unwrap());
    let called_nonce = Nonce::from_wire(&answer.nonce).unwrap();
    let greeting = Greeting {
        namespace: "namespace",
        caller: &caller,
        called: &called,
        caller_nonce: nonce,
        called_nonce: &called_nonce,
    };
    let proof = ClusterSecret::new(SECRET).unwrap().prove(Side::Caller, &greeting);
    v1::PeerProof { proof: proof.into() }
}

async fn heartbeat(channel: &Channel) -> Result<(), Code> {
    let answered = PeerClient::new(channel.clone()).heartbeat(v1::HeartbeatRequest::default()).await;
    answered.map(drop).map_err(|status| status.code())
}

#[tokio::test]
async fn no_call_is_answered_before_the_greeting_is_done() {
    let server = Node::start("server", Means::secret(SECRET)).await;
    let channel = channel(&server).await;
    assert_eq!(heartbeat(&channel).await, Err(Code::Unauthenticated));
    let nonce = Nonce::fresh().unwrap();
    let mut greeting = PeerGreetingClient::new(channel.clone());
    let answer = greeting.hello(hello(&nonce)).await.unwrap().into_inner();
    assert_eq!(heartbeat(&channel).await, Err(Code::Unauthenticated), "half a greeting");
    greeting.prove(proof(&nonce, &answer)).await.unwrap();
    assert_eq!(heartbeat(&channel).await, Ok(()));
}

#[tokio::test]
async fn what_was_overheard_opens_no_other_connection() {
    let server = Node::start("server", Means::secret(SECRET)).await;
    let nonce = Nonce::fresh().unwrap();
    let overheard = {
        let mut honest = PeerGreetingClient::new(channel(&server).await);
        let answer = honest.hello(hello(&nonce)).await.unwrap().into_inner();
        let proof = proof(&nonce, &answer);
        honest.prove(proof.clone()).await.unwrap();
        proof
    };
    let channel = channel(&server).await;
    let mut intruder = PeerGreetingClient::new(channel.clone());
    intruder.hello(hello(&nonce)).await.unwrap();
    assert_eq!(intruder.prove(overheard.clone()).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(intruder.prove(overheard).await.unwrap_err().code(), Code::FailedPrecondition, "there is one try");
    assert_eq!(heartbeat(&channel).await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn a_greeting_larger_than_any_is_not_read() {
    let server = Node::start("server", Means::default()).await;
    let mut greeting = PeerGreetingClient::new(channel(&server).await);
    let huge = v1::PeerHello { namespace: "n".repeat(8192), ..hello(&Nonce::fresh().unwrap()) };
    assert_eq!(greeting.hello(huge).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_greet_is_hung_up_on() {
    let server = Node::start("server", Means::default()).await;
    let mut silent = TcpStream::connect(server.network.address()).await.unwrap();
    let mut said = Vec::new();
    within("the end of a silent connection", silent.read_to_end(&mut said)).await.unwrap();
}

/// The files of a server called `name`, certified by `authority`, that believes those certified by `believes`.
fn certified(directory: &Path, name: &str, authority: &Authority, believes: &Authority) -> PeerTlsFiles {
    let folder = directory.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let files = authority.write(&folder, &authority.certify(name), None);
    let authorities = folder.join("authorities.pem");
    std::fs::write(&authorities, believes.certificate()).unwrap();
    PeerTlsFiles { certificate: files.certificate, key: files.key, authorities }
}

fn means(files: &PeerTlsFiles) -> Means {
    Means { secret: None, tls: Some(Arc::new(PeerTls::load(files.clone()).unwrap())) }
}

#[tokio::test]
async fn certificates_of_the_cluster_name_its_servers() {
    let (directory, cluster) = (tempfile::tempdir().unwrap(), Authority::new());
    let of = |name: &str| means(&certified(directory.path(), name, &cluster, &cluster));
    let (a, b) = (Node::start("a", of("a")).await, Node::start("b", of("b")).await);
    a.know(&[("b", &b)]);
    b.know(&[("a", &a)]);
    a.until("b", LinkEvent::Up).await;
    // A certificate of the cluster does not make its owner another of its servers, on either end.
    let posing = Node::start("a", of("c")).await;
    let posed = dial(&posing, &b, None).await;
    assert!(
        matches!(&posed, Err(DialError::Refused(reason)) if reason.contains("does not speak for `a`")),
        "{posed:?}"
    );
    let fooled = dial(&b, &posing, Some(&id("a"))).await;
    assert!(matches!(fooled, Err(DialError::WrongCertificate { .. })), "{fooled:?}");
}

#[tokio::test]
async fn certificates_of_another_authority_are_worth_nothing() {
    let (directory, cluster, stranger) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    let server = Node::start("server", means(&certified(directory.path(), "server", &cluster, &cluster))).await;
    // It believes the server; the server does not believe it.
    let unbelieved = Node::start("unbelieved", means(&certified(directory.path(), "u", &stranger, &cluster))).await;
    dial(&unbelieved, &server, None).await.unwrap_err();
    // The server would believe it; it does not believe the server.
    let wary = Node::start("wary", means(&certified(directory.path(), "wary", &cluster, &stranger))).await;
    let distrusted = dial(&wary, &server, None).await;
    assert!(matches!(distrusted, Err(DialError::Tls(_))), "{distrusted:?}");
    // Nor is there any way without TLS.
    dial(&Node::start("plain", Means::default()).await, &server, None).await.unwrap_err();
}

#[tokio::test]
async fn reloaded_certificates_are_used_for_connections_to_come() {
    let (directory, old, new) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    let [a_files, b_files] = ["a", "b"].map(|name| certified(directory.path(), name, &old, &old));
    let (a_means, b_means) = (means(&a_files), means(&b_files));
    let (a, b) = (Node::start("a", a_means.clone()).await, Node::start("b", b_means.clone()).await);
    dial(&a, &b, None).await.unwrap();
    certified(directory.path(), "b", &new, &new);
    b_means.tls.unwrap().reload().unwrap();
    dial(&a, &b, None).await.unwrap_err();
    std::fs::write(&a_files.key, "garbage").unwrap();
    a_means.tls.as_ref().unwrap().reload().unwrap_err();
    certified(directory.path(), "a", &new, &new);
    a_means.tls.unwrap().reload().unwrap();
    dial(&a, &b, None).await.unwrap();
}
