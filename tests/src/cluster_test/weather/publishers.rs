//! One publisher for each airport, which repeats a reading until it is acknowledged and only then goes on to the next. Owns that
//! order; when the next leg may begin is told from outside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use liftbridge_client::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::readings::Readings;
use crate::cluster_test::Failure;
use crate::cluster_test::ledger::Ledger;
use crate::cluster_test::workload::{ACK_MAX, RETRY_EVERY, every, reason};

/// The publishers of all airports.
pub(super) struct Publishers {
    readings: Arc<Readings>,
    legs: usize,
    open: watch::Sender<usize>,
    acked: watch::Receiver<usize>,
    tasks: JoinSet<Result<(), Failure>>,
}

/// What one publisher needs.
#[derive(Clone)]
struct Airport {
    airport: usize,
    readings: Arc<Readings>,
    servers: Vec<String>,
    stream: String,
    legs: usize,
    open: watch::Receiver<usize>,
    acked: Arc<watch::Sender<usize>>,
    ledger: Arc<Ledger>,
}

impl Publishers {
    /// Starts them; nothing is published before the first leg is opened.
    pub(super) fn start(
        servers: &[SocketAddr],
        stream: &str,
        readings: &Arc<Readings>,
        legs: usize,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let (open, may_publish) = watch::channel(0);
        let (count, acked) = watch::channel(0);
        let count = Arc::new(count);
        let mut tasks = JoinSet::new();
        for airport in 0..readings.airports() {
            let airport = Airport {
                airport,
                readings: Arc::clone(readings),
                servers: servers.iter().map(ToString::to_string).collect(),
                stream: stream.to_owned(),
                legs,
                open: may_publish.clone(),
                acked: Arc::clone(&count),
                ledger: Arc::clone(ledger),
            };
            tasks.spawn(airport.publish());
        }
        Self { readings: Arc::clone(readings), legs, open, acked, tasks }
    }

    /// How many readings are acknowledged.
    pub(super) fn acked(&self) -> watch::Receiver<usize> {
        self.acked.clone()
    }

    /// Lets them publish this leg; how many readings are acknowledged in its middle.
    pub(super) fn open_leg(&self, leg: usize) -> usize {
        self.open.send_replace(leg + 1);
        let airports = (0..self.readings.airports()).map(|airport| self.readings.of_airport(airport));
        airports.map(|count| count * (2 * leg + 1) / (2 * self.legs)).sum()
    }

    /// Waits until everything is acknowledged.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(|error| Failure::new("a publisher", error))??;
        }
        Ok(())
    }
}

impl Airport {
    async fn publish(mut self) -> Result<(), Failure> {
        let builder = Client::builder(self.servers.clone());
        let builder = builder.ack_timeout(ACK_MAX).connect_timeout(ACK_MAX).request_timeout(ACK_MAX);
        let client = builder.connect().await.map_err(|error| Failure::new("no client", error))?;
        let count = self.readings.of_airport(self.airport);
        for number in 0..count {
            let leg = number * self.legs / count;
            self.open.wait_for(|open| *open > leg).await.map_err(|_| Failure("the run ended early".to_owned()))?;
            self.until_acked(&client, number).await;
        }
        client.close().await;
        Ok(())
    }

    /// Publishes one reading until it is acknowledged.
    async fn until_acked(&self, client: &Client, number: usize) {
        let sent = self.ledger.now();
        let partition = self.readings.partition(self.airport);
        let mut trying = every(RETRY_EVERY);
        loop {
            trying.tick().await;
            match client.publish(&self.stream, self.readings.message(self.airport, number)).await {
                Ok(Some(ack)) => {
                    let id = Readings::id(self.airport, number);
                    self.ledger.acked(partition, id, ack.offset.get(), sent);
                    return self.acked.send_modify(|acked| *acked += 1);
                }
                Ok(None) => self.ledger.failed("client: an answer without an ack"),
                Err(error) => self.ledger.failed(&reason(&error)),
            }
        }
    }
}

/// That nothing goes on, and what publishers heard instead.
pub(super) fn stall(ledger: &Ledger, patience: Duration) -> Failure {
    Failure(format!("readings were not acknowledged within {patience:?}: {:?}", ledger.told().failed))
}
