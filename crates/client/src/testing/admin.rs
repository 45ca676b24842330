//! What the scripted broker says to people who run its cluster.

use std::collections::VecDeque;

use liftbridge_proto::v1 as wire;
use liftbridge_proto::v1::admin_server::Admin;
use tonic::{Request, Response, Status};

use super::MockBroker;

/// What it was asked, and what it will say.
#[derive(Default)]
pub(crate) struct AdminScript {
    pub(crate) pages_asked: Vec<wire::ClusterStatusRequest>,
    pub(crate) removed: Vec<wire::RemoveMemberRequest>,
    pub(crate) explain_asked: Vec<wire::ExplainPartitionRequest>,

    pub(crate) status: wire::ClusterStatusResponse,
    /// Answers to questions about a partition, in this order; without one there is no such partition.
    pub(crate) explanations: VecDeque<Result<wire::ExplainPartitionResponse, Status>>,
}

#[tonic::async_trait]
impl Admin for MockBroker {
    async fn cluster_status(
        &self,
        request: Request<wire::ClusterStatusRequest>,
    ) -> Result<Response<wire::ClusterStatusResponse>, Status> {
        self.script().admin.pages_asked.push(request.into_inner());
        self.refuse_or(|script| script.admin.status.clone())
    }

    async fn remove_member(
        &self,
        request: Request<wire::RemoveMemberRequest>,
    ) -> Result<Response<wire::RemoveMemberResponse>, Status> {
        self.script().admin.removed.push(request.into_inner());
        self.refuse_or(|_| wire::RemoveMemberResponse {})
    }

    async fn explain_partition(
        &self,
        request: Request<wire::ExplainPartitionRequest>,
    ) -> Result<Response<wire::ExplainPartitionResponse>, Status> {
        let admin = &mut self.script().admin;
        admin.explain_asked.push(request.into_inner());
        let answer = admin.explanations.pop_front();
        answer.unwrap_or_else(|| Err(Status::not_found("partition not found"))).map(Response::new)
    }
}
