//! Creating, deleting, pausing and write-protecting streams.

use liftbridge_broker::{DeleteStream, PauseStream, SetStreamReadonly};
use liftbridge_proto::api;
use tonic::{Request, Status};

use super::{ApiService, convert, status};
use crate::gate::identity_of;

impl ApiService {
    pub(super) async fn on_create_stream(
        &self,
        request: Request<api::CreateStreamRequest>,
    ) -> Result<api::CreateStreamResponse, Status> {
        let identity = identity_of(&request);
        let create = convert::create_stream(request.into_inner()).map_err(|error| status::invalid(&error))?;
        let create = self.gate.admit(&identity, create).map_err(|denied| status::denied(&denied))?;
        self.broker.create_stream(create).await.map_err(|error| status::create_stream(&error))?;
        Ok(api::CreateStreamResponse {})
    }

    pub(super) async fn on_delete_stream(
        &self,
        request: Request<api::DeleteStreamRequest>,
    ) -> Result<api::DeleteStreamResponse, Status> {
        let identity = identity_of(&request);
        let delete = DeleteStream { name: request.into_inner().name };
        let delete = self.gate.admit(&identity, delete).map_err(|denied| status::denied(&denied))?;
        self.broker.delete_stream(delete).await.map_err(|error| status::delete_stream(&error))?;
        Ok(api::DeleteStreamResponse {})
    }

    pub(super) async fn on_pause_stream(
        &self,
        request: Request<api::PauseStreamRequest>,
    ) -> Result<api::PauseStreamResponse, Status> {
        let identity = identity_of(&request);
        let wire = request.into_inner();
        let pause = PauseStream { name: wire.name, partitions: wire.partitions, resume_all: wire.resume_all };
        let pause = self.gate.admit(&identity, pause).map_err(|denied| status::denied(&denied))?;
        self.broker.pause_stream(pause).await.map_err(|error| status::pause_stream(&error))?;
        Ok(api::PauseStreamResponse {})
    }

    pub(super) async fn on_set_stream_readonly(
        &self,
        request: Request<api::SetStreamReadonlyRequest>,
    ) -> Result<api::SetStreamReadonlyResponse, Status> {
        let identity = identity_of(&request);
        let wire = request.into_inner();
        let set = SetStreamReadonly { name: wire.name, partitions: wire.partitions, readonly: wire.readonly };
        let set = self.gate.admit(&identity, set).map_err(|denied| status::denied(&denied))?;
        self.broker.set_stream_readonly(set).await.map_err(|error| status::set_stream_readonly(&error))?;
        Ok(api::SetStreamReadonlyResponse {})
    }
}
