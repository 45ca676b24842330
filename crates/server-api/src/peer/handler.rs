//! What is done with messages and calls of other servers. Owns the port between the wire and the broker; never either.

use liftbridge_broker::QueuedOutcome;
use liftbridge_proto::v1;
use liftbridge_types::BrokerId;
use tokio::sync::mpsc;

use crate::peer::pairs::LinkEvent;

/// Takes in what other servers say. They have proven who they are.
#[tonic::async_trait]
pub(crate) trait Handler: Send + Sync + 'static {
    /// A message on a link. Must not wait for anything.
    fn on_message(&self, from: &BrokerId, message: v1::LinkMessage);

    /// Whether messages get through to and from a peer. Must not wait for anything.
    fn on_link(&self, peer: &BrokerId, event: LinkEvent);

    /// Somebody wants to become a member.
    async fn join(&self, from: &BrokerId, request: v1::JoinRequest) -> v1::JoinAnswer;

    /// A broker is alive.
    async fn heartbeat(&self, from: &BrokerId, request: v1::HeartbeatRequest) -> v1::HeartbeatAnswer;

    /// Another server wants something agreed on. Dropped at its deadline.
    async fn propose(&self, from: &BrokerId, request: v1::ProposeRequest) -> v1::ProposeAnswer;

    /// A message of another server's client. Waits only while the broker lets nothing in; its outcome goes to `outcomes`.
    async fn publish(&self, message: v1::ForwardedPublish, outcomes: &mpsc::UnboundedSender<QueuedOutcome>);
}
