//! `partitions explain`: why a partition commits or does not, in one screen.

use std::time::Duration;

use liftbridge_client::{Client, ExplainedPartition, ExplainedReplica, PartitionId};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, table};
use crate::storage_view::StorageView;
use crate::values;

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArguments {
    /// Name of the stream.
    stream: String,
    /// Number of the partition.
    #[arg(value_parser = values::partition)]
    partition: PartitionId,
}

#[derive(Debug, Serialize)]
struct ExplanationView {
    stream: String,
    partition: u32,
    leader: Option<String>,
    leader_epoch: u64,
    partition_epoch: u64,
    paused: bool,
    readonly: bool,
    isr_min: u32,
    /// From the leader; none where it did not answer, or there is none.
    log_start: Option<u64>,
    /// Offset after the newest committed message.
    high_watermark: Option<u64>,
    /// Offset the next message gets.
    log_end: Option<u64>,
    answered_by: String,
    replicas: Vec<ReplicaView>,
    /// What committing waits for.
    waits_for: Vec<String>,
    /// How the files of it are at the server that answered.
    storage: StorageView,
}

#[derive(Debug, Serialize)]
struct ReplicaView {
    id: String,
    leader: bool,
    in_sync: bool,
    /// It is about to be in sync, if the cluster agrees.
    proposed: bool,
    /// It is out of sync and may lead all the same: nothing was committed without it.
    eligible: bool,
    fenced: bool,
    damaged: bool,
    full: bool,
    linked: Option<bool>,
    /// Offset after the newest message on its disk, as far as the leader knows.
    durable_end: Option<u64>,
    /// Messages between that and the end of the leader's log.
    missing: Option<u64>,
    lag_ms: Option<u64>,
    silent_ms: Option<u64>,
}

pub(super) async fn run(arguments: &ExplainArguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let explained = client.explain_partition(&arguments.stream, arguments.partition).await?;
    let view = ExplanationView::of(explained);
    output.result(&view, || view.text())
}

impl ExplanationView {
    fn of(explained: ExplainedPartition) -> Self {
        let log = explained.log;
        let unanswered = explained.leader_failure.map(|failure| format!("its leader does not answer: {failure}"));
        let replica = |replica: ExplainedReplica| {
            let is_leader = explained.leader.as_ref() == Some(&replica.id);
            let missing = log.zip(replica.durable_end).map(|(log, end)| log.log_end.since(end));
            ReplicaView::of(replica, is_leader, missing)
        };
        Self {
            stream: explained.stream,
            partition: explained.partition.get(),
            leader_epoch: explained.leader_epoch,
            partition_epoch: explained.partition_epoch,
            paused: explained.paused,
            readonly: explained.readonly,
            isr_min: explained.in_sync_min,
            log_start: log.map(|log| log.log_start.get()),
            high_watermark: log.map(|log| log.high_watermark.get()),
            log_end: log.map(|log| log.log_end.get()),
            answered_by: explained.answered_by,
            replicas: explained.replicas.into_iter().map(replica).collect(),
            storage: StorageView::of(&explained.storage),
            waits_for: unanswered.into_iter().chain(explained.waits_for).collect(),
            leader: explained.leader,
        }
    }

    fn text(&self) -> String {
        let header = ["REPLICA", "STATE", "LINK", "DURABLE END", "MISSING", "BEHIND FOR", "LAST HEARD"];
        let replicas = table(&header, self.replicas.iter().map(ReplicaView::cells));
        format!(
            "partition  {} of {}{}\nleader     {}, leader epoch {}, partition epoch {}\nin sync    {} of {}, `ALL` needs {}\n\
             log        {}{}\n\n{replicas}\n\n{}",
            self.partition,
            self.stream,
            self.state(),
            self.leader.as_deref().unwrap_or("none"),
            self.leader_epoch,
            self.partition_epoch,
            self.replicas.iter().filter(|replica| replica.in_sync).count(),
            self.replicas.len(),
            self.isr_min,
            self.log(),
            self.storage(),
            self.conclusion(),
        )
    }

    fn state(&self) -> &'static str {
        match (self.paused, self.readonly) {
            (false, false) => "",
            (true, false) => ", paused",
            (false, true) => ", read-only",
            (true, true) => ", paused, read-only",
        }
    }

    fn log(&self) -> String {
        match (self.log_start, self.high_watermark, self.log_end) {
            (Some(start), Some(committed), Some(end)) => {
                let open = end.saturating_sub(committed);
                format!("from {start}, committed to {committed}, written to {end}: {open} not committed")
            }
            _ => format!("not known to `{}`", self.answered_by),
        }
    }

    /// A line about the files, where something is wrong with them.
    fn storage(&self) -> String {
        let trouble = self.storage.text();
        trouble.map(|trouble| format!("\nfiles      at `{}`, {trouble}", self.answered_by)).unwrap_or_default()
    }

    fn conclusion(&self) -> String {
        if self.waits_for.is_empty() && self.log_end.is_none() {
            return "nothing is wrong with what is agreed on".to_owned();
        }
        if self.waits_for.is_empty() {
            return "committing waits for nothing: everything written is committed".to_owned();
        }
        let reasons: Vec<String> = self.waits_for.iter().map(|reason| format!("\n  - {reason}")).collect();
        format!("committing waits because:{}", reasons.concat())
    }
}

impl ReplicaView {
    fn of(replica: ExplainedReplica, leader: bool, missing: Option<u64>) -> Self {
        let milliseconds =
            |time: Option<Duration>| time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Self {
            id: replica.id,
            leader,
            in_sync: replica.in_sync,
            proposed: replica.proposed,
            eligible: replica.eligible,
            fenced: replica.fenced,
            damaged: replica.damaged,
            full: replica.full,
            linked: replica.linked,
            durable_end: replica.durable_end.map(|end| end.get()),
            missing,
            lag_ms: milliseconds(replica.lag),
            silent_ms: milliseconds(replica.silent_for),
        }
    }

    fn cells(&self) -> Vec<String> {
        let or_dash = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let since = |millis: Option<u64>, suffix: &str| match millis {
            None => "-".to_owned(),
            Some(millis) => format!("{}{suffix}", humantime::format_duration(Duration::from_millis(millis))),
        };
        let link = match self.linked {
            None => "-",
            Some(true) => "up",
            Some(false) => "down",
        };
        vec![
            self.id.clone(),
            self.state(),
            link.to_owned(),
            or_dash(self.durable_end),
            or_dash(self.missing),
            since(self.lag_ms, ""),
            since(self.silent_ms, " ago"),
        ]
    }

    fn state(&self) -> String {
        let states = [
            self.leader.then_some("leader"),
            Some(if self.in_sync { "in sync" } else { "out of sync" }),
            (self.proposed && !self.in_sync).then_some("about to be in sync"),
            self.eligible.then_some("has everything committed"),
            self.fenced.then_some("fenced"),
            self.damaged.then_some("damaged"),
            self.full.then_some("disk full"),
        ];
        states.into_iter().flatten().collect::<Vec<&str>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_client::{ExplainedLog, Offset, ReplicaStorage};

    use super::*;

    fn replica(id: &str, durable_end: Option<u64>) -> ExplainedReplica {
        ExplainedReplica {
            id: id.to_owned(),
            in_sync: true,
            proposed: false,
            eligible: false,
            fenced: false,
            durable_end: durable_end.map(Offset::new),
            lag: None,
            silent_for: None,
            linked: None,
            damaged: false,
            full: false,
        }
    }

    fn explained() -> ExplainedPartition {
        let follower = ExplainedReplica {
            lag: Some(Duration::from_millis(4200)),
            silent_for: Some(Duration::from_millis(900)),
            linked: Some(false),
            fenced: true,
            ..replica("b", Some(3))
        };
        ExplainedPartition {
            stream: "orders".to_owned(),
            partition: PartitionId::default(),
            answered_by: "a".to_owned(),
            leader: Some("a".to_owned()),
            leader_epoch: 7,
            partition_epoch: 9,
            paused: false,
            readonly: false,
            in_sync_min: 2,
            replicas: vec![replica("a", Some(5)), follower],
            log: Some(ExplainedLog {
                log_start: Offset::ZERO,
                high_watermark: Offset::new(3),
                log_end: Offset::new(5),
            }),
            waits_for: vec!["`b` has everything before 3 of 5: there is no connection to it".to_owned()],
            storage: ReplicaStorage::default(),
            leader_failure: None,
        }
    }

    #[test]
    fn one_screen_says_who_lacks_what_and_since_when() {
        let text = ExplanationView::of(explained()).text();
        for part in [
            "partition  0 of orders\n",
            "leader     a, leader epoch 7, partition epoch 9\n",
            "in sync    2 of 2, `ALL` needs 2\n",
            "log        from 0, committed to 3, written to 5: 2 not committed\n",
            "in sync, fenced",
            "4s 200ms",
            "900ms ago",
            "committing waits because:\n  - `b` has everything before 3 of 5: there is no connection to it",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn a_partition_that_waits_for_nothing_says_so() {
        let view = ExplanationView::of(ExplainedPartition { waits_for: Vec::new(), ..explained() });
        assert_eq!(view.conclusion(), "committing waits for nothing: everything written is committed");
        let without_leader = ExplainedPartition { waits_for: Vec::new(), log: None, ..explained() };
        assert_eq!(ExplanationView::of(without_leader).conclusion(), "nothing is wrong with what is agreed on");
    }

    #[test]
    fn damage_and_failed_files_are_said_of_who_answered() {
        assert!(!ExplanationView::of(explained()).text().contains("files"));
        let storage = ReplicaStorage {
            offline: Some("sync failed".to_owned()),
            damaged: vec![Offset::new(2)..Offset::new(4)],
            damaged_range_count: 1,
        };
        let text = ExplanationView::of(ExplainedPartition { storage, ..explained() }).text();
        let expected = "\nfiles      at `a`, offline: sync failed; damaged: offsets 2 to 3 cannot be read\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn what_is_missing_is_counted_from_the_leaders_end() {
        let view = ExplanationView::of(explained());
        assert_eq!(view.replicas.iter().map(|replica| replica.missing).collect::<Vec<_>>(), [Some(0), Some(2)]);
    }
}
