//! `cluster health`: whether all is well, for people and for programs that look at exit codes.

use liftbridge_client::{
    Client, ClusterStatus, ClusterSurvey, MemberState, StorageTroubles, SurveyedServer, TroubledPartition,
    TroubledReplica,
};
use serde::Serialize;

use super::servers::{self, ServerView};
use super::troubled::{self, TroubledArguments, TroubledView};
use crate::failure::Failure;
use crate::output::Output;

/// How a cluster is, from well to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Healthy,
    Degraded,
    Unavailable,
}

#[derive(Debug, Serialize)]
struct HealthView {
    health: Health,
    reasons: Vec<String>,
    troubled: Vec<TroubledView>,
    servers: Vec<ServerView>,
}

pub(super) async fn run(arguments: &TroubledArguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let health = HealthView::of(&client.survey_cluster(arguments.page()).await?);
    output.result(&health, || health.text())?;
    let reasons = health.reasons.join("; ");
    match health.health {
        Health::Healthy => Ok(()),
        Health::Degraded => Err(Failure::Degraded { reasons }),
        Health::Unavailable => Err(Failure::Unavailable { reasons }),
    }
}

impl HealthView {
    fn of(survey: &ClusterSurvey) -> Self {
        let found = findings(survey);
        Self {
            health: found.iter().map(|(health, _)| *health).max().unwrap_or(Health::Healthy),
            reasons: found.into_iter().map(|(_, reason)| reason).collect(),
            troubled: TroubledView::all(&survey.status),
            servers: ServerView::all(&survey.servers),
        }
    }

    fn text(&self) -> String {
        let health = match self.health {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unavailable => "unavailable",
        };
        let reasons: Vec<String> = self.reasons.iter().map(|reason| format!("\n  {reason}")).collect();
        let (troubled, servers) = (troubled::text(&self.troubled), servers::text(&self.servers));
        format!("{health}{}{servers}{troubled}", reasons.concat())
    }
}

/// What is wrong and how bad that is, the worst first.
fn findings(survey: &ClusterSurvey) -> Vec<(Health, String)> {
    let of_servers = survey.servers.iter().flat_map(|server| of_server(server, &survey.status));
    let mut findings: Vec<(Health, String)> = agreed(&survey.status).into_iter().chain(of_servers).collect();
    // A stable sort: among equals what concerns the whole cluster comes first.
    findings.sort_by_key(|(health, _)| std::cmp::Reverse(*health));
    findings
}

/// What is wrong as far as the cluster has agreed on it.
fn agreed(status: &ClusterStatus) -> Vec<(Health, String)> {
    let counts = status.counts;
    let silent = status.members.iter().filter(|member| member.state == MemberState::Fenced);
    let silent: Vec<&str> = silent.map(|member| member.id.as_str()).collect();
    let lost_touch = format!("`{}` does not hear from the controller", status.answered_by);
    only_true([
        (status.controller.is_none(), Health::Unavailable, "the cluster has no controller".to_owned()),
        (status.cut_off && status.controller.is_some(), Health::Unavailable, lost_touch),
        (counts.leaderless > 0, Health::Unavailable, format!("{} partitions without a leader", counts.leaderless)),
        (
            counts.at_minimum > 0,
            Health::Degraded,
            format!("{} partitions at or below their minimum of in-sync replicas", counts.at_minimum),
        ),
        (
            counts.under_replicated > 0,
            Health::Degraded,
            format!("{} partitions under-replicated", counts.under_replicated),
        ),
        (!silent.is_empty(), Health::Degraded, format!("not heard of: `{}`", silent.join("`, `"))),
    ])
}

/// What is wrong with one server's own files, of which the others do not know.
fn of_server(server: &SurveyedServer, status: &ClusterStatus) -> Vec<(Health, String)> {
    let id = &server.id;
    let storage = match &server.storage {
        Ok(storage) => storage,
        Err(error) => {
            // That nobody hears of it is said already.
            let member = status.members.iter().find(|member| member.id == *id);
            let is_silent = member.is_some_and(|member| member.state == MemberState::Fenced);
            return only_true([(!is_silent, Health::Degraded, format!("`{id}` could not be asked: {error}"))]);
        }
    };
    let failure = storage.metadata_failure.as_deref();
    only_true([
        (
            failure.is_some(),
            Health::Unavailable,
            format!("the metadata log of `{id}` failed: {}", failure.unwrap_or_default()),
        ),
        (
            storage.offline > 0,
            offline_at(id, storage, status),
            format!("{} partitions offline at `{id}`", storage.offline),
        ),
        (storage.damaged > 0, Health::Degraded, format!("{} partitions damaged at `{id}`", storage.damaged)),
    ])
}

/// How bad it is that partitions are offline at this server: no more than a missing replica where another one leads each.
fn offline_at(id: &str, storage: &StorageTroubles, status: &ClusterStatus) -> Health {
    let is_led_elsewhere = |replica: &&TroubledReplica| {
        let is_it = |known: &&TroubledPartition| known.stream == replica.stream && known.partition == replica.partition;
        let known = status.troubled.iter().find(is_it);
        known.is_some_and(|known| known.leader.as_deref().is_some_and(|leader| leader != id))
    };
    let offline = storage.replicas.iter().filter(|replica| replica.storage.offline.is_some());
    // One that is not listed may be led here.
    let elsewhere_count = offline.filter(is_led_elsewhere).count();
    if u32::try_from(elsewhere_count) == Ok(storage.offline) { Health::Degraded } else { Health::Unavailable }
}

fn only_true<const N: usize>(findings: [(bool, Health, String); N]) -> Vec<(Health, String)> {
    findings.into_iter().filter(|(is_so, ..)| *is_so).map(|(_, health, reason)| (health, reason)).collect()
}

#[cfg(test)]
mod tests {
    use liftbridge_client::{
        CallError, Code, Member, MemberVote, Offset, PartitionCounts, PartitionId, ReplicaStorage,
    };

    use super::*;

    fn status() -> ClusterStatus {
        let member = Member {
            id: "a".to_owned(),
            state: MemberState::Live,
            vote: MemberVote::Voter,
            host: "localhost".to_owned(),
            port: 9292,
            peer_address: None,
            rack: None,
            incarnation: 1,
            feature_level_max: 2,
            partitions_hosted: 0,
            partitions_led: 0,
        };
        ClusterStatus {
            cluster_id: "c".to_owned(),
            feature_level: 2,
            answered_by: "a".to_owned(),
            controller: Some("a".to_owned()),
            cut_off: false,
            members: vec![member],
            counts: PartitionCounts::default(),
            troubled: Vec::new(),
            storage: StorageTroubles::default(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut ClusterStatus), expected: Health, reasons: &[&str]) {
        let mut status = status();
        change(&mut status);
        let view = HealthView::of(&ClusterSurvey { status, servers: Vec::new() });
        assert_eq!((view.health, view.reasons), (expected, reasons.iter().map(ToString::to_string).collect()));
    }

    #[test]
    fn the_worst_finding_decides() {
        check(|_| {}, Health::Healthy, &[]);
        check(|status| status.counts.under_replicated = 2, Health::Degraded, &["2 partitions under-replicated"]);
        let at_minimum = "1 partitions at or below their minimum of in-sync replicas";
        check(|status| status.counts.at_minimum = 1, Health::Degraded, &[at_minimum]);
        let both = |status: &mut ClusterStatus| {
            status.counts = PartitionCounts { leaderless: 3, at_minimum: 1, ..PartitionCounts::default() };
        };
        check(both, Health::Unavailable, &["3 partitions without a leader", at_minimum]);
    }

    #[test]
    fn a_cluster_without_a_controller_is_unavailable_and_so_is_a_server_that_lost_touch() {
        check(|status| status.controller = None, Health::Unavailable, &["the cluster has no controller"]);
        check(|status| status.cut_off = true, Health::Unavailable, &["`a` does not hear from the controller"]);
    }

    #[test]
    fn a_member_that_is_not_heard_of_leaves_the_cluster_degraded() {
        check(|status| status.members[0].state = MemberState::Fenced, Health::Degraded, &["not heard of: `a`"]);
        check(|status| status.members[0].state = MemberState::Joining, Health::Healthy, &[]);
    }

    fn replica(partition: u32, offline: Option<&str>, damaged: &[(u64, u64)]) -> TroubledReplica {
        let ranges: Vec<_> = damaged.iter().map(|(start, end)| Offset::new(*start)..Offset::new(*end)).collect();
        TroubledReplica {
            stream: "orders".to_owned(),
            partition: PartitionId::new(partition).unwrap(),
            storage: ReplicaStorage {
                offline: offline.map(ToOwned::to_owned),
                damaged_range_count: u32::try_from(ranges.len()).unwrap(),
                damaged: ranges,
            },
        }
    }

    #[track_caller]
    fn check_server(storage: Result<StorageTroubles, CallError>, expected: Health, reasons: &[&str]) {
        let survey = ClusterSurvey { status: status(), servers: vec![SurveyedServer { id: "a".to_owned(), storage }] };
        let view = HealthView::of(&survey);
        assert_eq!((view.health, view.reasons), (expected, reasons.iter().map(ToString::to_string).collect()));
    }

    #[test]
    fn what_one_server_keeps_and_cannot_store_or_read_decides_too() {
        let well = StorageTroubles::default();
        check_server(Ok(well.clone()), Health::Healthy, &[]);
        let offline = StorageTroubles { offline: 3, damaged: 1, ..well.clone() };
        let both = ["3 partitions offline at `a`", "1 partitions damaged at `a`"];
        check_server(Ok(offline), Health::Unavailable, &both);
        check_server(Ok(StorageTroubles { damaged: 1, ..well.clone() }), Health::Degraded, &both[1..]);
        let failed = StorageTroubles { metadata_failure: Some("disk gone".to_owned()), ..well };
        check_server(Ok(failed), Health::Unavailable, &["the metadata log of `a` failed: disk gone"]);
    }

    #[test]
    fn a_copy_that_is_offline_is_one_that_is_missing_where_another_server_leads() {
        let health_of = |leader: Option<&str>, offline_count: u32| {
            let troubled = TroubledPartition {
                stream: "orders".to_owned(),
                partition: PartitionId::new(3).unwrap(),
                leader: leader.map(ToOwned::to_owned),
                replicas: vec!["a".to_owned(), "b".to_owned()],
                in_sync: vec!["b".to_owned()],
                in_sync_min: 1,
                leaderless: false,
                at_minimum: false,
                under_replicated: true,
            };
            let replicas = vec![replica(3, Some("gone"), &[]), replica(4, None, &[(1, 2)])];
            let storage = StorageTroubles { offline: offline_count, replicas, ..StorageTroubles::default() };
            let servers = vec![SurveyedServer { id: "a".to_owned(), storage: Ok(storage) }];
            let status = ClusterStatus { troubled: vec![troubled], ..status() };
            HealthView::of(&ClusterSurvey { status, servers }).health
        };
        assert_eq!(health_of(Some("b"), 1), Health::Degraded);
        assert_eq!(health_of(Some("a"), 1), Health::Unavailable);
        assert_eq!(health_of(None, 1), Health::Unavailable);
        assert_eq!(health_of(Some("b"), 2), Health::Unavailable, "one that is not listed may be led here");
    }

    #[test]
    fn nothing_is_well_that_could_not_be_asked() {
        let (address, message) = ("b:1".to_owned(), "away".to_owned());
        let error = CallError { address, code: Code::Unavailable, message, never_sent: true };
        let reason = format!("`a` could not be asked: {error}");
        check_server(Err(error.clone()), Health::Degraded, &[&reason]);
        let mut status = status();
        status.members[0].state = MemberState::Fenced;
        let servers = vec![SurveyedServer { id: "a".to_owned(), storage: Err(error) }];
        let view = HealthView::of(&ClusterSurvey { status, servers });
        assert_eq!(view.reasons, ["not heard of: `a`"], "once is enough");
    }

    #[test]
    fn each_partition_whose_files_failed_has_a_line_and_an_object() {
        let replicas = vec![replica(3, Some("sync: no such device"), &[]), replica(4, None, &[(7, 8), (9, 12)])];
        let storage = StorageTroubles { offline: 1, damaged: 1, replicas, ..StorageTroubles::default() };
        let servers = vec![SurveyedServer { id: "a".to_owned(), storage: Ok(storage) }];
        let view = HealthView::of(&ClusterSurvey { status: status(), servers });
        let text = view.text();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["unavailable"]);
        assert_eq!(lines[4], ["SERVER", "STREAM", "PARTITION", "TROUBLE"]);
        assert_eq!(lines[5].join(" "), "a orders 3 offline: sync: no such device");
        assert_eq!(lines[6].join(" "), "a orders 4 damaged: offsets 7, 9 to 11 cannot be read");
        let json = serde_json::to_value(&view).unwrap();
        let server = &json["servers"][0];
        assert_eq!((&server["server"], &server["partitions_offline"]), (&"a".into(), &1.into()));
        assert_eq!(server["partitions"][0]["offline"], "sync: no such device");
        assert_eq!(server["partitions"][1]["damaged"][1], serde_json::json!({ "start": 9, "end": 12 }));
    }
}
