//! The client side of the gRPC measurements. Owns how requests are sent and counted, the same for every server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use liftbridge_proto::api::api_client::ApiClient;
use liftbridge_proto::api::{self, AckPolicy, StartPosition, StopPosition};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use super::VALUE_BYTES;

/// Publishes on their way at once, per connection.
const UNDER_WAY_MAX: usize = 4096;

/// The stream of one connection.
fn stream_name(connection: usize) -> String {
    format!("stream-{connection}")
}

async fn connect(address: &str) -> ApiClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI").tcp_nodelay(true);
    ApiClient::new(endpoint.connect().await.expect("a ready server accepts connections"))
}

/// Creates a stream for each connection.
pub(super) async fn create(address: &str, connections: usize) {
    let mut client = connect(address).await;
    for connection in 0..connections {
        let name = stream_name(connection);
        let request = api::CreateStreamRequest { subject: name.clone(), name, ..Default::default() };
        client.create_stream(request).await.expect("the stream can be created");
    }
}

fn request(stream: &str, number: usize, value: &Bytes, ack_policy: AckPolicy) -> api::PublishRequest {
    api::PublishRequest {
        value: value.clone(),
        stream: stream.to_owned(),
        correlation_id: number.to_string(),
        ack_policy: ack_policy.into(),
        expected_offset: -1,
        ..Default::default()
    }
}

/// Publishes `each` messages over every connection at once; acknowledged messages per second.
pub(super) async fn publish_all(address: &str, connections: usize, each: usize) -> f64 {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(connect(address).await);
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (connection, client) in clients.into_iter().enumerate() {
        tasks.spawn(publish_pipelined(client, stream_name(connection), each));
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a publisher does not panic");
    }
    (connections * each) as f64 / started.elapsed().as_secs_f64()
}

/// Publishes without waiting, up to a bound, until every message is acknowledged under `LEADER`.
///
/// # Panics
/// When a message is refused.
pub async fn publish_pipelined(mut client: ApiClient<Channel>, stream: String, count: usize) {
    let (sender, queue) = mpsc::channel(UNDER_WAY_MAX);
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let sending_room = Arc::clone(&room);
    let value = Bytes::from(vec![0x5a; VALUE_BYTES]);
    let sending = tokio::spawn(async move {
        for number in 0..count {
            sending_room.acquire().await.expect("it is never closed").forget();
            let request = request(&stream, number, &value, AckPolicy::Leader);
            sender.send(request).await.expect("the server reads on");
        }
        sender
    });
    let responses = client.publish_async(ReceiverStream::new(queue)).await.expect("PublishAsync can be opened");
    let mut responses = responses.into_inner();
    for _ in 0..count {
        let response = responses.message().await.expect("the stream goes on").expect("an answer to every message");
        assert_eq!(response.async_error, None, "nothing is refused");
        room.add_permits(1);
    }
    drop(sending.await.expect("the sender does not panic"));
}

/// Publishes one message after the other, each acknowledged under `ALL` before the next; the time each took.
///
/// # Panics
/// When a message is refused.
pub async fn publish_synced(
    mut client: ApiClient<Channel>,
    stream: String,
    count: usize,
    bytes: usize,
) -> Vec<Duration> {
    let (sender, queue) = mpsc::channel(1);
    let value = Bytes::from(vec![0x5a; bytes]);
    let responses = client.publish_async(ReceiverStream::new(queue)).await.expect("PublishAsync can be opened");
    let mut responses = responses.into_inner();
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let begun = Instant::now();
        let request = request(&stream, number, &value, AckPolicy::All);
        sender.send(request).await.expect("the server reads on");
        let response = responses.message().await.expect("the stream goes on").expect("an answer to every message");
        assert_eq!(response.async_error, None, "nothing is refused");
        times.push(begun.elapsed());
    }
    times
}

/// Reads `each` messages over every connection at once; messages per second.
pub(super) async fn subscribe_all(address: &str, connections: usize, each: usize) -> f64 {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(connect(address).await);
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (connection, client) in clients.into_iter().enumerate() {
        tasks.spawn(read(client, stream_name(connection), each));
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a subscriber does not panic");
    }
    (connections * each) as f64 / started.elapsed().as_secs_f64()
}

async fn read(mut client: ApiClient<Channel>, stream: String, count: usize) {
    let request = api::SubscribeRequest {
        stream,
        start_position: StartPosition::Earliest.into(),
        stop_position: StopPosition::StopOffset.into(),
        stop_offset: i64::try_from(count).expect("it is small") - 1,
        ..Default::default()
    };
    let mut messages = client.subscribe(request).await.expect("Subscribe can be opened").into_inner();
    for _ in 0..=count {
        let message = messages.message().await.expect("the stream goes on");
        assert!(message.is_some(), "the handshake and every message arrive");
    }
}
