//! Several replicas of one partition, each on a node of its own, with a network that the test holds in its hand and a
//! controller that agrees on what the test says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_commitlog::Volume;
use liftbridge_replication::{Assignment, BrokerLife, InSyncChange};
use liftbridge_types::{AckPolicy, BrokerId, BrokerIncarnation, LeaderEpoch, Offset, PartitionEpoch};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::config::BrokerConfig;
use crate::partition::testing::{Answer, Node, PartitionTesting, spec};
use crate::partition::{Partition, PartitionSpec, PeerEvent, Wish, Wished};
use crate::peers::{
    Heartbeat, HeartbeatAnswer, Join, JoinAnswer, NoPeers, PartitionMessage, PeerCall, PeerInbox, Peers, ProposeAnswer,
};
use crate::publish_reply::PublishReply;
use crate::requests::Publish;

/// Messages on their way, and which ways are closed.
#[derive(Debug, Default)]
struct Network {
    under_way: Mutex<VecDeque<(BrokerId, BrokerId, PartitionMessage)>>,
    closed: Mutex<Vec<(BrokerId, BrokerId)>>,
}

/// One broker's end of it.
#[derive(Debug)]
struct TestPeers {
    me: BrokerId,
    network: Arc<Network>,
}

impl Peers for TestPeers {
    fn introduce(&self, _id: &BrokerId, _cluster_id: Option<&str>) {}

    fn open(&self, _inbox: Arc<dyn PeerInbox>) {}

    fn set_peers(&self, _peers: &BTreeMap<BrokerId, String>) {}

    fn send_metadata(&self, _to: &BrokerId, _message: Bytes) {}

    fn send(&self, to: &BrokerId, message: PartitionMessage) {
        if self.is_linked(to) {
            self.network.under_way.lock().push_back((self.me.clone(), to.clone(), message));
        }
    }

    fn is_linked(&self, to: &BrokerId) -> bool {
        !self.network.closed.lock().contains(&(self.me.clone(), to.clone()))
    }

    fn propose(&self, to: &BrokerId, command: liftbridge_metadata_raft::Command, patience: Duration) -> PeerCall<'_, ProposeAnswer> {
        NoPeers.propose_owned(to, command, patience)
    }

    fn join(&self, address: &str, request: Join) -> PeerCall<'_, JoinAnswer> {
        NoPeers.join_owned(address, request)
    }

    fn heartbeat(&self, to: &BrokerId, heartbeat: Heartbeat) -> PeerCall<'_, HeartbeatAnswer> {
        NoPeers.heartbeat_owned(to, heartbeat)
    }

    fn publish(&self, to: &BrokerId, request: Publish, reply: PublishReply) {
        NoPeers.publish(to, request, reply);
    }
}
