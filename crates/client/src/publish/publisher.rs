//! Which publish stream carries which partition. Owns the streams, one per broker, and the rule that keeps a partition's messages
//! in order; never looks at answers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use liftbridge_types::PartitionId;
use parking_lot::Mutex;

use crate::cluster::{Address, Router};
use crate::error::{CallError, PublishError};
use crate::publish::publish_stream::{Broken, PublishStream};
use crate::publish::window::Window;
use crate::publish::{AckFuture, Outgoing, Partitioner};

/// Partitions remembered before those without an outstanding message are forgotten.
const ROUTES_MAX: usize = 10_000;
/// How long closing waits beyond the ack timeout, for a broker that does not end its side.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Held by each outstanding message of a partition; while anyone else holds it, the partition stays on its stream.
pub(crate) type Route = Arc<()>;

#[derive(Debug)]
struct Assigned {
    stream: Arc<PublishStream>,
    route: Route,
}

impl Assigned {
    fn is_binding(&self) -> bool {
        Arc::strong_count(&self.route) > 1 && !self.stream.is_over()
    }
}

/// The publishing half of a client.
///
/// Invariant: as long as a message of a partition is outstanding on a stream that works, the partition's next message takes the same
/// stream, even when its leader has moved: that broker passes it on. So calls made one after the other are stored in that order.
#[derive(Debug)]
pub(crate) struct Publisher {
    router: Arc<Router>,
    window: Window,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    streams: HashMap<Address, Arc<PublishStream>>,
    assigned: HashMap<String, BTreeMap<PartitionId, Assigned>>,
    assigned_count: usize,
    closed: bool,
}

impl Publisher {
    pub(crate) fn new(router: Arc<Router>) -> Self {
        let window = Window::new(router.limits().window);
        Self { router, window, lines: Mutex::default() }
    }

    /// The window of publishes without a producer.
    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// Hands a message to the stream of its partition, opening one where there is none or where it broke.
    pub(crate) async fn send(
        &self,
        stream: &str,
        message: Outgoing,
        window: &Window,
    ) -> Result<AckFuture, PublishError> {
        let place = window.enter(message.payload_bytes()).await?;
        let partition = self.partition(stream, &message).await.map_err(not_sent)?;
        let mut unsent = Broken { message, place };
        loop {
            let (line, route) = self.line(stream, partition).await?;
            match line.send(stream, partition, unsent.message, unsent.place, route).await {
                Ok(ack) => return Ok(ack),
                // The stream ended in between. It is over now, so the next round opens another: this cannot go on for ever
                // without a broker that lets itself be reached each time.
                Err(broken) => unsent = broken,
            }
        }
    }

    async fn partition(&self, stream: &str, message: &Outgoing) -> Result<PartitionId, CallError> {
        if let Partitioner::Fixed(partition) = message.partitioner {
            return Ok(partition);
        }
        let count = self.router.stream(stream).await?.map_or(0, |info| info.partitions.len());
        let key = message.key.as_deref().unwrap_or_default();
        Ok(message.partitioner.choose(key, u32::try_from(count).unwrap_or(u32::MAX)))
    }

    /// The stream the partition is on, or else one to its leader.
    async fn line(&self, stream: &str, partition: PartitionId) -> Result<(Arc<PublishStream>, Route), PublishError> {
        if let Some(found) = self.lines.lock().binding(stream, partition)? {
            return Ok(found);
        }
        let address = self.router.publish_address(stream, partition).await.map_err(not_sent)?;
        let mut lines = self.lines.lock();
        if let Some(found) = lines.binding(stream, partition)? {
            return Ok(found);
        }
        let line = match lines.streams.get(&address).filter(|line| !line.is_over()) {
            Some(line) => Arc::clone(line),
            None => {
                let client = self.router.client(&address).map_err(not_sent)?;
                let line = Arc::new(PublishStream::open(address.clone(), client, Arc::clone(&self.router)));
                lines.streams.retain(|_, line| !line.is_over());
                lines.streams.insert(address, Arc::clone(&line));
                line
            }
        };
        let route = lines.assign(stream, partition, &line);
        Ok((line, route))
    }

    /// Takes no more messages, and waits until the streams have ended, which brokers do when all is answered.
    pub(crate) async fn close(&self) {
        let streams = {
            let mut lines = self.lines.lock();
            lines.closed = true;
            lines.assigned.clear();
            std::mem::take(&mut lines.streams)
        };
        let tasks: Vec<_> = streams.into_values().filter_map(|stream| stream.take_task()).collect();
        let until = tokio::time::Instant::now() + self.router.limits().ack_timeout + CLOSE_GRACE;
        for task in tasks {
            // A task that panicked has nothing more to say, one that takes too long has been waited for.
            let _ = tokio::time::timeout_at(until, task).await;
        }
    }
}

impl Lines {
    fn binding(
        &self,
        stream: &str,
        partition: PartitionId,
    ) -> Result<Option<(Arc<PublishStream>, Route)>, PublishError> {
        if self.closed {
            return Err(PublishError::Closed);
        }
        let assigned = self.assigned.get(stream).and_then(|partitions| partitions.get(&partition));
        let binding = assigned.filter(|assigned| assigned.is_binding());
        Ok(binding.map(|assigned| (Arc::clone(&assigned.stream), Arc::clone(&assigned.route))))
    }

    fn assign(&mut self, stream: &str, partition: PartitionId, line: &Arc<PublishStream>) -> Route {
        if self.assigned_count >= ROUTES_MAX {
            self.assigned.values_mut().for_each(|partitions| partitions.retain(|_, assigned| assigned.is_binding()));
            self.assigned.retain(|_, partitions| !partitions.is_empty());
            self.assigned_count = self.assigned.values().map(BTreeMap::len).sum();
        }
        let route = Route::default();
        let assigned = Assigned { stream: Arc::clone(line), route: Arc::clone(&route) };
        let before = self.assigned.entry(stream.to_owned()).or_default().insert(partition, assigned);
        self.assigned_count += usize::from(before.is_none());
        route
    }
}

fn not_sent(cause: CallError) -> PublishError {
    if cause.retryable() { PublishError::NotSent { cause } } else { PublishError::Refused(cause) }
}
