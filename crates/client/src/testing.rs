//! A broker for tests: it remembers what it was asked and answers from a script. In-process, on a free port.

mod admin;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::StreamExt;
use liftbridge_proto::api as wire;
use liftbridge_proto::api::api_server::{Api, ApiServer};
use liftbridge_proto::v1::admin_server::AdminServer;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use crate::testing::admin::AdminScript;
use crate::{Client, ClientBuilder};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a subscription gets after its handshake.
pub(crate) struct ScriptedRead {
    /// These, in this order.
    pub(crate) items: Vec<Result<wire::Message, Status>>,
    /// Whether the stream stays open afterwards.
    pub(crate) stays_open: bool,
}

/// What happens to one message of a publish stream.
pub(crate) enum ScriptedAck {
    /// It is acknowledged with the next offset.
    Ack,
    /// It is answered like this, under its own correlation id.
    Refuse(wire::publish_async_error::Code, &'static str),
    /// It is never answered.
    Ignore,
    /// The stream breaks.
    Break(Status),
}

/// What the broker was asked, and what it will say.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) created: Vec<wire::CreateStreamRequest>,
    pub(crate) paused: Vec<wire::PauseStreamRequest>,
    pub(crate) readonly: Vec<wire::SetStreamReadonlyRequest>,
    pub(crate) metadata_asked: Vec<wire::FetchMetadataRequest>,
    pub(crate) partition_asked: Vec<wire::FetchPartitionMetadataRequest>,
    pub(crate) subscribed: Vec<wire::SubscribeRequest>,
    pub(crate) published: Vec<wire::PublishRequest>,
    pub(crate) publish_streams: usize,
    pub(crate) published_to_subject: Vec<wire::PublishToSubjectRequest>,

    /// Refusals of unary calls, in this order, before they succeed.
    pub(crate) refusals: VecDeque<Status>,
    pub(crate) partition_info: Option<wire::PartitionMetadata>,
    pub(crate) subject_ack: Option<wire::Ack>,
    /// How subscriptions go: refused at once, or with these messages. Without an entry they stay open and empty.
    pub(crate) reads: VecDeque<Result<ScriptedRead, Status>>,
    /// What happens to published messages; without an entry they are acknowledged.
    pub(crate) acks: VecDeque<ScriptedAck>,
    pub(crate) next_offset: i64,
    pub(crate) skips_handshake: bool,
    pub(crate) admin: AdminScript,
}

/// What all brokers of a cluster say of it.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) brokers: Vec<wire::Broker>,
    streams: HashMap<String, wire::StreamMetadata>,
}

/// A running scripted broker.
#[derive(Clone)]
pub(crate) struct MockBroker {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    cluster: Arc<Mutex<Cluster>>,
}

impl MockBroker {
    /// Starts a broker, a cluster of its own.
    pub(crate) async fn start() -> Self {
        Self::start_on(tonic::transport::Server::builder(), Arc::default()).await
    }

    /// Starts another broker of this one's cluster.
    pub(crate) async fn start_another(&self) -> Self {
        Self::start_on(tonic::transport::Server::builder(), Arc::clone(&self.cluster)).await
    }

    /// Starts a broker with TLS.
    pub(crate) async fn start_with_tls(config: tonic::transport::ServerTlsConfig) -> Self {
        Self::start_on(tonic::transport::Server::builder().tls_config(config).unwrap(), Arc::default()).await
    }

    async fn start_on(mut server: tonic::transport::Server, cluster: Arc<Mutex<Cluster>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let broker = Self { address, script: Arc::default(), cluster };
        broker.cluster().brokers.push(broker.description());
        let (api, admin) = (ApiServer::new(broker.clone()), AdminServer::new(broker.clone()));
        tokio::spawn(server.add_service(api).add_service(admin).serve_with_incoming(TcpListenerStream::new(listener)));
        broker
    }

    pub(crate) fn cluster(&self) -> parking_lot::MutexGuard<'_, Cluster> {
        self.cluster.lock()
    }

    pub(crate) fn script(&self) -> parking_lot::MutexGuard<'_, Script> {
        self.script.lock()
    }

    pub(crate) fn id(&self) -> String {
        format!("broker-{}", self.address.port())
    }

    fn description(&self) -> wire::Broker {
        wire::Broker {
            id: self.id(),
            host: self.address.ip().to_string(),
            port: self.address.port().into(),
            partition_count: 3,
            leader_count: 2,
        }
    }

    /// Lets the cluster have a stream whose partitions are all led by `leader`.
    pub(crate) fn has_stream_led_by(&self, name: &str, partitions: i32, leader: &Self) {
        let partition = |id| wire::PartitionMetadata {
            id,
            leader: leader.id(),
            replicas: vec![leader.id()],
            isr: vec![leader.id()],
            high_watermark: -1,
            newest_offset: -1,
            ..wire::PartitionMetadata::default()
        };
        let stream = wire::StreamMetadata {
            name: name.to_owned(),
            subject: name.to_owned(),
            partitions: (0..partitions).map(|id| (id, partition(id))).collect(),
            ..wire::StreamMetadata::default()
        };
        self.cluster().streams.insert(name.to_owned(), stream);
    }

    pub(crate) fn has_stream(&self, name: &str, partitions: i32) {
        self.has_stream_led_by(name, partitions, self);
    }

    pub(crate) fn edit_partition(&self, stream: &str, id: i32, edit: impl FnOnce(&mut wire::PartitionMetadata)) {
        edit(self.cluster().streams.get_mut(stream).unwrap().partitions.get_mut(&id).unwrap());
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder([self.address.to_string()]).impatient()
    }

    pub(crate) async fn client(&self) -> Client {
        self.builder().connect().await.unwrap()
    }

    fn refuse_or<T>(&self, answer: impl FnOnce(&mut Script) -> T) -> Result<Response<T>, Status> {
        let mut script = self.script();
        match script.refusals.pop_front() {
            Some(status) => Err(status),
            None => Ok(Response::new(answer(&mut script))),
        }
    }
}

/// A wire between clients and a broker that can be cut, as when the broker is killed.
pub(crate) struct Wire {
    connections: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
}

impl Wire {
    /// Puts itself between the broker and its clients, in the cluster's metadata too.
    pub(crate) async fn to(broker: &mut MockBroker) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = std::mem::replace(&mut broker.address, listener.local_addr().unwrap());
        for known in broker.cluster().brokers.iter_mut().filter(|known| known.port == i32::from(target.port())) {
            known.port = broker.address.port().into();
        }
        let wire = Self { connections: Arc::default() };
        let connections = Arc::clone(&wire.connections);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
                let copy = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
                connections.lock().push(copy.abort_handle());
            }
        });
        wire
    }

    /// Cuts every connection there is; new ones can be made.
    pub(crate) fn cut(&self) {
        self.connections.lock().drain(..).for_each(|connection| connection.abort());
    }
}

/// A message as brokers deliver it.
pub(crate) fn message(offset: i64, value: &'static str) -> wire::Message {
    wire::Message {
        offset,
        value: value.into(),
        timestamp: offset + 1000,
        stream: "foo".to_owned(),
        subject: "foo".to_owned(),
        ..wire::Message::default()
    }
}

/// A read that stays open after these messages.
pub(crate) fn open_read(items: Vec<wire::Message>) -> Result<ScriptedRead, Status> {
    Ok(ScriptedRead { items: items.into_iter().map(Ok).collect(), stays_open: true })
}

/// A read that ends like this after these messages.
pub(crate) fn read_ending(items: Vec<wire::Message>, end: Status) -> Result<ScriptedRead, Status> {
    let items = items.into_iter().map(Ok).chain([Err(end)]).collect();
    Ok(ScriptedRead { items, stays_open: false })
}

#[tonic::async_trait]
impl Api for MockBroker {
    type SubscribeStream = Answers<wire::Message>;
    type PublishAsyncStream = Answers<wire::PublishResponse>;

    async fn create_stream(
        &self,
        request: Request<wire::CreateStreamRequest>,
    ) -> Result<Response<wire::CreateStreamResponse>, Status> {
        self.script().created.push(request.into_inner());
        self.refuse_or(|_| wire::CreateStreamResponse {})
    }

    async fn delete_stream(
        &self,
        _: Request<wire::DeleteStreamRequest>,
    ) -> Result<Response<wire::DeleteStreamResponse>, Status> {
        self.refuse_or(|_| wire::DeleteStreamResponse {})
    }

    async fn pause_stream(
        &self,
        request: Request<wire::PauseStreamRequest>,
    ) -> Result<Response<wire::PauseStreamResponse>, Status> {
        self.script().paused.push(request.into_inner());
        self.refuse_or(|_| wire::PauseStreamResponse {})
    }

    async fn set_stream_readonly(
        &self,
        request: Request<wire::SetStreamReadonlyRequest>,
    ) -> Result<Response<wire::SetStreamReadonlyResponse>, Status> {
        self.script().readonly.push(request.into_inner());
        self.refuse_or(|_| wire::SetStreamReadonlyResponse {})
    }

    async fn subscribe(
        &self,
        request: Request<wire::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let mut script = self.script();
        script.subscribed.push(request.into_inner());
        let read = script.reads.pop_front().unwrap_or_else(|| open_read(Vec::new()))?;
        let handshake = (!script.skips_handshake).then(|| Ok(wire::Message::default()));
        let items = futures_util::stream::iter(handshake.into_iter().chain(read.items));
        Ok(Response::new(if read.stays_open {
            Box::pin(items.chain(futures_util::stream::pending()))
        } else {
            Box::pin(items)
        }))
    }

    async fn fetch_metadata(
        &self,
        request: Request<wire::FetchMetadataRequest>,
    ) -> Result<Response<wire::FetchMetadataResponse>, Status> {
        let request = request.into_inner();
        self.script().metadata_asked.push(request.clone());
        let cluster = self.cluster();
        self.refuse_or(|_| {
            let unknown = |name: &String| wire::StreamMetadata {
                name: name.clone(),
                error: wire::stream_metadata::Error::UnknownStream.into(),
                ..wire::StreamMetadata::default()
            };
            let known = |name: &String| cluster.streams.get(name).cloned().unwrap_or_else(|| unknown(name));
            let all = request.streams.is_empty();
            wire::FetchMetadataResponse {
                brokers: cluster.brokers.clone(),
                stream_metadata: if all {
                    cluster.streams.values().cloned().collect()
                } else {
                    request.streams.iter().map(known).collect()
                },
                group_metadata: Vec::new(),
            }
        })
    }

    async fn fetch_partition_metadata(
        &self,
        request: Request<wire::FetchPartitionMetadataRequest>,
    ) -> Result<Response<wire::FetchPartitionMetadataResponse>, Status> {
        let mut script = self.script();
        script.partition_asked.push(request.into_inner());
        match script.partition_info.clone() {
            Some(metadata) => Ok(Response::new(wire::FetchPartitionMetadataResponse { metadata: Some(metadata) })),
            None => Err(Status::failed_precondition("The request should be sent to partition leader")),
        }
    }

    async fn publish(&self, _: Request<wire::PublishRequest>) -> Result<Response<wire::PublishResponse>, Status> {
        Err(Status::unimplemented("this client publishes over streams only"))
    }

    async fn publish_async(
        &self,
        request: Request<Streaming<wire::PublishRequest>>,
    ) -> Result<Response<Self::PublishAsyncStream>, Status> {
        self.script().publish_streams += 1;
        let (answers, queue) = mpsc::channel(64);
        let broker = self.clone();
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let Some(answer) = broker.answer(request) else { continue };
                let ends = answer.is_err();
                if answers.send(answer).await.is_err() || ends {
                    break;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(queue))))
    }

    async fn publish_to_subject(
        &self,
        request: Request<wire::PublishToSubjectRequest>,
    ) -> Result<Response<wire::PublishToSubjectResponse>, Status> {
        self.script().published_to_subject.push(request.into_inner());
        self.refuse_or(|script| wire::PublishToSubjectResponse { ack: script.subject_ack.clone() })
    }

    async fn set_cursor(
        &self,
        _: Request<wire::SetCursorRequest>,
    ) -> Result<Response<wire::SetCursorResponse>, Status> {
        Err(Status::unimplemented("no cursors"))
    }

    async fn fetch_cursor(
        &self,
        _: Request<wire::FetchCursorRequest>,
    ) -> Result<Response<wire::FetchCursorResponse>, Status> {
        Err(Status::unimplemented("no cursors"))
    }

    async fn join_consumer_group(
        &self,
        _: Request<wire::JoinConsumerGroupRequest>,
    ) -> Result<Response<wire::JoinConsumerGroupResponse>, Status> {
        Err(Status::unimplemented("no groups"))
    }

    async fn leave_consumer_group(
        &self,
        _: Request<wire::LeaveConsumerGroupRequest>,
    ) -> Result<Response<wire::LeaveConsumerGroupResponse>, Status> {
        Err(Status::unimplemented("no groups"))
    }

    async fn fetch_consumer_group_assignments(
        &self,
        _: Request<wire::FetchConsumerGroupAssignmentsRequest>,
    ) -> Result<Response<wire::FetchConsumerGroupAssignmentsResponse>, Status> {
        Err(Status::unimplemented("no groups"))
    }

    async fn report_consumer_group_coordinator(
        &self,
        _: Request<wire::ReportConsumerGroupCoordinatorRequest>,
    ) -> Result<Response<wire::ReportConsumerGroupCoordinatorResponse>, Status> {
        Err(Status::unimplemented("no groups"))
    }
}

impl MockBroker {
    fn answer(&self, request: wire::PublishRequest) -> Option<Result<wire::PublishResponse, Status>> {
        let mut script = self.script();
        script.published.push(request.clone());
        let wants_ack = request.ack_policy() != wire::AckPolicy::None;
        match script.acks.pop_front().unwrap_or(ScriptedAck::Ack) {
            ScriptedAck::Ack if wants_ack => {
                let offset = script.next_offset;
                script.next_offset += 1;
                Some(Ok(wire::PublishResponse {
                    ack: Some(wire::Ack {
                        stream: request.stream,
                        partition_subject: "foo".to_owned(),
                        offset,
                        correlation_id: request.correlation_id,
                        reception_timestamp: 5,
                        commit_timestamp: 7,
                        ..wire::Ack::default()
                    }),
                    ..wire::PublishResponse::default()
                }))
            }
            ScriptedAck::Ack | ScriptedAck::Ignore => None,
            ScriptedAck::Refuse(code, message) => Some(Ok(wire::PublishResponse {
                ack: Some(wire::Ack::default()),
                async_error: Some(wire::PublishAsyncError { code: code.into(), message: message.to_owned() }),
                correlation_id: request.correlation_id,
            })),
            ScriptedAck::Break(status) => Some(Err(status)),
        }
    }
}
