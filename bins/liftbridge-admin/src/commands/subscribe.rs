//! `subscribe`: messages of one partition or of all, in any of three forms. Owns which partitions are read from where to where;
//! `message_view` owns how a message looks.

use futures_util::StreamExt;
use futures_util::stream::select_all;
use liftbridge_client::{
    CallError, Client, Code, Offset, PartitionId, PartitionInfoError, ReceivedMessage, Start, Stop, Subscribe,
    SubscribeError, Subscription,
};

use crate::arguments::ConnectionArguments;
use crate::failure::Failure;
use crate::message_view::MessageView;
use crate::output::{Format, Output};
use crate::values;

/// Messages written before the output is flushed, when more are there at once.
const MESSAGES_PER_FLUSH_MAX: usize = 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct SubscribeArguments {
    /// Stream to read.
    stream: String,
    /// Read only this partition. Without --follow, all partitions are read one after the other.
    #[arg(long, value_parser = values::partition, value_name = "NUMBER")]
    partition: Option<PartitionId>,
    /// Where to begin: earliest, latest, new, offset:N, time:RFC3339 or time:NANOSECONDS. Default: earliest; with --reverse, latest.
    #[arg(long, value_parser = values::start, value_name = "POSITION")]
    from: Option<Start>,
    /// Where to end: latest, offset:N, time:RFC3339 or time:NANOSECONDS. Default: the newest message there is now; with --follow,
    /// never; with --reverse, the oldest.
    #[arg(long, value_parser = values::stop, value_name = "POSITION")]
    to: Option<Stop>,
    /// From newer to older.
    #[arg(long, conflicts_with = "follow")]
    reverse: bool,
    /// Wait for what is still to be published, up to the position of --to if there is one.
    #[arg(long)]
    follow: bool,
    /// Wake paused partitions.
    #[arg(long)]
    resume: bool,
    /// Read from any in-sync replica, which may lag a little, instead of the leader.
    #[arg(long)]
    read_isr_replica: bool,
    /// Stop after so many messages.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Write nothing but each value and a line feed.
    #[arg(long)]
    values: bool,
}

pub(crate) async fn run(
    arguments: SubscribeArguments,
    connection: &ConnectionArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    if arguments.from == Some(Start::NewOnly) && !arguments.follow {
        return Err(Failure::Usage("`--from new` waits for what is published from now on: add --follow".to_owned()));
    }
    let client = connection.connect().await?;
    let partitions = match arguments.partition {
        Some(partition) => vec![partition],
        None => partitions(&client, &arguments.stream).await?,
    };
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    if arguments.follow {
        let mut subscriptions = Vec::new();
        for partition in partitions {
            subscriptions.extend(arguments.begin(&client, partition).await?);
        }
        return write_all(select_all(subscriptions), &mut left, &arguments, output).await;
    }
    for partition in partitions {
        if let Some(subscription) = arguments.begin(&client, partition).await? {
            write_all(subscription, &mut left, &arguments, output).await?;
        }
    }
    Ok(())
}

async fn partitions(client: &Client, stream: &str) -> Result<Vec<PartitionId>, Failure> {
    let metadata = client.fetch_metadata(&[stream]).await?;
    match metadata.streams.iter().find(|info| info.name == stream) {
        Some(info) => Ok(info.partitions.iter().map(|partition| partition.id).collect()),
        None => Err(Failure::NoSuchStream { name: stream.to_owned() }),
    }
}

/// Writes until the messages end or `left` are written, flushing whenever none is ready.
async fn write_all(
    messages: impl futures_util::Stream<Item = Result<ReceivedMessage, SubscribeError>> + Unpin,
    left: &mut u64,
    arguments: &SubscribeArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut chunks = messages.ready_chunks(MESSAGES_PER_FLUSH_MAX);
    while *left > 0 {
        let Some(chunk) = chunks.next().await else { break };
        for message in chunk {
            match message {
                Ok(message) if *left > 0 => arguments.write(&message, output)?,
                Ok(_) => break,
                Err(error) => {
                    output.flush()?;
                    return Err(error.into());
                }
            }
            *left -= 1;
        }
        output.flush()?;
    }
    Ok(())
}

impl SubscribeArguments {
    /// Begins to read a partition; `None` when it has nothing between the positions asked for.
    async fn begin(&self, client: &Client, partition: PartitionId) -> Result<Option<Subscription>, Failure> {
        let from_default = if self.reverse { Start::Latest } else { Start::Earliest };
        let start = self.from.unwrap_or(from_default);
        let Some(stop) = self.stop(client, partition).await? else { return Ok(None) };
        let mut subscribe = Subscribe::new(&self.stream).partition(partition).start(start).stop(stop);
        if self.reverse {
            subscribe = subscribe.reverse();
        }
        if self.resume {
            subscribe = subscribe.resume();
        }
        if self.read_isr_replica {
            subscribe = subscribe.read_isr_replica();
        }
        match client.subscribe(subscribe).await {
            Ok(subscription) => Ok(Some(subscription)),
            Err(SubscribeError::NothingToRead { .. }) => Ok(None),
            Err(SubscribeError::Call(error)) if is_empty_range(&error, start, stop) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where to end; `None` when the partition is empty. Without --follow nothing that is still to come is waited for.
    async fn stop(&self, client: &Client, partition: PartitionId) -> Result<Option<Stop>, Failure> {
        match self.to {
            None if self.follow || self.reverse => Ok(Some(Stop::OnCancel)),
            None => Ok(Some(Stop::Latest)),
            Some(Stop::Offset(last)) if !self.follow && !self.reverse => {
                let end = self.high_watermark(client, partition).await?;
                let stop = if last < end { Stop::Offset(last) } else { Stop::Latest };
                Ok((end > Offset::ZERO).then_some(stop))
            }
            Some(stop) => Ok(Some(stop)),
        }
    }

    /// The offset after the newest committed message.
    async fn high_watermark(&self, client: &Client, partition: PartitionId) -> Result<Offset, Failure> {
        match client.fetch_partition_metadata(&self.stream, partition).await {
            Ok(info) => Ok(info.high_watermark),
            // Nobody leads a paused partition, but every broker that keeps it knows how far it got.
            Err(error @ PartitionInfoError::NotLeader(_)) => {
                let metadata = client.fetch_metadata(&[&self.stream]).await?;
                let info = metadata.streams.first().and_then(|stream| stream.partition(partition));
                info.map(|info| info.high_watermark).ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn write(&self, message: &ReceivedMessage, output: &mut Output) -> Result<(), Failure> {
        if self.values {
            return output.bytes_line(&message.value);
        }
        let view = MessageView::received(message);
        match output.format() {
            Format::Json => output.json(&view),
            Format::Table => output.line(&view.text()),
        }
    }
}

/// Whether a refusal only says that a partition has nothing in a range that is legal in itself: servers compute both ends first
/// and may find the end before the beginning.
fn is_empty_range(error: &CallError, start: Start, stop: Stop) -> bool {
    let is_callers_mistake = matches!((start, stop), (Start::Offset(_), Stop::Offset(_)));
    match error.code {
        // Before it, or in reverse after it.
        Code::InvalidArgument => error.message.starts_with("Stop offset is ") && !is_callers_mistake,
        Code::Internal => {
            let lookup = error.message.strip_prefix("Failed to lookup offset for timestamp: ");
            lookup.is_some_and(|reason| {
                reason == "timestamp is before the beginning of the log"
                    || reason == "log is empty"
                    || reason.ends_with("EOF")
            })
        }
        _ => false,
    }
}
