//! What the tests of a partition share: a clock they move, and a node with one partition.

mod gated_volume;
mod replicas;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use liftbridge_commitlog::{MemoryVolume, Volume};
use liftbridge_replication::Assignment;
use liftbridge_types::{
    AckPolicy, BrokerId, LeaderEpoch, Message, PartitionId, StreamId, StreamName, StreamSettings, Subject, Timestamp,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::admission::AdmissionPermit;
use crate::begun_logs::BegunLogs;
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::partition::{Partition, PartitionHost, PartitionSpec, Proposal};
use crate::publish_reply::{PublishOutcome, PublishReply};
use crate::requests::{PartitionRoute, StartPosition, StopPosition};
use crate::subscription::Subscription;

pub(crate) use gated_volume::GatedVolume;
pub(crate) use replicas::{Replicas, broker};

/// The answer to one publish.
pub(crate) type Answer = oneshot::Receiver<PublishOutcome>;

/// When tests begin.
pub(crate) const BEGIN: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// A clock that moves when it is told to.
#[derive(Debug)]
pub(crate) struct TestClock(Mutex<Duration>);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Duration::ZERO)))
    }

    pub(crate) fn advance(&self, time: Duration) {
        *self.0.lock() += time;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        BEGIN.plus(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock()
    }
}

/// A publish under `LEADER` and its answer.
pub(crate) fn proposal(value: &[u8]) -> (Proposal, Answer) {
    let (reply, answer) = PublishReply::one();
    let proposal = Proposal {
        message: Message { value: Bytes::copy_from_slice(value), ..Message::default() },
        arrived_on: None,
        reply_subject: Bytes::new(),
        ack_policy: AckPolicy::Leader,
        expected_offset: -1,
        reply,
        permit: AdmissionPermit::none(),
    };
    (proposal, answer)
}

/// A node whose duties come when the test says so.
pub(crate) struct Node {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) host: Arc<PartitionHost>,
}

impl Node {
    pub(crate) fn new(volume: Arc<dyn Volume>, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let clock = TestClock::new();
        let mut config = BrokerConfig::new(volume, BrokerId::new("a").unwrap());
        config.log_workers = 2;
        change(&mut config);
        let begun_logs = Arc::new(BegunLogs::open(&*config.volume).unwrap());
        let host = PartitionHost::without_timer(&config, begun_logs, Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, host }
    }

    /// On an empty volume in memory, with the default configuration.
    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::new(MemoryVolume::new()), |_| {})
    }

    pub(crate) fn open(&self, number: u32) -> Arc<Partition> {
        self.open_with(number, |_| {})
    }

    pub(crate) fn open_with(&self, number: u32, change: impl FnOnce(&mut PartitionSpec)) -> Arc<Partition> {
        let mut spec = spec(number);
        change(&mut spec);
        self.host.open(spec)
    }

    /// Time passes, and everything that is due by then is done.
    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance(time);
        self.host.upkeep.run_due();
    }
}

pub(crate) fn spec(number: u32) -> PartitionSpec {
    let subject = Subject::new("foo").unwrap();
    let partition = PartitionId::new(number).unwrap();
    let partition_subject = subject.of_partition(partition);
    let stream = StreamName::new("orders").unwrap();
    let broker_id = BrokerId::new("a").unwrap();
    PartitionSpec {
        route: Arc::new(PartitionRoute { stream, partition, stream_subject: subject, partition_subject }),
        directory: format!("streams/orders/{number}"),
        stream_id: StreamId::new(7),
        assignment: Assignment::sole(broker_id.clone(), LeaderEpoch::new(1)),
        broker_id,
        incarnation: None,
        settings: StreamSettings::default(),
        readonly: false,
        paused: false,
    }
}

/// What the tests do to a partition, in one word each.
pub(crate) trait PartitionTesting {
    /// Hands a message over without waiting for anything.
    fn post_publish(&self, value: &str, ack_policy: AckPolicy, expected_offset: i64) -> Answer;
    /// Publishes and waits for the answer.
    async fn publish_and_wait(&self, value: &str, ack_policy: AckPolicy) -> PublishOutcome;
    /// Begins a subscription that must be possible.
    async fn read(&self, start: StartPosition, stop: StopPosition) -> Subscription;
    /// Waits until the partition has dealt with everything asked of it so far.
    async fn settle(&self);
}

impl PartitionTesting for Arc<Partition> {
    fn post_publish(&self, value: &str, ack_policy: AckPolicy, expected_offset: i64) -> Answer {
        let (mut proposal, answer) = proposal(value.as_bytes());
        proposal.ack_policy = ack_policy;
        proposal.expected_offset = expected_offset;
        self.publish(proposal);
        answer
    }

    async fn publish_and_wait(&self, value: &str, ack_policy: AckPolicy) -> PublishOutcome {
        self.post_publish(value, ack_policy, -1).await.unwrap()
    }

    async fn read(&self, start: StartPosition, stop: StopPosition) -> Subscription {
        self.subscribe(start, stop, false).await.unwrap()
    }

    async fn settle(&self) {
        let readonly = self.status().readonly;
        self.set_readonly(readonly).await;
    }
}
