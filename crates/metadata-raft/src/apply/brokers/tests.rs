use liftbridge_types::{LeaderEpoch, PartitionEpoch};

use crate::apply::testing::Cluster;
use crate::cluster_event::ClusterEvent;
use crate::command::{Command, Member, RegisterBroker, RemoveBroker};
use crate::node_id::RaftId;
use crate::rejection::Rejection;
use crate::test_commands::*;

fn remove(id: &str, forced: bool) -> Command {
    Command::RemoveBroker(RemoveBroker { id: broker(id), forced })
}

#[test]
fn a_lost_broker_leaves_its_in_sync_sets_and_its_leaderships_go_to_in_sync_replicas() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    cluster.check("s", "1: 1 2 3 / 1 2 3");
    cluster.fence("1");
    cluster.check("s", "2: 1 2 3 / 2 3");
    let partition = cluster.partition("s", 0);
    assert_eq!(partition.leader_epoch, LeaderEpoch::new(cluster.index));
    assert_eq!(partition.epoch, PartitionEpoch::new(cluster.index));
    cluster.fence("2");
    cluster.check("s", "3: 1 2 3 / 3 + 2");
}

#[test]
fn a_lost_follower_changes_the_version_and_not_the_leadership() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    let before = cluster.partition("s", 0).leader_epoch;
    cluster.fence("3");
    cluster.check("s", "1: 1 2 3 / 1 2");
    let partition = cluster.partition("s", 0);
    assert_eq!((partition.leader_epoch, partition.epoch.get()), (before, cluster.index));
}

#[test]
fn the_last_in_sync_replica_stays_in_sync_and_leads_again_when_it_is_heard_of() {
    let mut cluster = Cluster::of(2);
    cluster.create_committing_alone("s", 2);
    cluster.fence("2");
    cluster.fence("1");
    cluster.check("s", "-: 1 2 / 1");
    cluster.unfence("2");
    cluster.check("s", "-: 1 2 / 1");
    cluster.unfence("1");
    cluster.check("s", "1: 1 2 / 1");
}

#[test]
fn the_leaderships_of_a_lost_broker_spread_over_the_others() {
    let mut cluster = Cluster::of(3);
    for number in 0..20 {
        cluster.create(&format!("s{number:02}"), 3, 3);
    }
    cluster.fence("3");
    let led = |id: &str| cluster.state.brokers.get(&broker(id)).unwrap().load.led;
    assert_eq!((led("1"), led("2"), led("3")), (30, 30, 0));
}

#[test]
fn a_new_life_fences_the_former_one() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    let former = cluster.life("1");
    cluster.done(start(1));
    cluster.check("s", "2: 1 2 3 / 2 3");
    assert!(cluster.state.brokers.get(&broker("1")).unwrap().fenced);
    assert_eq!(cluster.apply(Command::UnfenceBroker(former.clone())), Err(Rejection::Stale));
    assert_eq!(cluster.apply(Command::FenceBroker(former)), Err(Rejection::Stale));
}

#[test]
fn the_only_broker_goes_on_as_if_it_had_never_been_away() {
    let mut cluster = Cluster::of(1);
    cluster.create("s", 2, 1);
    let before = cluster.state.streams.clone();
    cluster.done(start(1));
    cluster.done(start_empty(1));
    assert_eq!(cluster.state.streams, before);
    assert!(!cluster.state.brokers.get(&broker("1")).unwrap().fenced);
}

#[test]
fn a_broker_that_lost_its_log_is_in_sync_with_nothing_and_never_elected_by_itself() {
    let mut cluster = Cluster::of(3);
    cluster.create_committing_alone("s", 2);
    cluster.create("sole", 1, 1);
    cluster.check("sole", "3: 3 / 3");
    cluster.check("s", "1: 1 2 / 1 2");
    cluster.fence("2");
    cluster.done(start_empty(1));
    cluster.check("s", "-: 1 2 / ");
    for id in ["1", "2"] {
        cluster.unfence(id);
        cluster.check("s", "-: 1 2 / ");
    }
    cluster.done(start_empty(3));
    cluster.check("sole", "-: 3 / 3");
    cluster.unfence("3");
    cluster.check("sole", "3: 3 / 3");
}

#[test]
fn who_left_when_nothing_could_be_committed_without_it_any_more_is_eligible_and_nobody_else() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    // All three lose their power and are back one after another; the last one is not heard of again.
    for (number, expected) in [(1, "2: 1 2 3 / 2 3"), (2, "3: 1 2 3 / 3 + 2")] {
        cluster.done(start(number));
        cluster.check("s", expected);
    }
    cluster.unfence("1");
    cluster.unfence("2");
    cluster.fence("3");
    cluster.check("s", "2: 1 2 3 / 2 + 3");
    cluster.done(Command::ChangeInSync(cluster.in_sync("s", 0, &["1", "2"])));
    cluster.check("s", "2: 1 2 3 / 1 2");
}

#[test]
fn one_lost_log_undoes_nothing_that_two_others_have() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    let id = cluster.state.streams.get("s").unwrap().id;
    let lost = partitions(&[0]).into_iter().map(|number| (id, number));
    cluster.done(start(1));
    cluster.done(start(2));
    cluster.done(start_as(3, |member| member.lost.extend(lost)));
    cluster.check("s", "-: 1 2 3 /  + 2");
    cluster.unfence("1");
    cluster.unfence("3");
    cluster.check("s", "-: 1 2 3 /  + 2");
    cluster.unfence("2");
    cluster.check("s", "2: 1 2 3 / 2");
}

#[test]
fn a_lost_log_takes_a_broker_out_of_that_partition_only() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 2, 3);
    let id = cluster.state.streams.get("s").unwrap().id;
    cluster.fence("1");
    cluster.fence("2");
    let lost = partitions(&[0]).into_iter().map(|number| (id, number));
    cluster.done(start_as(3, |member| member.lost.extend(lost)));
    let shown = [0, 1].map(|number| cluster.partition("s", number).isr.len());
    assert_eq!(shown, [0, 1]);
}

#[test]
fn the_minimum_of_the_leader_decides_where_the_stream_says_nothing() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    cluster.done(start_as(3, |member| member.in_sync_min = std::num::NonZero::new(1)));
    cluster.unfence("3");
    cluster.done(Command::ChangeInSync(cluster.in_sync("s", 0, &["1", "2", "3"])));
    cluster.fence("1");
    cluster.check("s", "2: 1 2 3 / 2 3");
    cluster.fence("2");
    cluster.check("s", "3: 1 2 3 / 3");
}

#[test]
fn a_broker_that_is_removed_leaves_the_partition_to_who_is_eligible() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    cluster.fence("1");
    cluster.fence("2");
    cluster.fence("3");
    cluster.check("s", "-: 1 2 3 / 3 + 2");
    cluster.done(remove("3", false));
    cluster.check("s", "-: 1 2 /  + 2");
    cluster.unfence("1");
    cluster.check("s", "-: 1 2 /  + 2");
    cluster.unfence("2");
    cluster.check("s", "2: 1 2 / 2");
}

#[test]
fn a_removed_broker_is_replaced_by_one_that_keeps_least() {
    let mut cluster = Cluster::of(4);
    cluster.create("busy", 3, 1);
    cluster.create("s", 1, 3);
    cluster.check("s", "4: 4 1 2 / 4 1 2");
    cluster.fence("1");
    cluster.done(remove("1", true));
    cluster.check("s", "4: 4 3 2 / 4 2");
    assert!(cluster.state.brokers.get(&broker("1")).is_none());
    assert!(cluster.state.nodes.get(RaftId::FOUNDER).unwrap().leaving);
}

#[test]
fn a_removed_broker_nobody_can_replace_is_replaced_by_the_next_that_comes() {
    let mut cluster = Cluster::of(3);
    cluster.create("s", 1, 3);
    cluster.fence("3");
    cluster.done(remove("3", false));
    cluster.check("s", "1: 1 2 / 1 2");
    cluster.index += 1;
    cluster.state.change_membership(added(4));
    cluster.done(start(4));
    cluster.check("s", "1: 1 2 / 1 2");
    cluster.unfence("4");
    cluster.check("s", "1: 1 2 4 / 1 2");
}

#[test]
fn only_a_dead_broker_is_removed_and_the_last_with_everything_only_by_force() {
    let mut cluster = Cluster::of(3);
    cluster.create_committing_alone("s", 2);
    assert_eq!(cluster.apply(remove("9", true)), Err(Rejection::BrokerNotFound));
    assert_eq!(cluster.apply(remove("1", true)), Err(Rejection::BrokerRunning { id: broker("1") }));
    cluster.fence("2");
    cluster.fence("1");
    cluster.unfence("2");
    cluster.check("s", "-: 1 2 / 1");
    assert_eq!(cluster.apply(remove("1", false)), Err(Rejection::LastInSync { id: broker("1"), partitions: 1 }));
    let before = cluster.state.clone();
    cluster.done(remove("1", true));
    cluster.check("s", "2: 3 2 / 2");
    cluster.state = before;
    cluster.fence("2");
    cluster.done(remove("1", true));
    cluster.check("s", "-: 3 2 /  + 2");
}

#[test]
fn a_server_speaks_only_from_the_directory_that_joined() {
    let mut cluster = Cluster::of(2);
    let speaks = |number: u64, change: &dyn Fn(&mut Member)| {
        let mut member = member(number, true);
        change(&mut member);
        let (id, host) = (broker(&number.to_string()), "h".to_owned());
        Command::RegisterBroker(RegisterBroker { id, host, port: 1, member: Some(member) })
    };
    let refused = |number: u64| Err(Rejection::NotAMember { id: broker(&number.to_string()) });
    assert_eq!(cluster.apply(speaks(2, &|member| member.directory = directory(9))), refused(2));
    assert_eq!(cluster.apply(speaks(2, &|member| member.raft_id = raft_id(1))), refused(2));
    assert_eq!(cluster.apply(speaks(3, &|_| {})), refused(3));
    let events = cluster.done(speaks(2, &|member| member.peer_address = Some("elsewhere:1".to_owned())));
    assert!(matches!(&events[0], ClusterEvent::NodeChanged { node, .. } if !node.voter));
    assert!(matches!(events[1], ClusterEvent::BrokerRegistered { .. }));
}

#[test]
fn a_raft_number_is_never_given_out_twice() {
    let mut cluster = Cluster::of(3);
    cluster.fence("3");
    cluster.done(remove("3", false));
    cluster.state.change_membership(crate::apply::MembershipChange::Remove(raft_id(3)));
    assert!(cluster.state.nodes.get(raft_id(3)).is_none());
    assert_eq!(cluster.state.nodes.last_id(), raft_id(3));
}

#[test]
fn the_feature_level_rises_when_every_broker_understands_it() {
    let mut cluster = Cluster::of(2);
    let newer = |number| start_as(number, |member| member.feature_level = 3);
    let refused = Rejection::FeatureLevel { needed: 3, agreed: 2 };
    assert_eq!(cluster.apply(Command::SetFeatureLevel(2)), Err(Rejection::Stale));
    cluster.done(newer(1));
    assert_eq!(cluster.apply(Command::SetFeatureLevel(3)), Err(refused));
    cluster.done(newer(2));
    assert_eq!(cluster.done(Command::SetFeatureLevel(3)), [ClusterEvent::FeatureLevelRaised(3)]);
}

#[test]
fn nothing_of_a_level_that_is_not_agreed_on_is_applied() {
    let mut cluster = Cluster::of(2);
    cluster.state.feature_level = 1;
    let refused = Rejection::FeatureLevel { needed: 2, agreed: 1 };
    assert_eq!(cluster.apply(Command::FenceBroker(cluster.life("1"))), Err(refused));
}

#[test]
fn a_server_that_was_let_in_and_never_registered_can_be_removed() {
    let mut cluster = Cluster::of(2);
    cluster.state.change_membership(added(3));
    let events = cluster.done(remove("3", false));
    assert!(matches!(&events[..], [ClusterEvent::NodeChanged { node, .. }] if node.leaving), "{events:?}");
    assert_eq!(cluster.apply(remove("4", false)), Err(Rejection::BrokerNotFound));
}
