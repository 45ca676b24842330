//! What people who run a cluster ask: who is in it, what is wrong, why a partition does not commit. Owns whom each question
//! goes to; `convert` knows how it is written.

use std::ops::Range;
use std::time::Duration;

use futures_util::future::join_all;
use liftbridge_proto::v1 as wire;
use liftbridge_proto::v1::admin_client::AdminClient;
use liftbridge_types::{Offset, PartitionId};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::client::Client;
use crate::cluster::{Address, Read};
use crate::convert;
use crate::error::{CallError, ExplainError, PartitionName, RemoveMemberError, RouteError};

/// How long a member may take to answer of which the others hear nothing: it is probably gone.
const FENCED_PATIENCE: Duration = Duration::from_secs(1);

/// Which of the partitions in trouble are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TroubledPage {
    /// How many come before the first that is listed.
    pub skipped: u32,
    /// How many are listed at most; 0 = as many as the server likes.
    pub max: u32,
}

/// A cluster as one of its members knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Which cluster it is.
    pub cluster_id: String,
    /// The commands and formats every member may use.
    pub feature_level: u32,
    /// The member that answered.
    pub answered_by: String,
    /// The member that decides; `None` when the one that answered knows of none.
    pub controller: Option<String>,
    /// The member that answered has not heard from the controller for a while: what it says may be old.
    pub cut_off: bool,
    /// The members, by id.
    pub members: Vec<Member>,
    /// How many partitions are how.
    pub counts: PartitionCounts,
    /// Partitions in trouble, the worst first.
    pub troubled: Vec<TroubledPartition>,
    /// What is wrong with what the member that answered keeps.
    pub storage: StorageTroubles,
}

/// What is wrong with what one server keeps, which only it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageTroubles {
    /// Why its metadata log failed: nothing can be agreed on through it until it is restarted.
    pub metadata_failure: Option<String>,
    /// How many partitions it keeps in which nothing can be stored.
    pub offline: u32,
    /// How many partitions it keeps of which some offsets are known to be unreadable.
    pub damaged: u32,
    /// A page of these, offline ones first.
    pub replicas: Vec<TroubledReplica>,
}

/// A partition as one server keeps it, and what is wrong with that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubledReplica {
    /// Its stream.
    pub stream: String,
    /// Its number.
    pub partition: PartitionId,
    /// What is wrong.
    pub storage: ReplicaStorage,
}

/// How a partition's files are at one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaStorage {
    /// Why nothing can be stored; `None` when that is not so.
    pub offline: Option<String>,
    /// Offsets known to be unreadable, ascending; of many ranges the first.
    pub damaged: Vec<Range<Offset>>,
    /// How many ranges there are.
    pub damaged_range_count: u32,
}

/// A cluster as one of its members knows it, and what each of them says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSurvey {
    /// What the first that was asked knows.
    pub status: ClusterStatus,
    /// What each member says of its own files, by id. Members that clients cannot reach are missing.
    pub servers: Vec<SurveyedServer>,
}

/// What a member says of its own files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedServer {
    /// Its id.
    pub id: String,
    /// What is wrong, or why it did not say.
    pub storage: Result<StorageTroubles, CallError>,
}

/// A server of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// How it is.
    pub state: MemberState,
    /// Its part in agreeing on metadata.
    pub vote: MemberVote,
    /// The host clients reach it at.
    pub host: String,
    /// The port clients reach it at.
    pub port: u16,
    /// Where other servers reach it, if it listens to any.
    pub peer_address: Option<String>,
    /// The place it shares its fate with, if that is known.
    pub rack: Option<String>,
    /// Which life of its process the cluster knows; 0 when it never registered.
    pub incarnation: u64,
    /// The newest feature level it understands.
    pub feature_level_max: u32,
    /// How many partitions it keeps that are not paused.
    pub partitions_hosted: u32,
    /// How many of them it leads.
    pub partitions_led: u32,
}

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It is heard of.
    Live,
    /// It is not heard of, and leads nothing.
    Fenced,
    /// It was let in, and has not registered yet.
    Joining,
    /// It was removed, and is about to be gone.
    Leaving,
    /// In a way this client does not know.
    Unknown,
}

/// A member's part in agreeing on metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberVote {
    /// Its vote counts.
    Voter,
    /// It listens.
    Learner,
    /// One this client does not know.
    Unknown,
}

/// How many partitions are how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionCounts {
    /// Streams.
    pub streams: u32,
    /// Partitions of all of them.
    pub partitions: u32,
    /// Those that sleep until the next publish.
    pub paused: u32,
    /// Those that refuse publishes.
    pub readonly: u32,
    /// Those with fewer in-sync replicas than replicas.
    pub under_replicated: u32,
    /// Those that nobody leads.
    pub leaderless: u32,
    /// Those that refuse messages under `ALL`, or would with one in-sync replica less.
    pub at_minimum: u32,
}

/// A partition that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubledPartition {
    /// Its stream.
    pub stream: String,
    /// Its number.
    pub partition: PartitionId,
    /// Who leads it.
    pub leader: Option<String>,
    /// Who keeps it.
    pub replicas: Vec<String>,
    /// Who of them has everything committed.
    pub in_sync: Vec<String>,
    /// How many in-sync replicas a message under `ALL` needs.
    pub in_sync_min: u32,
    /// Whether nobody leads it.
    pub leaderless: bool,
    /// Whether messages under `ALL` are refused, or would be with one in-sync replica less.
    pub at_minimum: bool,
    /// Whether fewer replicas are in sync than there are.
    pub under_replicated: bool,
}

/// A partition, and why it commits or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedPartition {
    /// Its stream.
    pub stream: String,
    /// Its number.
    pub partition: PartitionId,
    /// The server that answered.
    pub answered_by: String,
    /// Who leads it.
    pub leader: Option<String>,
    /// Which leadership that is.
    pub leader_epoch: u64,
    /// Which version of leader and in-sync replicas is agreed on.
    pub partition_epoch: u64,
    /// Whether it sleeps until the next publish.
    pub paused: bool,
    /// Whether it refuses publishes.
    pub readonly: bool,
    /// How many in-sync replicas a message under `ALL` needs.
    pub in_sync_min: u32,
    /// Its replicas, in order of preference.
    pub replicas: Vec<ExplainedReplica>,
    /// Its leader's log; `None` where no leader answered.
    pub log: Option<ExplainedLog>,
    /// What committing waits for, in words; nothing = everything is committed.
    pub waits_for: Vec<String>,
    /// How the files of it are at the server that answered.
    pub storage: ReplicaStorage,
    /// Why the leader itself did not answer, where it should have.
    pub leader_failure: Option<CallError>,
}

/// One replica of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedReplica {
    /// The broker.
    pub id: String,
    /// Whether it has everything committed, as agreed on.
    pub in_sync: bool,
    /// Whether it is in an in-sync set that was asked for and is not answered.
    pub proposed: bool,
    /// Whether it is out of sync, and known to have everything committed: it may lead.
    pub eligible: bool,
    /// Whether the cluster does not hear of it.
    pub fenced: bool,
    /// The end of what it has on stable storage, if its leader knows.
    pub durable_end: Option<Offset>,
    /// How long it has not had everything its leader has.
    pub lag: Option<Duration>,
    /// How long its leader has heard nothing from it.
    pub silent_for: Option<Duration>,
    /// Whether its leader has a connection to it.
    pub linked: Option<bool>,
    /// Whether it said that what it has is damaged.
    pub damaged: bool,
    /// Whether it said that its disk is full.
    pub full: bool,
}

/// The log of a partition's leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainedLog {
    /// The oldest offset that is kept.
    pub log_start: Offset,
    /// The end of what is committed.
    pub high_watermark: Offset,
    /// The end of what is written.
    pub log_end: Offset,
}

impl TroubledPage {
    fn request(self) -> wire::ClusterStatusRequest {
        wire::ClusterStatusRequest { troubled_max: self.max, troubled_skipped: self.skipped }
    }
}

impl Client {
    /// The members of the cluster, and which of its partitions are not as they should be.
    ///
    /// # Errors
    /// When no broker answers, or the one that does refuses.
    pub async fn cluster_status(&self, page: TroubledPage) -> Result<ClusterStatus, CallError> {
        self.cluster_status_from(page).await.map(|(status, _)| status)
    }

    /// The same, and what every member says of its own files, of which the others do not know. All are asked at once.
    ///
    /// # Errors
    /// When no broker answers, or the first that does refuses.
    pub async fn survey_cluster(&self, page: TroubledPage) -> Result<ClusterSurvey, CallError> {
        let (status, source) = self.cluster_status_from(page).await?;
        let is_reachable = |member: &&Member| member.port != 0 || member.id == status.answered_by;
        let asked =
            status.members.iter().filter(is_reachable).map(|member| self.survey(member, &status, &source, page));
        let servers = join_all(asked).await;
        Ok(ClusterSurvey { status, servers })
    }

    async fn survey(
        &self,
        member: &Member,
        status: &ClusterStatus,
        source: &Address,
        page: TroubledPage,
    ) -> SurveyedServer {
        let id = member.id.clone();
        if id == status.answered_by {
            return SurveyedServer { id, storage: Ok(status.storage.clone()) };
        }
        let address = Address::new(&member.host, member.port).or_host_of(source);
        let call = self.router().reach(&address, page.request(), ask_status);
        let answer = match member.state {
            MemberState::Fenced => tokio::time::timeout(FENCED_PATIENCE, call)
                .await
                .unwrap_or_else(|_| Err(CallError::timed_out(&address.to_string(), "no answer in time"))),
            MemberState::Live | MemberState::Joining | MemberState::Leaving | MemberState::Unknown => call.await,
        };
        SurveyedServer { id, storage: answer.map(|response| convert::cluster_status(response).storage) }
    }

    async fn cluster_status_from(&self, page: TroubledPage) -> Result<(ClusterStatus, Address), CallError> {
        let call = self.router().reach_any(page.request(), ask_status);
        call.await.map(|(response, source)| (convert::cluster_status(response), source))
    }

    /// Takes a server out of the cluster that will never come back; by force even if it alone has everything committed of some
    /// partitions, which lose that.
    ///
    /// # Errors
    /// When there is no such member, it runs, others need it, or no broker answers.
    pub async fn remove_member(&self, id: &str, force: bool) -> Result<(), RemoveMemberError> {
        let request = wire::RemoveMemberRequest { id: id.to_owned(), force };
        let call = self.router().reach_any(request, |channel, request| async move {
            AdminClient::new(channel).remove_member(request).await
        });
        call.await.map(|_| ()).map_err(|error| match error.code {
            Code::NotFound => RemoveMemberError::NotFound { id: id.to_owned() },
            Code::FailedPrecondition => RemoveMemberError::Refused { id: id.to_owned(), reason: error.message },
            _ => RemoveMemberError::Call(error),
        })
    }

    /// Why a partition commits or does not, from its leader; where that one does not answer or there is none, what any other broker
    /// knows.
    ///
    /// # Errors
    /// When there is no such partition, or no broker answers.
    pub async fn explain_partition(
        &self,
        stream: &str,
        partition: PartitionId,
    ) -> Result<ExplainedPartition, ExplainError> {
        let retries = self.router().limits().leader_retries;
        let mut number = 0;
        // What is remembered may be of another leader, and asking is for people, who do not do it often.
        self.router().refresh(stream).await.map_err(ExplainError::Call)?;
        loop {
            let leader = match self.router().read_address(stream, partition, Read::Leader).await {
                Ok(leader) => leader,
                Err(RouteError::NoLeader(_)) => return self.explain_without_leader(stream, partition, None).await,
                Err(error) => return Err(error.into()),
            };
            let error = match self.explain_at(&leader, stream, partition, false).await {
                Err(ExplainError::Call(error)) => error,
                told => return told,
            };
            let moved = error.code == Code::FailedPrecondition && retries.goes_on_after(number);
            if !(moved || error.retryable()) {
                return Err(ExplainError::Call(error));
            }
            if !moved {
                return self.explain_without_leader(stream, partition, Some((leader, error))).await;
            }
            retries.pause_after(number).await;
            number += 1;
            self.router().refresh(stream).await.map_err(ExplainError::Call)?;
        }
    }

    /// What others than the leader know, which failed like this if there is one.
    async fn explain_without_leader(
        &self,
        stream: &str,
        partition: PartitionId,
        leader: Option<(Address, CallError)>,
    ) -> Result<ExplainedPartition, ExplainError> {
        let mut last = None;
        let is_leader = |address: &Address| leader.as_ref().is_some_and(|(leader, _)| leader == address);
        for address in self.router().cache().addresses().iter().filter(|address| !is_leader(address)) {
            match self.explain_at(address, stream, partition, true).await {
                Ok(told) => return Ok(ExplainedPartition { leader_failure: leader.map(|(_, error)| error), ..told }),
                Err(error) => last = Some(error),
            }
        }
        Err(match (leader, last) {
            // A cluster of one, whose leader is everybody there is to ask.
            (Some((_, error)), _) => ExplainError::Call(error),
            (None, Some(error)) => error,
            (None, None) => RouteError::NoLeader(PartitionName::new(stream, partition)).into(),
        })
    }

    async fn explain_at(
        &self,
        address: &Address,
        stream: &str,
        partition: PartitionId,
        agreed_only: bool,
    ) -> Result<ExplainedPartition, ExplainError> {
        let (stream, partition_number) = (stream.to_owned(), partition.to_wire());
        let name = PartitionName::new(&stream, partition);
        let request = wire::ExplainPartitionRequest { stream, partition: partition_number, agreed_only };
        let call = self.router().reach(address, request, |channel, request| async move {
            AdminClient::new(channel).explain_partition(request).await
        });
        let response = call.await.map_err(|error| match error.code {
            Code::NotFound => ExplainError::NotFound(name),
            _ => ExplainError::Call(error),
        })?;
        let told = convert::explained_partition(response);
        told.ok_or_else(|| ExplainError::Malformed { address: address.to_string() })
    }
}

async fn ask_status(
    channel: Channel,
    request: Request<wire::ClusterStatusRequest>,
) -> Result<Response<wire::ClusterStatusResponse>, Status> {
    AdminClient::new(channel).cluster_status(request).await
}

#[cfg(test)]
mod tests;
