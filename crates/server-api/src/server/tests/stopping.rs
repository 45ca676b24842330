use liftbridge_broker::BrokerConfig;
use liftbridge_commitlog::MemoryVolume;
use liftbridge_types::BrokerId;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tonic::body::Body;
use tower::ServiceExt;

use crate::lifetime::FAREWELL_TIME_MAX;
use crate::server::testing::bind_with;
use crate::testing::Authority;

use super::*;

#[derive(Clone, Copy, Debug)]
enum To {
    Grpc,
    Http,
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
    frame.extend(payload);
    frame
}

/// The head of a call, in a frame of its own.
fn head(path: &str) -> Vec<u8> {
    // POST over http, then fields with names of their own.
    let mut head = vec![0x83, 0x86];
    for (name, value) in [(":path", path), ("content-type", "application/grpc"), ("te", "trailers")] {
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap());
            head.extend(text.bytes());
        }
    }
    frame(1, 4, 1, &head)
}

/// What clients send that never finish a request, and how long a stop may wait for them.
fn halves() -> Vec<(To, Vec<u8>, Duration)> {
    let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
    let head = head("/proto.API/Publish");
    vec![
        (To::Grpc, Vec::new(), Duration::ZERO),
        (To::Grpc, b"PRI * HT".to_vec(), Duration::ZERO),
        (To::Grpc, hello.clone(), FAREWELL_TIME_MAX),
        (To::Grpc, [&hello, &head[..20]].concat(), FAREWELL_TIME_MAX),
        (To::Grpc, [&hello[..], &head].concat(), FAREWELL_TIME_MAX),
        (To::Grpc, [hello, head, frame(0, 0, 1, b"\0\0\0\0\x09half")].concat(), FAREWELL_TIME_MAX),
        (To::Http, Vec::new(), Duration::ZERO),
        (To::Http, b"GET /".to_vec(), Duration::ZERO),
        (To::Http, b"GET /health HTTP/1.1\r\nhost: half".to_vec(), FAREWELL_TIME_MAX),
    ]
}

async fn serve(tls: Option<Arc<Tls>>) -> Server {
    let mut server = bind_with(tls).await;
    let config = BrokerConfig::new(Arc::new(MemoryVolume::new()), BrokerId::new("a").unwrap());
    server.serve(Broker::start(config).await.unwrap(), Authorizer::allow_all()).await;
    server
}

async fn connect(server: &Server, to: To) -> TcpStream {
    let address = match to {
        To::Grpc => server.grpc_address(),
        To::Http => server.http_address().unwrap(),
    };
    TcpStream::connect(address).await.unwrap()
}

/// Sends something, and stays connected while the server stops.
async fn check_stop(server: Server, to: To, mut client: impl AsyncWrite + Unpin, sent: &[u8], time_max: Duration) {
    client.write_all(sent).await.unwrap();
    // Two listeners and this one, which reads as soon as everybody waits.
    while server.lifetime.tasks.len() < 3 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let begun = Instant::now();
    server.stop(PATIENCE).await;
    let took = begun.elapsed();
    // Timers have steps of a millisecond.
    assert!(
        took <= time_max + Duration::from_millis(1),
        "{to:?} waits {took:?} for {:?}",
        String::from_utf8_lossy(sent)
    );
    tokio::time::resume();
}

#[tokio::test]
async fn who_has_sent_less_than_a_request_keeps_no_server_from_stopping() {
    for (to, sent, time_max) in halves() {
        let server = serve(None).await;
        let client = connect(&server, to).await;
        check_stop(server, to, client, &sent, time_max).await;
    }
}

#[tokio::test]
async fn who_has_sent_less_than_a_request_over_tls_keeps_no_server_from_stopping() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = authority.write(directory.path(), &authority.certify("server"), None);
    let tls = Arc::new(Tls::load(files).unwrap());
    for to in [To::Grpc, To::Http] {
        for handshake in [&b""[..], b"\x16\x03\x01"] {
            let server = serve(Some(Arc::clone(&tls))).await;
            let client = connect(&server, to).await;
            check_stop(server, to, client, handshake, Duration::ZERO).await;
        }
    }
    for (to, sent, time_max) in halves() {
        let server = serve(Some(Arc::clone(&tls))).await;
        let protocol: &[u8] = match to {
            To::Grpc => b"h2",
            To::Http => b"http/1.1",
        };
        let client = authority.connect(connect(&server, to).await, None, protocol).await.unwrap();
        check_stop(server, to, client, &sent, time_max).await;
    }
}

#[tokio::test]
async fn a_call_that_has_not_arrived_is_told_that_the_server_stops() {
    let fixture = Fixture::start().await;
    // The call that takes one message, called like the one that takes many.
    let publish = fixture.channel.clone().map_request(|mut request: ::http::Request<Body>| {
        *request.uri_mut() = ::http::Uri::from_static("/proto.API/Publish");
        request
    });
    let calling =
        tokio::spawn(async move { ApiClient::new(publish).publish_async(tokio_stream::pending()).await.map(drop) });
    // Two listeners, the connection and the call.
    while fixture.server.lifetime.tasks.len() < 4 {
        tokio::task::yield_now().await;
    }
    fixture.server.begin_stop().await;
    check(calling.await.unwrap(), Code::Unavailable, "server is shutting down");
    fixture.stop().await;
}
