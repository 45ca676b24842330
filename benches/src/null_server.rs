//! A tonic server of the same proto that answers the same messages and does nothing: what gRPC alone costs. Owns the
//! baseline for the API; stores nothing.

use std::pin::Pin;

use bytes::Bytes;
use liftbridge_proto::api;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// Answers on their way to one client; about as many as a server would hold ready.
const ANSWERS_MAX: usize = 1024;

/// The server. Its streams have any name and any number of messages: a subscriber gets as many as its stop offset says.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullServer;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl api::api_server::Api for NullServer {
    type SubscribeStream = Answers<api::Message>;
    type PublishAsyncStream = Answers<api::PublishResponse>;

    async fn create_stream(
        &self,
        _: Request<api::CreateStreamRequest>,
    ) -> Result<Response<api::CreateStreamResponse>, Status> {
        Ok(Response::new(api::CreateStreamResponse::default()))
    }

    async fn subscribe(
        &self,
        request: Request<api::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let request = request.into_inner();
        let value = Bytes::from(vec![0x5a; crate::grpc::VALUE_BYTES]);
        let handshake = tokio_stream::once(Ok(api::Message::default()));
        let messages = (0..=request.stop_offset).map(move |offset| Ok(message(&request, offset, value.clone())));
        Ok(Response::new(Box::pin(handshake.chain(tokio_stream::iter(messages)))))
    }

    async fn publish_async(
        &self,
        request: Request<Streaming<api::PublishRequest>>,
    ) -> Result<Response<Self::PublishAsyncStream>, Status> {
        let mut requests = request.into_inner();
        let (answers, queue) = tokio::sync::mpsc::channel(ANSWERS_MAX);
        tokio::spawn(async move {
            let mut offset = 0;
            while let Ok(Some(request)) = requests.message().await {
                if answers.send(Ok(acked(request, offset))).await.is_err() {
                    return;
                }
                offset += 1;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(queue))))
    }

    async fn delete_stream(
        &self,
        _: Request<api::DeleteStreamRequest>,
    ) -> Result<Response<api::DeleteStreamResponse>, Status> {
        Err(nothing())
    }

    async fn pause_stream(
        &self,
        _: Request<api::PauseStreamRequest>,
    ) -> Result<Response<api::PauseStreamResponse>, Status> {
        Err(nothing())
    }

    async fn set_stream_readonly(
        &self,
        _: Request<api::SetStreamReadonlyRequest>,
    ) -> Result<Response<api::SetStreamReadonlyResponse>, Status> {
        Err(nothing())
    }

    async fn fetch_metadata(
        &self,
        _: Request<api::FetchMetadataRequest>,
    ) -> Result<Response<api::FetchMetadataResponse>, Status> {
        Err(nothing())
    }

    async fn fetch_partition_metadata(
        &self,
        _: Request<api::FetchPartitionMetadataRequest>,
    ) -> Result<Response<api::FetchPartitionMetadataResponse>, Status> {
        Err(nothing())
    }

    async fn publish(&self, _: Request<api::PublishRequest>) -> Result<Response<api::PublishResponse>, Status> {
        Err(nothing())
    }

    async fn publish_to_subject(
        &self,
        _: Request<api::PublishToSubjectRequest>,
    ) -> Result<Response<api::PublishToSubjectResponse>, Status> {
        Err(nothing())
    }

    async fn set_cursor(&self, _: Request<api::SetCursorRequest>) -> Result<Response<api::SetCursorResponse>, Status> {
        Err(nothing())
    }

    async fn fetch_cursor(
        &self,
        _: Request<api::FetchCursorRequest>,
    ) -> Result<Response<api::FetchCursorResponse>, Status> {
        Err(nothing())
    }

    async fn join_consumer_group(
        &self,
        _: Request<api::JoinConsumerGroupRequest>,
    ) -> Result<Response<api::JoinConsumerGroupResponse>, Status> {
        Err(nothing())
    }

    async fn leave_consumer_group(
        &self,
        _: Request<api::LeaveConsumerGroupRequest>,
    ) -> Result<Response<api::LeaveConsumerGroupResponse>, Status> {
        Err(nothing())
    }

    async fn fetch_consumer_group_assignments(
        &self,
        _: Request<api::FetchConsumerGroupAssignmentsRequest>,
    ) -> Result<Response<api::FetchConsumerGroupAssignmentsResponse>, Status> {
        Err(nothing())
    }

    async fn report_consumer_group_coordinator(
        &self,
        _: Request<api::ReportConsumerGroupCoordinatorRequest>,
    ) -> Result<Response<api::ReportConsumerGroupCoordinatorResponse>, Status> {
        Err(nothing())
    }
}

fn nothing() -> Status {
    Status::unimplemented("this server does nothing")
}

/// A message as a subscriber of ours gets it, the two added headers included.
fn message(request: &api::SubscribeRequest, offset: i64, value: Bytes) -> api::Message {
    let subject = Bytes::copy_from_slice(request.stream.as_bytes());
    api::Message {
        offset,
        value,
        timestamp: offset,
        stream: request.stream.clone(),
        partition: request.partition,
        subject: request.stream.clone(),
        headers: [("subject".to_owned(), subject), ("reply".to_owned(), Bytes::new())].into(),
        ..Default::default()
    }
}

/// An ack as a publisher of ours gets it.
fn acked(request: api::PublishRequest, offset: i64) -> api::PublishResponse {
    let ack = api::Ack {
        partition_subject: request.stream.clone(),
        msg_subject: request.stream.clone(),
        stream: request.stream,
        offset,
        correlation_id: request.correlation_id.clone(),
        ack_policy: request.ack_policy,
        reception_timestamp: offset,
        commit_timestamp: offset,
        ..Default::default()
    };
    api::PublishResponse { ack: Some(ack), async_error: None, correlation_id: request.correlation_id }
}
