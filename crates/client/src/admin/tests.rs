//! Whom questions about the cluster go to, and what answers mean.

use tonic::Status;

use super::*;
use crate::testing::MockBroker;

fn first() -> PartitionId {
    PartitionId::default()
}

/// What this broker says of a partition, if it is asked.
fn says(broker: &MockBroker, waits_for: &str) {
    let told = wire::ExplainPartitionResponse {
        stream: "foo".to_owned(),
        answered_by: broker.id(),
        waits_for: vec![waits_for.to_owned()],
        ..wire::ExplainPartitionResponse::default()
    };
    broker.script().admin.explanations.push_back(Ok(told));
}

fn refuses(broker: &MockBroker, status: Status) {
    broker.script().admin.explanations.push_back(Err(status));
}

/// For each question about a partition, whether it was only about what is agreed on.
fn asked(broker: &MockBroker) -> Vec<bool> {
    broker.script().admin.explain_asked.iter().map(|request| request.agreed_only).collect()
}

#[tokio::test]
async fn a_page_of_the_status_is_asked_for_and_read() {
    let broker = MockBroker::start().await;
    let member = wire::ClusterMember {
        id: "a".to_owned(),
        state: wire::MemberState::Fenced.into(),
        vote: 77,
        port: 70_000,
        rack: "r1".to_owned(),
        ..wire::ClusterMember::default()
    };
    let troubled = |partition| wire::TroubledPartition { partition, ..wire::TroubledPartition::default() };
    broker.script().admin.status = wire::ClusterStatusResponse {
        members: vec![member],
        troubled: vec![troubled(-1), troubled(3)],
        ..Default::default()
    };
    let status = broker.client().await.cluster_status(TroubledPage { skipped: 5, max: 7 }).await.unwrap();
    let page = wire::ClusterStatusRequest { troubled_max: 7, troubled_skipped: 5 };
    assert_eq!(broker.script().admin.pages_asked, [page]);
    assert_eq!((status.controller, status.counts), (None, PartitionCounts::default()));
    let member = &status.members[0];
    assert_eq!((member.state, member.vote, member.port), (MemberState::Fenced, MemberVote::Unknown, 0));
    assert_eq!((member.rack.as_deref(), member.peer_address.as_deref()), (Some("r1"), None));
    assert_eq!(status.troubled.iter().map(|partition| partition.partition.get()).collect::<Vec<_>>(), [3]);
}

/// What these brokers say of the members: who they are and where.
fn member(broker: &MockBroker) -> wire::ClusterMember {
    wire::ClusterMember {
        id: broker.id(),
        host: broker.address.ip().to_string(),
        port: broker.address.port().into(),
        ..wire::ClusterMember::default()
    }
}

#[tokio::test]
async fn every_member_is_asked_how_its_own_files_are() {
    let (broker, other, away) = {
        let broker = MockBroker::start().await;
        (broker.clone(), broker.start_another().await, broker.start_another().await)
    };
    let client = broker.client().await;
    let unreachable = wire::ClusterMember { id: "joining".to_owned(), ..wire::ClusterMember::default() };
    let says = |of: &MockBroker, storage| wire::ClusterStatusResponse {
        answered_by: of.id(),
        members: vec![member(&broker), member(&other), member(&away), unreachable.clone()],
        storage,
        ..wire::ClusterStatusResponse::default()
    };
    broker.script().admin.status = says(&broker, None);
    let replica = |partition| wire::TroubledReplica { partition, ..wire::TroubledReplica::default() };
    let troubles = wire::StorageTroubles {
        metadata_failure: Some("disk gone".to_owned()),
        offline: 7,
        replicas: vec![replica(-1), replica(3)],
        ..wire::StorageTroubles::default()
    };
    other.script().admin.status = says(&other, Some(troubles));
    // Whichever is asked first is asked once or, if it is this one, twice.
    away.script().refusals.extend([Status::unavailable("away"), Status::unavailable("away")]);

    let survey = client.survey_cluster(TroubledPage { skipped: 1, max: 2 }).await.unwrap();
    let page = wire::ClusterStatusRequest { troubled_max: 2, troubled_skipped: 1 };
    for asked in [&broker, &other, &away] {
        let pages_asked = asked.script().admin.pages_asked.clone();
        assert!(!pages_asked.is_empty() && pages_asked.iter().all(|asked| *asked == page), "{pages_asked:?}");
    }
    let [first, second, third] = &survey.servers[..] else { panic!("{:?}", survey.servers) };
    assert_eq!((&first.id, &first.storage), (&broker.id(), &Ok(StorageTroubles::default())), "it is too old to say");
    let told = second.storage.as_ref().unwrap();
    assert_eq!((told.metadata_failure.as_deref(), told.offline, told.damaged), (Some("disk gone"), 7, 0));
    assert_eq!(told.replicas.iter().map(|replica| replica.partition.get()).collect::<Vec<_>>(), [3]);
    assert_eq!(third.storage.as_ref().unwrap_err().message, "away");
}

#[tokio::test]
async fn a_member_that_cannot_be_removed_says_why() {
    let broker = MockBroker::start().await;
    let client = broker.client().await;
    broker.script().refusals.extend([Status::not_found("no member `b`"), Status::failed_precondition("it runs")]);
    let missing = client.remove_member("b", false).await.unwrap_err();
    assert_eq!(missing, RemoveMemberError::NotFound { id: "b".to_owned() });
    let refused = client.remove_member("b", true).await.unwrap_err();
    assert_eq!(refused.to_string(), "cannot remove `b`: it runs");
    client.remove_member("b", true).await.unwrap();
    let forced: Vec<bool> = broker.script().admin.removed.iter().map(|request| request.force).collect();
    assert_eq!(forced, [false, true, true]);
}

#[tokio::test]
async fn a_partition_is_explained_by_its_leader() {
    let broker = MockBroker::start().await;
    let leader = broker.start_another().await;
    broker.has_stream_led_by("foo", 1, &leader);
    says(&leader, "its own disk");
    let told = broker.client().await.explain_partition("foo", first()).await.unwrap();
    assert_eq!((told.answered_by, told.waits_for), (leader.id(), vec!["its own disk".to_owned()]));
    assert_eq!((asked(&broker), asked(&leader)), (vec![], vec![false]));
}

#[tokio::test]
async fn a_leader_that_has_changed_is_looked_for() {
    let broker = MockBroker::start().await;
    broker.has_stream("foo", 1);
    refuses(&broker, Status::failed_precondition("partition is led by `b`"));
    says(&broker, "nothing");
    let told = broker.client().await.explain_partition("foo", first()).await.unwrap();
    assert_eq!((told.answered_by, told.leader_failure), (broker.id(), None));
    assert_eq!(asked(&broker), [false, false]);
}

#[tokio::test]
async fn where_the_leader_does_not_answer_others_say_what_is_agreed_on() {
    let broker = MockBroker::start().await;
    let leader = broker.start_another().await;
    broker.has_stream_led_by("foo", 1, &leader);
    refuses(&leader, Status::unavailable("away"));
    says(&broker, "too few");
    let told = broker.client().await.explain_partition("foo", first()).await.unwrap();
    assert_eq!((told.answered_by, told.leader_failure.unwrap().message), (broker.id(), "away".to_owned()));
    assert_eq!((asked(&broker), asked(&leader)), (vec![true], vec![false]));
}

#[tokio::test]
async fn a_partition_nobody_leads_is_explained_by_anybody() {
    let broker = MockBroker::start().await;
    broker.has_stream("foo", 1);
    broker.edit_partition("foo", 0, |partition| partition.leader = String::new());
    says(&broker, "nobody leads it");
    let told = broker.client().await.explain_partition("foo", first()).await.unwrap();
    assert_eq!((told.waits_for, told.leader_failure), (vec!["nobody leads it".to_owned()], None));
    assert_eq!(asked(&broker), [true]);
}

#[tokio::test]
async fn partitions_nobody_knows_are_not_explained() {
    let broker = MockBroker::start().await;
    broker.has_stream("foo", 1);
    let client = broker.client().await;
    let error = client.explain_partition("bar", first()).await.unwrap_err();
    assert!(matches!(error, ExplainError::Route(RouteError::UnknownStream { .. })), "{error}");
    let error = client.explain_partition("foo", first()).await.unwrap_err();
    assert_eq!(error, ExplainError::NotFound(PartitionName::new("foo", first())));
}
