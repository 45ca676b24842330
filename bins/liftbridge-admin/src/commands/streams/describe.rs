//! `streams describe`: one stream with its partitions, as their leaders see them.

use liftbridge_client::{Client, EventTimes, PartitionInfo, StreamInfo};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, table};
use crate::values;

#[derive(Debug, clap::Args)]
pub(crate) struct DescribeArguments {
    /// Name of the stream.
    name: String,
}

#[derive(Debug, Serialize)]
struct DescriptionView {
    name: String,
    subject: String,
    created: Option<String>,
    partitions: Vec<PartitionView>,
}

#[derive(Debug, Serialize)]
struct PartitionView {
    partition: u32,
    leader: Option<String>,
    replicas: Vec<String>,
    isr: Vec<String>,
    /// Offset after the newest committed message.
    high_watermark: u64,
    /// Offset the next message gets.
    log_end: u64,
    paused: bool,
    readonly: bool,
    messages_received: TimesView,
    pause_changes: TimesView,
    readonly_changes: TimesView,
}

#[derive(Debug, Serialize)]
struct TimesView {
    first: Option<String>,
    latest: Option<String>,
}

pub(super) async fn run(arguments: &DescribeArguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let name = arguments.name.as_str();
    let metadata = client.fetch_metadata(&[name]).await?;
    let Some(stream) = metadata.streams.into_iter().find(|stream| stream.name == name) else {
        return Err(Failure::NoSuchStream { name: name.to_owned() });
    };
    let description = DescriptionView::of(from_leaders(stream, client).await);
    output.result(&description, || description.text())
}

/// The stream with what each partition's leader says of it, where that one can be asked: other brokers' numbers may lag.
async fn from_leaders(mut stream: StreamInfo, client: &Client) -> StreamInfo {
    for partition in stream.partitions.iter_mut().filter(|partition| partition.leader.is_some() && !partition.paused) {
        if let Ok(fresh) = client.fetch_partition_metadata(&stream.name, partition.id).await {
            *partition = fresh;
        }
    }
    stream
}

impl DescriptionView {
    fn of(stream: StreamInfo) -> Self {
        Self {
            name: stream.name,
            subject: stream.subject,
            created: stream.created_at.map(values::time_text),
            partitions: stream.partitions.into_iter().map(PartitionView::of).collect(),
        }
    }

    fn text(&self) -> String {
        let header =
            ["PARTITION", "LEADER", "REPLICAS", "IN SYNC", "HIGH WATERMARK", "LOG END", "STATE", "LAST MESSAGE"];
        let partitions = table(&header, self.partitions.iter().map(PartitionView::cells));
        let created = self.created.as_deref().unwrap_or("-");
        format!("stream   {}\nsubject  {}\ncreated  {created}\n\n{partitions}", self.name, self.subject)
    }
}

impl PartitionView {
    fn of(partition: PartitionInfo) -> Self {
        Self {
            partition: partition.id.get(),
            leader: partition.leader,
            replicas: partition.replicas,
            isr: partition.isr,
            high_watermark: partition.high_watermark.get(),
            log_end: partition.log_end.get(),
            paused: partition.paused,
            readonly: partition.readonly,
            messages_received: TimesView::of(partition.messages_received),
            pause_changes: TimesView::of(partition.pause_changes),
            readonly_changes: TimesView::of(partition.readonly_changes),
        }
    }

    fn cells(&self) -> Vec<String> {
        let state = match (self.paused, self.readonly) {
            (false, false) => "active",
            (true, false) => "paused",
            (false, true) => "read-only",
            (true, true) => "paused, read-only",
        };
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.partition.to_string(),
            or_dash(&self.leader),
            self.replicas.join(","),
            self.isr.join(","),
            self.high_watermark.to_string(),
            self.log_end.to_string(),
            state.to_owned(),
            or_dash(&self.messages_received.latest),
        ]
    }
}

impl TimesView {
    fn of(times: EventTimes) -> Self {
        Self { first: times.first.map(values::time_text), latest: times.latest.map(values::time_text) }
    }
}
