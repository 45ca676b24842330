//! `cluster health`: whether all is well, for people and for programs that look at exit codes.

use liftbridge_client::{Client, ClusterStatus, MemberState};
use serde::Serialize;

use super::troubled::{TroubledArguments, TroubledView, text};
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
}

pub(super) async fn run(arguments: &TroubledArguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let health = HealthView::of(&client.cluster_status(arguments.page()).await?);
    output.result(&health, || health.text())?;
    let reasons = health.reasons.join("; ");
    match health.health {
        Health::Healthy => Ok(()),
        Health::Degraded => Err(Failure::Degraded { reasons }),
        Health::Unavailable => Err(Failure::Unavailable { reasons }),
    }
}

impl HealthView {
    fn of(status: &ClusterStatus) -> Self {
        let found = findings(status);
        Self {
            health: found.iter().map(|(health, _)| *health).max().unwrap_or(Health::Healthy),
            reasons: found.into_iter().map(|(_, reason)| reason).collect(),
            troubled: TroubledView::all(status),
        }
    }

    fn text(&self) -> String {
        let health = match self.health {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unavailable => "unavailable",
        };
        let reasons: Vec<String> = self.reasons.iter().map(|reason| format!("\n  {reason}")).collect();
        format!("{health}{}{}", reasons.concat(), text(&self.troubled))
    }
}

/// What is wrong and how bad that is, the worst first.
fn findings(status: &ClusterStatus) -> Vec<(Health, String)> {
    let counts = status.counts;
    let silent = status.members.iter().filter(|member| member.state == MemberState::Fenced);
    let silent: Vec<&str> = silent.map(|member| member.id.as_str()).collect();
    let lost_touch = format!("`{}` does not hear from the controller", status.answered_by);
    let findings = [
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
    ];
    findings.into_iter().filter(|(is_so, ..)| *is_so).map(|(_, health, reason)| (health, reason)).collect()
}

#[cfg(test)]
mod tests {
    use liftbridge_client::{Member, MemberVote, PartitionCounts};

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
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut ClusterStatus), expected: Health, reasons: &[&str]) {
        let mut status = status();
        change(&mut status);
        let view = HealthView::of(&status);
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
}
