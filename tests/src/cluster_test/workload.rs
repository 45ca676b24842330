//! Publishers under `ALL`, of every kind a client offers. Owns how they publish; what they were told goes into the ledger,
//! and nobody here looks at the servers.

mod one_by_one;
mod pipelined;
mod through_any;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_client::{AckPolicy, Client, Outgoing, PublishError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use super::ledger::Ledger;
use super::message_id::MessageId;

/// How long publishers wait for an ack, and for a connection.
pub(super) const ACK_MAX: Duration = Duration::from_secs(1);
/// How long publishers wait before they go on after a failure.
pub(super) const RETRY_EVERY: Duration = Duration::from_millis(20);
/// Publishers that have many messages on their way.
const PIPELINED: u16 = 3;
/// Publishers that ask any server, not the leader.
const THROUGH_ANY: u16 = 2;
/// The first number of each kind of publisher.
const FIRST_PIPELINED: u16 = 100;
const FIRST_THROUGH_ANY: u16 = 200;
/// The number of the Go client's publisher.
pub(super) const GO_PUBLISHER: u16 = 300;

/// What all publishers share.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) ledger: Arc<Ledger>,
    pub(super) servers: Vec<SocketAddr>,
    pub(super) stream: String,
    pub(super) partitions: u32,
    pub(super) seed: u64,
    /// Whether it is over.
    pub(super) over: watch::Receiver<bool>,
}

impl Load {
    /// Starts all publishers written in Rust. Each ends after it has heard of its last message.
    pub(super) fn start(&self) -> JoinSet<()> {
        let mut publishers = JoinSet::new();
        for partition in 0..self.partitions {
            publishers.spawn(one_by_one::run(self.clone(), partition));
        }
        for number in 0..PIPELINED {
            publishers.spawn(pipelined::run(self.clone(), FIRST_PIPELINED + number));
        }
        for number in 0..THROUGH_ANY {
            publishers.spawn(through_any::run(self.clone(), FIRST_THROUGH_ANY + number));
        }
        publishers
    }

    fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// A client that tries this server first; `None` when the load is over before any answers.
    async fn client(&self, first: u16) -> Option<Client> {
        let mut servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        let count = servers.len();
        servers.rotate_left(usize::from(first) % count);
        let builder = Client::builder(servers).ack_timeout(ACK_MAX).connect_timeout(ACK_MAX).request_timeout(ACK_MAX);
        let mut trying = every(RETRY_EVERY);
        while !self.is_over() {
            match builder.clone().connect().await {
                Ok(client) => return Some(client),
                Err(_) => self.ledger.failed("client: could not connect"),
            }
            trying.tick().await;
        }
        None
    }

    fn message(&self, id: MessageId) -> Outgoing {
        Outgoing::new(id.value()).key(id.key()).ack(AckPolicy::All)
    }
}

/// Turns at least this far apart.
pub(super) fn every(time: Duration) -> Interval {
    let mut interval = tokio::time::interval(time);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The kind of a failure, without what differs from one to the next.
pub(super) fn reason(error: &PublishError) -> String {
    match error {
        PublishError::AckTimeout { .. } => "client: no ack in time".to_owned(),
        PublishError::OutcomeUnknown { .. } => "client: outcome unknown".to_owned(),
        PublishError::NotSent { cause } => format!("client: not sent ({:?})", cause.code),
        PublishError::Refused(cause) => format!("server: {:?} {}", cause.code, cause.message),
        told => format!("server: {told}"),
    }
}
