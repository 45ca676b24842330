//! `streams describe`: one stream with its partitions, as their leaders see them.

use liftbridge_client::{Client, ClusterSurvey, EventTimes, PartitionInfo, StreamInfo, TroubledPage};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, table};
use crate::values;

/// As many partitions in trouble as a server lists at once.
const EVERYTHING: TroubledPage = TroubledPage { skipped: 0, max: 1000 };

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
    /// Why nothing can be stored where it is led, if that is so.
    offline: Option<String>,
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
    let stream = from_leaders(stream, client).await;
    // Whoever may see the stream need not be allowed to see this.
    let survey = client.survey_cluster(EVERYTHING).await.ok();
    let description = DescriptionView::of(stream, survey.as_ref());
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

/// Why nothing can be stored where a partition is led, if that is so and its leader says it.
fn offline(survey: &ClusterSurvey, stream: &str, partition: &PartitionInfo) -> Option<String> {
    let leader = survey.servers.iter().find(|server| Some(&server.id) == partition.leader.as_ref())?;
    let troubles = leader.storage.as_ref().ok()?;
    let mut replicas = troubles.replicas.iter();
    let replica = replicas.find(|replica| replica.stream == stream && replica.partition == partition.id)?;
    replica.storage.offline.clone()
}

impl DescriptionView {
    fn of(stream: StreamInfo, survey: Option<&ClusterSurvey>) -> Self {
        let offline = |partition: &PartitionInfo| survey.and_then(|survey| offline(survey, &stream.name, partition));
        let partitions = stream.partitions.iter().map(|partition| (partition.clone(), offline(partition)));
        let partitions = partitions.map(|(partition, offline)| PartitionView::of(partition, offline)).collect();
        Self {
            name: stream.name,
            subject: stream.subject,
            created: stream.created_at.map(values::time_text),
            partitions,
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
    fn of(partition: PartitionInfo, offline: Option<String>) -> Self {
        Self {
            partition: partition.id.get(),
            leader: partition.leader,
            replicas: partition.replicas,
            isr: partition.isr,
            high_watermark: partition.high_watermark.get(),
            log_end: partition.log_end.get(),
            paused: partition.paused,
            readonly: partition.readonly,
            offline,
            messages_received: TimesView::of(partition.messages_received),
            pause_changes: TimesView::of(partition.pause_changes),
            readonly_changes: TimesView::of(partition.readonly_changes),
        }
    }

    fn state(&self) -> &'static str {
        match (self.paused, self.readonly) {
            (false, _) if self.offline.is_some() => "offline",
            (false, false) => "active",
            (true, false) => "paused",
            (false, true) => "read-only",
            (true, true) => "paused, read-only",
        }
    }

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.partition.to_string(),
            or_dash(&self.leader),
            self.replicas.join(","),
            self.isr.join(","),
            self.high_watermark.to_string(),
            self.log_end.to_string(),
            self.state().to_owned(),
            or_dash(&self.messages_received.latest),
        ]
    }
}

impl TimesView {
    fn of(times: EventTimes) -> Self {
        Self { first: times.first.map(values::time_text), latest: times.latest.map(values::time_text) }
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_client::{
        ClusterStatus, Offset, PartitionCounts, PartitionId, ReplicaStorage, StorageTroubles, SurveyedServer,
        TroubledReplica,
    };

    use super::*;

    fn partition(number: u32, leader: Option<&str>) -> PartitionInfo {
        PartitionInfo {
            id: PartitionId::new(number).unwrap(),
            leader: leader.map(ToOwned::to_owned),
            replicas: vec!["a".to_owned(), "b".to_owned()],
            isr: vec!["a".to_owned(), "b".to_owned()],
            high_watermark: Offset::ZERO,
            log_end: Offset::ZERO,
            paused: false,
            readonly: false,
            messages_received: EventTimes::default(),
            pause_changes: EventTimes::default(),
            readonly_changes: EventTimes::default(),
        }
    }

    /// `a` says that partition 1 is offline there.
    fn survey() -> ClusterSurvey {
        let storage = ReplicaStorage { offline: Some("sync failed".to_owned()), ..ReplicaStorage::default() };
        let replica = TroubledReplica { stream: "orders".to_owned(), partition: PartitionId::new(1).unwrap(), storage };
        let troubles = StorageTroubles { offline: 1, replicas: vec![replica], ..StorageTroubles::default() };
        let status = ClusterStatus {
            cluster_id: "c".to_owned(),
            feature_level: 2,
            answered_by: "a".to_owned(),
            controller: None,
            cut_off: false,
            members: Vec::new(),
            counts: PartitionCounts::default(),
            troubled: Vec::new(),
            storage: troubles.clone(),
        };
        ClusterSurvey { status, servers: vec![SurveyedServer { id: "a".to_owned(), storage: Ok(troubles) }] }
    }

    #[track_caller]
    fn check(number: u32, leader: Option<&str>, survey: Option<&ClusterSurvey>, expected: &str) {
        let partition = partition(number, leader);
        let offline = survey.and_then(|survey| offline(survey, "orders", &partition));
        assert_eq!(PartitionView::of(partition, offline).state(), expected);
    }

    #[test]
    fn a_partition_is_offline_when_its_leader_says_so() {
        let survey = survey();
        check(1, Some("a"), Some(&survey), "offline");
        check(0, Some("a"), Some(&survey), "active");
        check(1, Some("b"), Some(&survey), "active");
        check(1, None, Some(&survey), "active");
        check(1, Some("a"), None, "active");
    }
}
