//! `subscribe`: messages of one partition or of all, in any of three forms. Owns which partitions are read from where to where;
//! `message_view` owns how a message looks, `partition_read` how a partition is read on behind what is damaged in it.

mod partition_read;

use futures_util::stream::select_all;
use futures_util::{Stream, StreamExt};
use liftbridge_client::{
    CallError, Client, Code, Offset, PartitionId, PartitionInfoError, ReceivedMessage, Start, Stop, Subscribe,
    SubscribeError, Subscription,
};

use crate::arguments::ConnectionArguments;
use crate::failure::{self, Failure};
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
    let mut writer = Writer::new(&arguments, output, partitions.len() > 1);
    let reads = partitions.into_iter().map(|partition| partition_read::messages(&arguments, &client, partition));
    if arguments.follow {
        writer.write_all(select_all(reads)).await?;
    } else {
        for read in reads {
            writer.write_all(read).await?;
        }
    }
    writer.finish()
}

async fn partitions(client: &Client, stream: &str) -> Result<Vec<PartitionId>, Failure> {
    let metadata = client.fetch_metadata(&[stream]).await?;
    match metadata.streams.iter().find(|info| info.name == stream) {
        Some(info) => Ok(info.partitions.iter().map(|partition| partition.id).collect()),
        None => Err(Failure::NoSuchStream { name: stream.to_owned() }),
    }
}

/// Writes messages as they come, and tells of what cannot be read.
struct Writer<'a> {
    arguments: &'a SubscribeArguments,
    output: &'a mut Output,
    /// Messages still to be written.
    left: u64,
    /// Whether there are other partitions, which are read whatever becomes of one.
    has_others: bool,
    damaged: u64,
    broken_off: u64,
}

impl<'a> Writer<'a> {
    fn new(arguments: &'a SubscribeArguments, output: &'a mut Output, has_others: bool) -> Self {
        let left = arguments.limit.unwrap_or(u64::MAX);
        Self { arguments, output, left, has_others, damaged: 0, broken_off: 0 }
    }

    /// Writes until the messages end or as many are written as there should be, flushing whenever none is ready.
    async fn write_all(
        &mut self,
        messages: impl Stream<Item = Result<ReceivedMessage, Failure>> + Unpin,
    ) -> Result<(), Failure> {
        let mut chunks = messages.ready_chunks(MESSAGES_PER_FLUSH_MAX);
        while self.left > 0 {
            let Some(chunk) = chunks.next().await else { break };
            for message in chunk {
                match message {
                    Ok(message) if self.left > 0 => self.arguments.write(&message, self.output)?,
                    Ok(_) => break,
                    Err(failure) => {
                        self.pass_over(failure)?;
                        continue;
                    }
                }
                self.left -= 1;
            }
            self.output.flush()?;
        }
        Ok(())
    }

    /// Tells of what cannot be read at once, in its place among the messages, unless it ends everything.
    fn pass_over(&mut self, failure: Failure) -> Result<(), Failure> {
        self.output.flush()?;
        match &failure {
            Failure::Subscribe(SubscribeError::DataLoss { .. }) => self.damaged += 1,
            _ if self.has_others => self.broken_off += 1,
            _ => return Err(failure),
        }
        failure::tell(&failure);
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self { damaged: 0, broken_off: 0, .. } => Ok(()),
            Self { damaged, broken_off, .. } => Err(Failure::NotAllRead { damaged, broken_off }),
        }
    }
}

impl SubscribeArguments {
    /// Begins to read a partition, or goes on with it `behind` damage; `None` when it has nothing between the positions asked for.
    async fn begin(
        &self,
        client: &Client,
        partition: PartitionId,
        behind: Option<Offset>,
    ) -> Result<Option<Subscription>, Failure> {
        let from_default = if self.reverse { Start::Latest } else { Start::Earliest };
        let start = behind.map_or(self.from.unwrap_or(from_default), Start::Offset);
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
            Err(SubscribeError::Call(error)) if is_empty_range(&error, start, stop, behind.is_some()) => Ok(None),
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
fn is_empty_range(error: &CallError, start: Start, stop: Stop, is_behind: bool) -> bool {
    // Behind damage the beginning is where the server said.
    let is_callers_mistake = !is_behind && matches!((start, stop), (Start::Offset(_), Stop::Offset(_)));
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
