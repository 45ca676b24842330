//! From the other servers to the partitions they speak about. Owns the look-up; never what is said.

use liftbridge_types::BrokerId;

use crate::node::Node;
use crate::partition::PeerEvent;
use crate::peers::PartitionMessage;

impl Node {
    /// Another server said something about a partition. Never waits. About one that is not here nothing is answered: either the
    /// metadata here will catch up, or the other's.
    pub(crate) fn on_partition_message(&self, from: &BrokerId, message: PartitionMessage) {
        let PartitionMessage { stream, partition, message } = message;
        if let Some(replica) = self.streams.replica(stream, partition) {
            replica.hear(PeerEvent::Message { from: from.clone(), message });
        }
    }

    /// The way to another server opened, or closed. Never waits.
    pub(crate) fn on_link(&self, peer: &BrokerId, is_up: bool) {
        self.tell_all(|| PeerEvent::Link { to: peer.clone(), is_up });
    }

    /// The session with the controller lapsed: what is led here may be led elsewhere by now. Or it was renewed. Never waits.
    pub(crate) fn on_session(&self, is_lapsed: bool) {
        self.host.note_session(is_lapsed);
        self.tell_all(|| PeerEvent::Session { is_lapsed });
    }

    fn tell_all(&self, event: impl Fn() -> PeerEvent) {
        for stream in self.streams.all() {
            for replica in stream.replicas().filter(|replica| replica.is_replicated()) {
                replica.hear(event());
            }
        }
    }
}
