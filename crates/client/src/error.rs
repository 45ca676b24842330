//! Why the client says no: one enum per operation, made of a few shared parts. Owns the reasons and what to do about them;
//! never how they looked on the wire (`convert` does).

mod admin;
mod call;
mod connect;
mod partition_name;
mod publish;
mod streams;
mod subscribe;

pub use admin::{ExplainError, RemoveMemberError};
pub use call::CallError;
pub use connect::ConnectError;
pub use partition_name::PartitionName;
pub use publish::PublishError;
pub use streams::{ChangeStreamError, CreateStreamError, PartitionInfoError, RouteError};
pub use subscribe::SubscribeError;
