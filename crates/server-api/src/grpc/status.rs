//! Every reason to say no, as the status code and text that clients of the API know.
//!
//! Owns the mapping, one exhaustive match per error so that a new variant cannot be forgotten. It never decides
//! whether to say no.

use liftbridge_auth::Denied;
use liftbridge_broker::{
    ChangeStreamError, CreateStreamError, DescribeError, ExplainError, MetadataUnavailable, PublishError,
    RemoveMemberError, SubscribeError, SubscriptionEnd,
};
use liftbridge_proto::api::{PublishAsyncError, ack, publish_async_error};
use tonic::{Code, Status};

use super::convert::InvalidRequest;

/// The status of a request the access policy forbids.
pub(crate) fn denied(error: &Denied) -> Status {
    Status::permission_denied(error.to_string())
}

/// The status of a request that means nothing.
pub(crate) fn invalid(error: &InvalidRequest) -> Status {
    Status::invalid_argument(error.to_string())
}

/// The status of a stream that was not created.
pub(crate) fn create_stream(error: &CreateStreamError) -> Status {
    let code = match error {
        CreateStreamError::Reserved
        | CreateStreamError::NoPartitions
        | CreateStreamError::TooManyPartitions { .. }
        | CreateStreamError::NoReplicas { .. }
        | CreateStreamError::TooManyReplicas { .. } => Code::InvalidArgument,
        CreateStreamError::Exists => Code::AlreadyExists,
        CreateStreamError::Unsupported { .. } => Code::FailedPrecondition,
        CreateStreamError::Metadata(reason) => return metadata("Failed to replicate partition", reason),
    };
    Status::new(code, error.to_string())
}

/// The status of a stream that was not deleted.
pub(crate) fn delete_stream(error: &ChangeStreamError) -> Status {
    // Every partition is always meant here, and the API's text for a stream that is not there is the other one.
    match error {
        ChangeStreamError::NotFoundForAll => change_stream("", &ChangeStreamError::StreamNotFound),
        error => change_stream("Failed to delete stream", error),
    }
}

/// The status of partitions that were not paused.
pub(crate) fn pause_stream(error: &ChangeStreamError) -> Status {
    change_stream("Failed to pause stream", error)
}

/// The status of partitions that were not made read-only or writable.
pub(crate) fn set_stream_readonly(error: &ChangeStreamError) -> Status {
    change_stream("Failed to set stream readonly flag", error)
}

fn change_stream(operation: &str, error: &ChangeStreamError) -> Status {
    let code = match error {
        ChangeStreamError::Reserved => Code::InvalidArgument,
        ChangeStreamError::NotFoundForAll
        | ChangeStreamError::StreamNotFound
        | ChangeStreamError::PartitionNotFound => Code::NotFound,
        ChangeStreamError::Metadata(reason) => return metadata(operation, reason),
    };
    Status::new(code, error.to_string())
}

/// Clients wait and try again on exactly the code and text of a missing leader, so it gets no prefix.
fn metadata(operation: &str, reason: &MetadataUnavailable) -> Status {
    match reason {
        MetadataUnavailable::NoLeader => Status::internal(reason.to_string()),
        MetadataUnavailable::LogFailed { .. } => Status::internal(format!("{operation}: {reason}")),
        MetadataUnavailable::TooLarge { .. } => Status::resource_exhausted(format!("{operation}: {reason}")),
        MetadataUnavailable::ShuttingDown => Status::unavailable(reason.to_string()),
    }
}

/// The status of a message that was not stored.
pub(crate) fn publish(error: &PublishError) -> Status {
    let code = match error {
        PublishError::NoStream
        | PublishError::InvalidSubject
        | PublishError::AckPolicyRequired
        | PublishError::TooLarge { .. }
        | PublishError::TooManyHeaders { .. } => Code::InvalidArgument,
        PublishError::StreamNotFound { .. } | PublishError::PartitionNotFound { .. } => Code::NotFound,
        PublishError::Readonly { .. } | PublishError::NotLeader => Code::FailedPrecondition,
        PublishError::Resume(reason) => return metadata("Failed to resume stream", reason),
        PublishError::IncorrectOffset { .. } => Code::Unknown,
        PublishError::DiskFull | PublishError::FilesExhausted | PublishError::Overloaded { .. } => {
            Code::ResourceExhausted
        }
        PublishError::Offline { .. }
        | PublishError::TooFewInSync { .. }
        | PublishError::LeadershipMoved
        | PublishError::Closed
        | PublishError::WentOffline { .. }
        | PublishError::Stopped
        | PublishError::ShuttingDown => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}

/// What a pipelining publisher is told of a message that was not stored.
pub(crate) fn publish_async(error: &PublishError) -> PublishAsyncError {
    use publish_async_error::Code;
    let code = match error {
        PublishError::NoStream => {
            // To this call a missing name is the name of a stream that does not exist.
            return publish_async(&PublishError::StreamNotFound { stream: String::new() });
        }
        PublishError::StreamNotFound { .. } | PublishError::PartitionNotFound { .. } => Code::NotFound,
        PublishError::InvalidSubject
        | PublishError::AckPolicyRequired
        | PublishError::TooLarge { .. }
        | PublishError::TooManyHeaders { .. } => Code::BadRequest,
        PublishError::Readonly { .. } => Code::Readonly,
        PublishError::IncorrectOffset { .. } => Code::IncorrectOffset,
        PublishError::Resume(_)
        | PublishError::DiskFull
        | PublishError::FilesExhausted
        | PublishError::Offline { .. }
        | PublishError::TooFewInSync { .. }
        | PublishError::Overloaded { .. }
        | PublishError::NotLeader
        | PublishError::LeadershipMoved
        | PublishError::Closed
        | PublishError::WentOffline { .. }
        | PublishError::Stopped
        | PublishError::ShuttingDown => Code::Internal,
    };
    async_error(code, error)
}

/// What a pipelining publisher is told of a message that means nothing.
pub(crate) fn invalid_async(error: &InvalidRequest) -> PublishAsyncError {
    async_error(publish_async_error::Code::BadRequest, error)
}

/// What a pipelining publisher is told of a message the access policy forbids.
pub(crate) fn denied_async(error: &Denied) -> PublishAsyncError {
    async_error(publish_async_error::Code::PermissionDenied, error)
}

fn async_error(code: publish_async_error::Code, error: &impl ToString) -> PublishAsyncError {
    PublishAsyncError { code: code.into(), message: error.to_string() }
}

/// The acknowledgement that carries this refusal, for the calls that answer with one; `None` = only a status says it.
pub(crate) fn nack(error: &PublishError) -> Option<ack::Error> {
    match error {
        PublishError::IncorrectOffset { .. } => Some(ack::Error::IncorrectOffset),
        PublishError::TooLarge { .. } => Some(ack::Error::TooLarge),
        PublishError::NoStream
        | PublishError::StreamNotFound { .. }
        | PublishError::PartitionNotFound { .. }
        | PublishError::InvalidSubject
        | PublishError::Readonly { .. }
        | PublishError::AckPolicyRequired
        | PublishError::Resume(_)
        | PublishError::TooManyHeaders { .. }
        | PublishError::DiskFull
        | PublishError::FilesExhausted
        | PublishError::Offline { .. }
        | PublishError::TooFewInSync { .. }
        | PublishError::Overloaded { .. }
        | PublishError::NotLeader
        | PublishError::LeadershipMoved
        | PublishError::Closed
        | PublishError::WentOffline { .. }
        | PublishError::Stopped
        | PublishError::ShuttingDown => None,
    }
}

/// The status of a subscription that was not begun.
pub(crate) fn subscribe(error: &SubscribeError) -> Status {
    let code = match error {
        SubscribeError::NotFound => Code::NotFound,
        SubscribeError::NotLeader | SubscribeError::Paused => Code::FailedPrecondition,
        SubscribeError::Resume(MetadataUnavailable::ShuttingDown) | SubscribeError::ShuttingDown => Code::Unavailable,
        SubscribeError::Resume(
            MetadataUnavailable::NoLeader
            | MetadataUnavailable::LogFailed { .. }
            | MetadataUnavailable::TooLarge { .. },
        )
        | SubscribeError::TimestampLookup { .. }
        | SubscribeError::BeforeBeginning
        | SubscribeError::Reader { .. } => Code::Internal,
        SubscribeError::Empty | SubscribeError::TooManySubscriptions { .. } => Code::ResourceExhausted,
        SubscribeError::StopBeforeStart { .. }
        | SubscribeError::StopAfterStart { .. }
        | SubscribeError::StopNegative { .. } => Code::InvalidArgument,
    };
    Status::new(code, error.to_string())
}

/// The status a running subscription ends with.
pub(crate) fn subscription_end(end: &SubscriptionEnd) -> Status {
    let code = match end {
        SubscriptionEnd::StopReached | SubscriptionEnd::ReadonlyEnd => Code::ResourceExhausted,
        SubscriptionEnd::Deleted => Code::NotFound,
        SubscriptionEnd::Paused => Code::FailedPrecondition,
        SubscriptionEnd::DataLoss { .. } => Code::DataLoss,
        SubscriptionEnd::Storage { .. } => Code::Internal,
        SubscriptionEnd::ShuttingDown => Code::Unavailable,
    };
    Status::new(code, end.to_string())
}

/// The status of a partition that was not described.
pub(crate) fn describe(error: &DescribeError) -> Status {
    let code = match error {
        DescribeError::NotFound => Code::NotFound,
        DescribeError::NotLeader => Code::FailedPrecondition,
    };
    Status::new(code, error.to_string())
}

/// The status of a member that was not removed.
pub(crate) fn remove_member(error: &RemoveMemberError) -> Status {
    let code = match error {
        RemoveMemberError::NotFound { .. } => Code::NotFound,
        RemoveMemberError::Refused(_) => Code::FailedPrecondition,
        RemoveMemberError::Metadata(reason) => return metadata("Failed to remove member", reason),
    };
    Status::new(code, error.to_string())
}

/// The status of a partition that was not explained.
pub(crate) fn explain_partition(error: &ExplainError) -> Status {
    let code = match error {
        ExplainError::NotFound => Code::NotFound,
        ExplainError::NotLeader { .. } => Code::FailedPrecondition,
    };
    Status::new(code, error.to_string())
}

#[cfg(test)]
mod tests;
