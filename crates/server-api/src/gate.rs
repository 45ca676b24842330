//! The one way in: who asks, whether they may, and how long it took.
//!
//! Owns which action and which resource each request stands for. Nothing happens to the server's state before the gate
//! has said yes; it never carries a request out itself.

use std::future::Future;

use liftbridge_auth::{Action, Authorized, Authorizer, Denied, Identity};
use liftbridge_broker::{
    CreateStream, DeleteStream, PauseStream, Publish, PublishToSubject, RemoveMember, SetStreamReadonly, Subscribe,
};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::metrics;

/// The resource that stands for the whole cluster in access policies.
pub(crate) const EVERYTHING: &str = "*";

/// A request that an access policy speaks about.
pub(crate) trait Governed {
    /// What it does.
    const ACTION: Action;

    /// What it does it to.
    fn resource(&self) -> &str;
}

macro_rules! governed {
    ($($request:ident: $action:ident on $resource:expr;)*) => {$(
        impl Governed for $request {
            const ACTION: Action = Action::$action;

            fn resource(&self) -> &str {
                let resource: fn(&Self) -> &str = $resource;
                resource(self)
            }
        }
    )*};
}

governed! {
    CreateStream: CreateStream on |request| request.name.as_str();
    DeleteStream: DeleteStream on |request| &request.name;
    PauseStream: PauseStream on |request| &request.name;
    SetStreamReadonly: SetStreamReadonly on |request| &request.name;
    Publish: Publish on |request| &request.stream;
    PublishToSubject: PublishToSubject on |request| &request.subject;
    Subscribe: Subscribe on |request| &request.stream;
    RemoveMember: RemoveMember on |_request| EVERYTHING;
}

/// Lets requests in.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    authorizer: Authorizer,
}

impl Gate {
    /// A gate that asks this authorizer.
    pub(crate) fn new(authorizer: Authorizer) -> Self {
        Self { authorizer }
    }

    /// Lets a request in.
    pub(crate) fn admit<T: Governed>(&self, identity: &Identity, request: T) -> Result<Authorized<T>, Denied> {
        self.authorizer.authorize(identity, T::ACTION, request, T::resource)
    }

    /// Lets a question about `resource` in.
    pub(crate) fn admit_question(
        &self,
        identity: &Identity,
        action: Action,
        resource: &str,
    ) -> Result<Authorized<()>, Denied> {
        self.authorizer.authorize_question(identity, action, resource)
    }
}

/// Who sent a request: what the connection it came on has established.
pub(crate) fn identity_of<T>(request: &tonic::Request<T>) -> Identity {
    request.extensions().get::<Identity>().cloned().unwrap_or_default()
}

/// Carries a call out within its deadline and records how long it took and how it ended.
///
/// At the deadline the call is dropped where it waits. That is the same as a client that goes away, which every call has
/// to bear: what was agreed on or stored by then stays so, only nobody is told.
pub(crate) async fn timed<T>(
    rpc: &'static str,
    deadline: Option<Instant>,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let started = Instant::now();
    let result = match deadline {
        None => call.await,
        Some(deadline) => tokio::time::timeout_at(deadline, call)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("context deadline exceeded"))),
    };
    let code = result.as_ref().map_or_else(Status::code, |_| Code::Ok);
    metrics::request_finished(rpc, code, started.elapsed());
    result
}
