//! Questions about brokers, streams and partitions.

use liftbridge_auth::Action;
use liftbridge_proto::api;
use tonic::{Request, Status};

use super::{ApiService, convert, status};
use crate::gate::{EVERYTHING, identity_of};

impl ApiService {
    pub(super) async fn on_fetch_metadata(
        &self,
        request: Request<api::FetchMetadataRequest>,
    ) -> Result<api::FetchMetadataResponse, Status> {
        let admitted = self
            .gate
            .admit_question(&identity_of(&request), Action::FetchMetadata, EVERYTHING)
            .map_err(|denied| status::denied(&denied))?;
        let wire = request.into_inner();
        let stream_metadata = if wire.streams.is_empty() {
            self.broker.describe_all_streams(&admitted).into_iter().map(convert::stream).collect()
        } else {
            let describe = |name: String| match self.broker.describe_stream(&admitted, &name) {
                Some(described) => convert::stream(described),
                None => convert::unknown_stream(name),
            };
            wire.streams.into_iter().map(describe).collect()
        };
        Ok(api::FetchMetadataResponse {
            brokers: self.broker.describe_brokers(&admitted).into_iter().map(convert::broker).collect(),
            stream_metadata,
            group_metadata: wire.groups.into_iter().map(convert::unknown_group).collect(),
        })
    }

    pub(super) async fn on_fetch_partition_metadata(
        &self,
        request: Request<api::FetchPartitionMetadataRequest>,
    ) -> Result<api::FetchPartitionMetadataResponse, Status> {
        let identity = identity_of(&request);
        let wire = request.into_inner();
        let admitted = self
            .gate
            .admit_question(&identity, Action::FetchPartitionMetadata, &wire.stream)
            .map_err(|denied| status::denied(&denied))?;
        let described = self.broker.describe_partition(&admitted, &wire.stream, wire.partition);
        let described = described.map_err(|error| status::describe(&error))?;
        Ok(api::FetchPartitionMetadataResponse { metadata: Some(convert::partition(described)) })
    }
}
