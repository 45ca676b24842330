//! A server in this process, over a broker in memory, with a client of its API.

use std::collections::HashMap;
use std::time::Duration;

use liftbridge_broker::{BrokerConfig, Shutdown};
use liftbridge_commitlog::MemoryVolume;
use liftbridge_proto::api::api_client::ApiClient;
use liftbridge_proto::api::{AckPolicy, CreateStreamRequest, Message, PublishRequest, SubscribeRequest};
use liftbridge_types::BrokerId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use super::*;

/// Longer than anything in a test takes, shorter than a test's author waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024;

pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) broker: Broker,
    pub(crate) client: ApiClient<Channel>,
    pub(crate) channel: Channel,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// A server whose broker is set up as `change` leaves it.
    async fn start_with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut server = bind().await;
        let volume = Arc::new(MemoryVolume::default());
        let mut config = BrokerConfig {
            message_bytes_max: MESSAGE_BYTES_MAX,
            ..BrokerConfig::new(volume, BrokerId::new("a").unwrap())
        };
        change(&mut config);
        let broker = Broker::start(config).await.unwrap();
        server.serve(broker.clone(), Authorizer::allow_all()).await;
        let channel = channel(&server).await;
        let client = ApiClient::new(channel.clone());
        Self { server, broker, client, channel }
    }

    /// A server with one stream of one partition, on the subject of its own name.
    pub(crate) async fn with_stream(name: &str) -> Self {
        let mut fixture = Self::start().await;
        fixture.client.create_stream(stream(name)).await.unwrap();
        fixture
    }

    /// The same, with room for so many bytes of waiting messages.
    pub(crate) async fn with_admission(name: &str, admission_bytes_max: usize) -> Self {
        let mut fixture = Self::start_with(|config| config.admission_bytes_max = admission_bytes_max).await;
        fixture.client.create_stream(stream(name)).await.unwrap();
        fixture
    }

    /// Publishes a value and waits until it is committed.
    pub(crate) async fn publish(&mut self, stream: &str, value: &str) -> Result<i64, Status> {
        let committed = PublishRequest { ack_policy: AckPolicy::All.into(), ..message(stream, value) };
        let response = self.client.publish(patient(committed)).await?.into_inner();
        Ok(response.ack.expect("who waits is told").offset)
    }

    /// Subscribes and takes the message by which clients know that they are subscribed.
    pub(crate) async fn subscribe(&mut self, request: SubscribeRequest) -> Result<Streaming<Message>, Status> {
        let mut messages = self.client.subscribe(request).await?.into_inner();
        assert_eq!(messages.message().await?, Some(Message::default()));
        Ok(messages)
    }

    /// Stops everything gracefully, as the process does.
    pub(crate) async fn stop(self) {
        self.server.begin_stop().await;
        self.broker.shutdown(Shutdown::Graceful(PATIENCE)).await;
        drop((self.client, self.channel));
        self.server.stop(PATIENCE).await;
    }
}

pub(crate) async fn bind() -> Server {
    bind_with(None).await
}

pub(crate) async fn bind_with(tls: Option<Arc<Tls>>) -> Server {
    let config = ServerConfig {
        grpc_address: "127.0.0.1:0".to_owned(),
        http_address: Some("127.0.0.1:0".to_owned()),
        tls,
        connections_max: 16,
        message_bytes_max: MESSAGE_BYTES_MAX,
        metrics: MetricsPage::detached(),
    };
    Server::bind(config).await.unwrap()
}

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(format!("http://{}", server.grpc_address())).unwrap().connect().await.unwrap()
}

pub(crate) fn stream(name: &str) -> CreateStreamRequest {
    CreateStreamRequest { name: name.to_owned(), subject: name.to_owned(), ..CreateStreamRequest::default() }
}

pub(crate) fn message(stream: &str, value: &str) -> PublishRequest {
    PublishRequest {
        stream: stream.to_owned(),
        value: value.to_owned().into(),
        headers: HashMap::from([("h".to_owned(), "1".into())]),
        correlation_id: value.to_owned(),
        expected_offset: -1,
        ..PublishRequest::default()
    }
}

/// A request with a deadline.
pub(crate) fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

/// The answer to a GET, with its head.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
