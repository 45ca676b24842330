//! `cluster members`: everything about the servers of the cluster.

use liftbridge_client::{Client, ClusterStatus, Member, MemberState, MemberVote, TroubledPage};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, table};

#[derive(Debug, Serialize)]
pub(super) struct MemberView {
    id: String,
    state: &'static str,
    controller: bool,
    vote: &'static str,
    address: Option<String>,
    peer_address: Option<String>,
    rack: Option<String>,
    incarnation: u64,
    feature_level_max: u32,
    partitions: u32,
    leaders: u32,
}

pub(super) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let status = client.cluster_status(TroubledPage { skipped: 0, max: 1 }).await?;
    let members = MemberView::all(&status);
    output.result(&members, || full_table(&members))
}

impl MemberView {
    pub(super) fn all(status: &ClusterStatus) -> Vec<Self> {
        status.members.iter().map(|member| Self::of(member, status.controller.as_ref())).collect()
    }

    fn of(member: &Member, controller: Option<&String>) -> Self {
        let has_address = member.port != 0;
        Self {
            id: member.id.clone(),
            state: state_name(member.state),
            controller: controller == Some(&member.id),
            vote: vote_name(member.vote),
            address: has_address.then(|| format!("{}:{}", member.host, member.port)),
            peer_address: member.peer_address.clone(),
            rack: member.rack.clone(),
            incarnation: member.incarnation,
            feature_level_max: member.feature_level_max,
            partitions: member.partitions_hosted,
            leaders: member.partitions_led,
        }
    }

    fn name(&self) -> String {
        if self.controller { format!("{} *", self.id) } else { self.id.clone() }
    }
}

/// What matters day by day. The controller is marked.
pub(super) fn short_table(members: &[MemberView]) -> String {
    let cells = |member: &MemberView| {
        vec![
            member.name(),
            member.state.to_owned(),
            or_dash(member.address.as_ref()),
            or_dash(member.rack.as_ref()),
            member.partitions.to_string(),
            member.leaders.to_string(),
        ]
    };
    table(&["MEMBER", "STATE", "ADDRESS", "RACK", "PARTITIONS", "LEADS"], members.iter().map(cells))
}

fn full_table(members: &[MemberView]) -> String {
    let header = [
        "MEMBER",
        "STATE",
        "VOTE",
        "ADDRESS",
        "PEER ADDRESS",
        "RACK",
        "PARTITIONS",
        "LEADS",
        "INCARNATION",
        "FEATURE LEVEL",
    ];
    let cells = |member: &MemberView| {
        vec![
            member.name(),
            member.state.to_owned(),
            member.vote.to_owned(),
            or_dash(member.address.as_ref()),
            or_dash(member.peer_address.as_ref()),
            or_dash(member.rack.as_ref()),
            member.partitions.to_string(),
            member.leaders.to_string(),
            member.incarnation.to_string(),
            member.feature_level_max.to_string(),
        ]
    };
    table(&header, members.iter().map(cells))
}

fn state_name(state: MemberState) -> &'static str {
    match state {
        MemberState::Live => "live",
        MemberState::Fenced => "fenced",
        MemberState::Joining => "joining",
        MemberState::Leaving => "leaving",
        MemberState::Unknown => "unknown",
    }
}

fn vote_name(vote: MemberVote) -> &'static str {
    match vote {
        MemberVote::Voter => "voter",
        MemberVote::Learner => "learner",
        MemberVote::Unknown => "unknown",
    }
}

fn or_dash(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| "-".to_owned())
}
