//! Service `proto.API`: hands each call to the file that knows it. Owns nothing but the list.

use liftbridge_broker::Broker;
use liftbridge_proto::api;
use liftbridge_proto::api::api_server::Api;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::deadline::deadline;
use super::subscribe::Messages;
use super::unimplemented::{CURSORS, GROUPS, unimplemented};
use crate::gate::{Gate, timed};

/// The answers of a call that is served elsewhere.
type Never = futures_util::stream::Pending<Result<api::PublishResponse, Status>>;

/// What the calls work with. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ApiService {
    pub(super) broker: Broker,
    pub(super) gate: Gate,
    /// Cancelled when the server begins to stop, for calls that would otherwise never end.
    pub(super) stopping: CancellationToken,
}

impl ApiService {
    /// The calls of this broker.
    pub(crate) fn new(broker: Broker, gate: Gate, stopping: CancellationToken) -> Self {
        Self { broker, gate, stopping }
    }
}

/// Runs `handler` on the request within its deadline, timed under the name of the call.
macro_rules! unary {
    ($self:ident.$handler:ident($request:ident) as $rpc:literal) => {{
        let deadline = deadline(&$request)?;
        timed($rpc, deadline, $self.$handler($request)).await.map(Response::new)
    }};
}

#[tonic::async_trait]
impl Api for ApiService {
    type SubscribeStream = Messages;
    type PublishAsyncStream = Never;

    async fn create_stream(
        &self,
        request: Request<api::CreateStreamRequest>,
    ) -> Result<Response<api::CreateStreamResponse>, Status> {
        unary!(self.on_create_stream(request) as "CreateStream")
    }

    async fn delete_stream(
        &self,
        request: Request<api::DeleteStreamRequest>,
    ) -> Result<Response<api::DeleteStreamResponse>, Status> {
        unary!(self.on_delete_stream(request) as "DeleteStream")
    }

    async fn pause_stream(
        &self,
        request: Request<api::PauseStreamRequest>,
    ) -> Result<Response<api::PauseStreamResponse>, Status> {
        unary!(self.on_pause_stream(request) as "PauseStream")
    }

    async fn set_stream_readonly(
        &self,
        request: Request<api::SetStreamReadonlyRequest>,
    ) -> Result<Response<api::SetStreamReadonlyResponse>, Status> {
        unary!(self.on_set_stream_readonly(request) as "SetStreamReadonly")
    }

    async fn subscribe(&self, request: Request<api::SubscribeRequest>) -> Result<Response<Messages>, Status> {
        // Only the beginning is bound to the caller's deadline; the client ends what follows.
        unary!(self.on_subscribe(request) as "Subscribe")
    }

    async fn fetch_metadata(
        &self,
        request: Request<api::FetchMetadataRequest>,
    ) -> Result<Response<api::FetchMetadataResponse>, Status> {
        unary!(self.on_fetch_metadata(request) as "FetchMetadata")
    }

    async fn fetch_partition_metadata(
        &self,
        request: Request<api::FetchPartitionMetadataRequest>,
    ) -> Result<Response<api::FetchPartitionMetadataResponse>, Status> {
        unary!(self.on_fetch_partition_metadata(request) as "FetchPartitionMetadata")
    }

    async fn publish(&self, request: Request<api::PublishRequest>) -> Result<Response<api::PublishResponse>, Status> {
        unary!(self.on_publish(request) as "Publish")
    }

    /// Never called: [`PublishAsyncRoute`](super::publish_async::PublishAsyncRoute) stands in front of it.
    async fn publish_async(&self, _: Request<Streaming<api::PublishRequest>>) -> Result<Response<Never>, Status> {
        Err(Status::internal("PublishAsync was not routed to where it is served"))
    }

    async fn publish_to_subject(
        &self,
        request: Request<api::PublishToSubjectRequest>,
    ) -> Result<Response<api::PublishToSubjectResponse>, Status> {
        unary!(self.on_publish_to_subject(request) as "PublishToSubject")
    }

    async fn set_cursor(&self, _: Request<api::SetCursorRequest>) -> Result<Response<api::SetCursorResponse>, Status> {
        unimplemented(CURSORS)
    }

    async fn fetch_cursor(
        &self,
        _: Request<api::FetchCursorRequest>,
    ) -> Result<Response<api::FetchCursorResponse>, Status> {
        unimplemented(CURSORS)
    }

    async fn join_consumer_group(
        &self,
        _: Request<api::JoinConsumerGroupRequest>,
    ) -> Result<Response<api::JoinConsumerGroupResponse>, Status> {
        unimplemented(GROUPS)
    }

    async fn leave_consumer_group(
        &self,
        _: Request<api::LeaveConsumerGroupRequest>,
    ) -> Result<Response<api::LeaveConsumerGroupResponse>, Status> {
        unimplemented(GROUPS)
    }

    async fn fetch_consumer_group_assignments(
        &self,
        _: Request<api::FetchConsumerGroupAssignmentsRequest>,
    ) -> Result<Response<api::FetchConsumerGroupAssignmentsResponse>, Status> {
        unimplemented(GROUPS)
    }

    async fn report_consumer_group_coordinator(
        &self,
        _: Request<api::ReportConsumerGroupCoordinatorRequest>,
    ) -> Result<Response<api::ReportConsumerGroupCoordinatorResponse>, Status> {
        unimplemented(GROUPS)
    }
}
