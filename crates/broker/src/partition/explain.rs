//! Saying how a partition stands where it is led. Owns the way to its worker and back; the replication core knows the reasons.

use std::sync::Arc;
use std::time::Duration;

use liftbridge_replication::Explanation;
use tokio::sync::oneshot;

use crate::partition::Partition;
use crate::partition::lifecycle::{Core, State};
use crate::partition::mailbox::Command;
use crate::partition::role::RoleHere;

impl Partition {
    /// What its leader says of it, in its next turn; `None` when that is not here.
    pub(crate) async fn explain(self: &Arc<Self>) -> Option<Explanation> {
        let (reply, said) = oneshot::channel();
        self.command(Command::Explain(reply)).await;
        said.await.ok()
    }

    /// Answers whoever wants to know, if this broker leads.
    pub(super) fn answer_explain(&self, core: &Core, reply: oneshot::Sender<Explanation>) {
        if let State::Open(replica) = &core.state
            && let RoleHere::Leading(leader) = &replica.role
        {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(leader.explain(self.host.clock.elapsed()));
        }
    }

    /// Notes, for those who look without waiting for a turn, how far behind the followers are.
    pub(super) fn show_lag(&self, role: &RoleHere) {
        self.board.show_behind_since(match role {
            RoleHere::Leading(leader) => leader.behind_since(),
            RoleHere::Following(_) | RoleHere::Waiting { .. } => None,
        });
    }

    /// How long an in-sync follower has not had everything, the longest of them; zero where this broker does not lead.
    pub(crate) fn replication_lag(&self) -> Duration {
        let since = self.board.behind_since();
        since.map_or(Duration::ZERO, |since| self.host.clock.elapsed().saturating_sub(since))
    }
}
