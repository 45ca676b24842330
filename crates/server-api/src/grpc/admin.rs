//! Service `liftbridge.v1.Admin`: what people who run a cluster ask. Owns the order in which a call is checked; never an answer.

use liftbridge_auth::Action;
use liftbridge_broker::RemoveMember;
use liftbridge_proto::v1;
use liftbridge_proto::v1::admin_server::Admin;
use tonic::{Request, Response, Status};

use super::deadline::deadline;
use super::{ApiService, convert, status};
use crate::gate::{EVERYTHING, identity_of, timed};

#[tonic::async_trait]
impl Admin for ApiService {
    async fn cluster_status(
        &self,
        request: Request<v1::ClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatusResponse>, Status> {
        let deadline = deadline(&request)?;
        timed("ClusterStatus", deadline, self.on_cluster_status(request)).await.map(Response::new)
    }

    async fn remove_member(
        &self,
        request: Request<v1::RemoveMemberRequest>,
    ) -> Result<Response<v1::RemoveMemberResponse>, Status> {
        let deadline = deadline(&request)?;
        timed("RemoveMember", deadline, self.on_remove_member(request)).await.map(Response::new)
    }

    async fn explain_partition(
        &self,
        request: Request<v1::ExplainPartitionRequest>,
    ) -> Result<Response<v1::ExplainPartitionResponse>, Status> {
        let deadline = deadline(&request)?;
        timed("ExplainPartition", deadline, self.on_explain_partition(request)).await.map(Response::new)
    }
}

impl ApiService {
    async fn on_cluster_status(
        &self,
        request: Request<v1::ClusterStatusRequest>,
    ) -> Result<v1::ClusterStatusResponse, Status> {
        let admitted = self
            .gate
            .admit_question(&identity_of(&request), Action::ClusterStatus, EVERYTHING)
            .map_err(|denied| status::denied(&denied))?;
        let page = convert::troubled_page(&request.into_inner());
        Ok(convert::cluster_status(self.broker.describe_cluster(&admitted, page)))
    }

    async fn on_remove_member(
        &self,
        request: Request<v1::RemoveMemberRequest>,
    ) -> Result<v1::RemoveMemberResponse, Status> {
        let identity = identity_of(&request);
        let wire = request.into_inner();
        let remove = RemoveMember { id: wire.id, forced: wire.force };
        let remove = self.gate.admit(&identity, remove).map_err(|denied| status::denied(&denied))?;
        self.broker.remove_member(remove).await.map_err(|error| status::remove_member(&error))?;
        Ok(v1::RemoveMemberResponse {})
    }

    async fn on_explain_partition(
        &self,
        request: Request<v1::ExplainPartitionRequest>,
    ) -> Result<v1::ExplainPartitionResponse, Status> {
        let identity = identity_of(&request);
        let wire = request.into_inner();
        let admitted = self
            .gate
            .admit_question(&identity, Action::ExplainPartition, &wire.stream)
            .map_err(|denied| status::denied(&denied))?;
        let explained = self.broker.explain_partition(&admitted, &wire.stream, wire.partition, wire.agreed_only).await;
        explained.map(convert::explained_partition).map_err(|error| status::explain_partition(&error))
    }
}
