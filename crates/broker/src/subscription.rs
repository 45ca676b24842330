//! One reader of one partition, as fast as it asks and never beyond what is committed.
//!
//! It holds at most one chunk: batches while there is room for them in what all subscriptions may hold together, else a few
//! records. Near the end of the log that comes from memory; further back a blocking read of the segment files, of which there
//! is a bounded number at once over the node, fetches it.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use liftbridge_commitlog::{Batch, BatchError, ForwardReader, LogView, ReadError, ReverseReader};
use liftbridge_types::Offset;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::errors::SubscriptionEnd;
use crate::partition::{
    Chunk, Partition, PeerEvent, READ_BYTES_MODEST, READ_BYTES_TARGET, ReadRange, Step, record_bytes,
};
use crate::read_budget::ReadShare;
use crate::requests::{Delivery, PartitionRoute};

/// A running subscription; dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Subscription {
    partition: Arc<Partition>,
    view: LogView,
    /// Which of the partition's logs the view shows.
    generation: u64,
    /// What is still to be delivered.
    range: ReadRange,
    /// What was read and is not yet delivered.
    chunk: Option<Chunk>,
    /// The reader of the segment files, while it is in use: it keeps a file open.
    reader: Option<LogReader>,
    /// A read under way. Kept here and not in the future, so that dropping the future loses nothing.
    reading: Option<Reading>,
    /// Why it ended.
    end: Option<SubscriptionEnd>,
    _permit: OwnedSemaphorePermit,
}

/// A blocking read under way.
#[derive(Debug)]
struct Reading {
    span: Range<Offset>,
    task: JoinHandle<(LogReader, Result<Fetched, ReadError>)>,
}

/// What a read gave; `None` = no batch.
type Fetched = Result<Option<Chunk>, BatchError>;

/// A reader of segment files.
#[derive(Debug)]
enum LogReader {
    Forward(ForwardReader),
    Reverse(ReverseReader),
}

impl LogReader {
    fn new(view: &LogView, range: &ReadRange) -> Self {
        match *range {
            ReadRange::Forward { next, .. } => Self::Forward(view.reader(next)),
            ReadRange::Reverse { end, .. } => Self::Reverse(view.reverse_reader(end)),
        }
    }

    /// Whether it would go on where the range does.
    fn continues(&self, range: &ReadRange) -> bool {
        match (self, range) {
            (Self::Forward(reader), ReadRange::Forward { next, .. }) => reader.next_offset() == *next,
            (Self::Reverse(reader), ReadRange::Reverse { end, .. }) => reader.end() == *end,
            _ => false,
        }
    }

    /// Blocks on file I/O.
    fn read(&mut self, end: Offset, bytes: usize) -> Result<Vec<Batch>, ReadError> {
        match self {
            Self::Forward(reader) => reader.read(end, bytes),
            Self::Reverse(reader) => reader.read(bytes),
        }
    }
}

impl Subscription {
    pub(crate) fn new(
        partition: Arc<Partition>,
        view: LogView,
        generation: u64,
        range: ReadRange,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        partition.board().count_subscription(true);
        Self {
            partition,
            view,
            generation,
            range,
            chunk: None,
            reader: None,
            reading: None,
            end: None,
            _permit: permit,
        }
    }

    /// Where its records come from.
    pub fn route(&self) -> &Arc<PartitionRoute> {
        self.partition.route()
    }

    /// The next records, waiting for them if need be. Cancel safe.
    ///
    /// # Errors
    /// Why it ended; nothing follows.
    pub async fn next(&mut self) -> Result<Delivery, SubscriptionEnd> {
        loop {
            if let Some(end) = &self.end {
                return Err(end.clone());
            }
            match self.advance().await {
                Ok(delivery) if delivery.is_empty() => {}
                Ok(delivery) => {
                    self.count(&delivery);
                    return Ok(delivery);
                }
                Err(end) => {
                    self.chunk = None;
                    self.reader = None;
                    self.end = Some(end);
                }
            }
        }
    }

    /// One step forward: delivers of what was read, else reads, else waits. Empty when there is another step to take.
    async fn advance(&mut self) -> Result<Delivery, SubscriptionEnd> {
        let delivery = self.deliver()?;
        if !delivery.is_empty() {
            return Ok(delivery);
        }
        if self.reading.is_some() {
            self.finish_reading().await?;
            return Ok(Delivery::new());
        }
        let partition = Arc::clone(&self.partition);
        let mut changed = pin!(partition.board().changed());
        changed.as_mut().enable();
        let seen = partition.board().seen();
        match self.range.step(&seen) {
            Step::End(end) => return Err(end),
            // Paused, and resumed before this subscription looked: what comes now is not in its view.
            _ if seen.generation != self.generation => return Err(SubscriptionEnd::Paused),
            Step::Read(span) => self.read(span).await?,
            Step::Wait => {
                // A subscriber that waits keeps no file open.
                self.reader = None;
                changed.await;
            }
        }
        Ok(Delivery::new())
    }

    /// The next records of the chunk; empty when there is none.
    fn deliver(&mut self) -> Result<Delivery, SubscriptionEnd> {
        let Some(chunk) = &mut self.chunk else { return Ok(Delivery::new()) };
        match chunk.deliver(&mut self.range) {
            Ok(delivery) => {
                if delivery.is_empty() {
                    self.chunk = None;
                }
                Ok(delivery)
            }
            Err(error) => Err(SubscriptionEnd::Storage { reason: error.to_string() }),
        }
    }

    /// Fetches a chunk from memory, or begins to fetch one from the files. Cancel safe: the only wait is for the permit.
    async fn read(&mut self, span: Range<Offset>) -> Result<(), SubscriptionEnd> {
        let reverse = matches!(self.range, ReadRange::Reverse { .. });
        let budget = self.partition.host().read_budget();
        if !reverse && let Some(batches) = self.view.read_tail(span.start, span.end, READ_BYTES_TARGET) {
            self.reader = None;
            let share = budget.share(bytes_of(&batches));
            return self.take_in(&span, fetched(&span, reverse, batches, share));
        }
        self.partition.touch();
        let permit = self.partition.host().admit_read().await;
        // What is read at once shares memory, so that one batch may hold all of it.
        let share = budget.share(READ_BYTES_TARGET);
        let bytes = if share.is_some() { READ_BYTES_TARGET } else { READ_BYTES_MODEST };
        let (view, range, target) = (self.view.clone(), self.range, span.clone());
        let reader = self.reader.take().filter(|reader| reader.continues(&range));
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut reader = reader.unwrap_or_else(|| LogReader::new(&view, &range));
            let batches = reader.read(target.end, bytes);
            // Here and not where it is awaited, which a client can put off for as long as it likes.
            let fetched = batches.map(|batches| {
                let share = share.and_then(|share| share.grow_to(bytes_of(&batches)));
                fetched(&target, reverse, batches, share)
            });
            (reader, fetched)
        });
        self.reading = Some(Reading { span, task });
        Ok(())
    }

    /// Takes in what a blocking read gave.
    async fn finish_reading(&mut self) -> Result<(), SubscriptionEnd> {
        let Some(reading) = &mut self.reading else { return Ok(()) };
        let finished = (&mut reading.task).await;
        let Some(Reading { span, .. }) = self.reading.take() else { return Ok(()) };
        // The runtime is going down, or the read panicked.
        let (reader, fetched) = finished.map_err(|error| SubscriptionEnd::Storage { reason: error.to_string() })?;
        self.reader = Some(reader);
        match fetched {
            Ok(fetched) => self.take_in(&span, fetched),
            Err(error) => Err(self.why_unreadable(error)),
        }
    }

    fn take_in(&mut self, span: &Range<Offset>, fetched: Fetched) -> Result<(), SubscriptionEnd> {
        self.chunk = fetched.map_err(|error| SubscriptionEnd::Storage { reason: error.to_string() })?;
        if self.chunk.is_some() {
            return Ok(());
        }
        if self.view.log_start() >= span.end {
            // Retention removed all of it. Downward that was the oldest record.
            self.range.pass(span);
            return Ok(());
        }
        Err(self.why_nothing(span))
    }

    /// Why a log gave nothing for committed offsets that it is to hold. They are never passed over in silence.
    fn why_nothing(&self, span: &Range<Offset>) -> SubscriptionEnd {
        if self.partition.board().seen().generation != self.generation {
            return SubscriptionEnd::Paused;
        }
        let PartitionRoute { stream, partition, .. } = self.route().as_ref();
        tracing::error!(%stream, %partition, start = %span.start, end = %span.end, "a log holds nothing where it should");
        let reason = format!("nothing is stored at offsets {} to {}", span.start, span.end);
        SubscriptionEnd::Storage { reason }
    }

    fn why_unreadable(&self, error: ReadError) -> SubscriptionEnd {
        let PartitionRoute { stream, partition, .. } = self.route().as_ref();
        match error {
            ReadError::Deleted => SubscriptionEnd::Deleted,
            ReadError::Storage(error) => {
                tracing::error!(%stream, %partition, %error, "could not read a log");
                SubscriptionEnd::Storage { reason: error.to_string() }
            }
            ReadError::Damaged { offsets, file, file_position } => {
                self.partition.host().metrics().damaged_reads.increment(1);
                self.partition.hear(PeerEvent::Damage { offsets: offsets.clone() });
                tracing::error!(%stream, %partition, start = %offsets.start, end = %offsets.end, file, file_position,
                    "stored messages are damaged");
                SubscriptionEnd::DataLoss {
                    stream: stream.to_string(),
                    partition: *partition,
                    start: offsets.start,
                    last: offsets.end.previous().unwrap_or(offsets.start),
                    go_on: self.range.behind(&offsets, self.view.log_start()),
                }
            }
        }
    }

    fn count(&self, delivery: &Delivery) {
        let metrics = self.partition.host().metrics();
        let bytes: usize = delivery.iter().map(record_bytes).sum();
        metrics.messages_out.increment(delivery.len() as u64);
        metrics.bytes_out.increment(bytes as u64);
    }
}

/// What is made of batches that may be held with a `share`.
fn fetched(span: &Range<Offset>, reverse: bool, batches: Vec<Batch>, share: Option<ReadShare>) -> Fetched {
    if batches.is_empty() {
        return Ok(None);
    }
    Chunk::new(span.clone(), reverse, batches, share).map(Some)
}

fn bytes_of(batches: &[Batch]) -> usize {
    batches.iter().map(|batch| batch.bytes().len()).sum()
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.partition.board().count_subscription(false);
    }
}
