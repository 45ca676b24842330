//! The decision itself. Owns actions and their names in policies; never where requests come from.

use thiserror::Error;

use crate::{Authorized, Identity};

/// What a request wants to do, named as in access policies (behaviour spec, section 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Create a stream.
    CreateStream,
    /// Delete a stream.
    DeleteStream,
    /// Pause partitions of a stream.
    PauseStream,
    /// Make partitions of a stream read-only or writable.
    SetStreamReadonly,
    /// Read from a stream.
    Subscribe,
    /// Learn about brokers and streams.
    FetchMetadata,
    /// Learn about one partition from its leader.
    FetchPartitionMetadata,
    /// Write to a stream, one by one or pipelined.
    Publish,
    /// Write to every stream on a subject.
    PublishToSubject,
    /// Learn about the cluster's members and its partitions in trouble.
    ClusterStatus,
    /// Take a server out of the cluster.
    RemoveMember,
    /// Learn why a partition commits or does not.
    ExplainPartition,
}

impl Action {
    /// The action's name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateStream => "CreateStream",
            Self::DeleteStream => "DeleteStream",
            Self::PauseStream => "PauseStream",
            Self::SetStreamReadonly => "SetStreamReadonly",
            Self::Subscribe => "Subscribe",
            Self::FetchMetadata => "FetchMetadata",
            Self::FetchPartitionMetadata => "FetchPartitionMetadata",
            Self::Publish => "Publish",
            Self::PublishToSubject => "PublishToSubject",
            Self::ClusterStatus => "ClusterStatus",
            Self::RemoveMember => "RemoveMember",
            Self::ExplainPartition => "ExplainPartition",
        }
    }
}

/// The policy said no.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("The client is not authorized to call {action} on resource {resource}")]
pub struct Denied {
    /// The action's name.
    pub action: &'static str,
    /// The stream, subject or `*` it was asked for.
    pub resource: String,
}

/// Decides who may do what.
///
/// Without an access policy everybody who can connect may do everything; a server configured with one refuses to start
/// until it can enforce it.
#[derive(Clone, Debug, Default)]
pub struct Authorizer {
    _private: (),
}

impl Authorizer {
    /// The authorizer of a server without an access policy.
    pub fn allow_all() -> Self {
        Self::default()
    }

    /// Lets `request` through as `identity`, or says why not. `resource` names what of the request is to be touched.
    ///
    /// # Errors
    /// [`Denied`] when the policy does not allow `action` on the resource.
    pub fn authorize<T>(
        &self,
        identity: &Identity,
        _action: Action,
        request: T,
        _resource: impl FnOnce(&T) -> &str,
    ) -> Result<Authorized<T>, Denied> {
        Ok(Authorized::new(request, identity.clone()))
    }

    /// Lets a question about `resource` through as `identity`, or says why not.
    ///
    /// # Errors
    /// [`Denied`] when the policy does not allow `action` on the resource.
    pub fn authorize_question(
        &self,
        identity: &Identity,
        action: Action,
        resource: &str,
    ) -> Result<Authorized<()>, Denied> {
        let question = self.authorize(identity, action, resource, |resource| resource)?;
        Ok(Authorized::new((), question.identity().clone()))
    }
}
