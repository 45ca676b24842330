//! Commands for tests, written short, and random ones.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::time::Duration;

use liftbridge_types::{
    BrokerId, BrokerIncarnation, LeaderEpoch, PartitionEpoch, PartitionId, SettingOverrides, StreamId, StreamName,
    Subject, Timestamp,
};
use proptest::prelude::*;

use crate::apply::MembershipChange;
use crate::cluster_state::FEATURE_LEVEL;
use crate::command::{
    BrokerLife, ChangeInSync, Command, CreateStream, DeleteStream, ElectUnclean, Member, MoveLeader, PartitionName,
    PauseStream, RegisterBroker, RemoveBroker, ReplicaCount, ResumeStream, SetReadonly,
};
use crate::node_id::{DirectoryId, RaftId};

pub(crate) fn broker(id: &str) -> BrokerId {
    BrokerId::new(id).unwrap()
}

pub(crate) fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

pub(crate) fn partitions(numbers: &[u32]) -> Vec<PartitionId> {
    numbers.iter().map(|number| PartitionId::new(*number).unwrap()).collect()
}

pub(crate) fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

pub(crate) fn register(id: &str) -> Command {
    let host = "localhost".to_owned();
    Command::RegisterBroker(RegisterBroker { id: broker(id), host, port: 9292, member: None })
}

/// The server whose raft number is `number` starts with its log, as a broker of the same name.
pub(crate) fn start(number: u64) -> Command {
    Command::RegisterBroker(RegisterBroker {
        id: broker(&number.to_string()),
        host: "localhost".to_owned(),
        port: 9292,
        member: Some(member(number, true)),
    })
}

/// The same with something else to say about itself.
pub(crate) fn start_as(number: u64, change: impl FnOnce(&mut Member)) -> Command {
    let Command::RegisterBroker(mut command) = start(number) else { unreachable!("that is what it makes") };
    change(command.member.as_mut().unwrap());
    Command::RegisterBroker(command)
}

/// The same without its log.
pub(crate) fn start_empty(number: u64) -> Command {
    start_as(number, |member| member.kept_log = false)
}

pub(crate) fn member(number: u64, kept_log: bool) -> Member {
    Member {
        raft_id: raft_id(number),
        directory: directory(number),
        peer_address: Some(format!("h:{number}")),
        rack: None,
        feature_level: 2,
        kept_log,
        in_sync_min: None,
        session_timeout: None,
        lost: BTreeSet::new(),
    }
}

pub(crate) fn raft_id(number: u64) -> RaftId {
    RaftId::new(number).unwrap()
}

pub(crate) fn directory(number: u64) -> DirectoryId {
    DirectoryId::new(&format!("d{number}")).unwrap()
}

pub(crate) fn added(number: u64) -> MembershipChange {
    MembershipChange::Add {
        id: raft_id(number),
        broker: broker(&number.to_string()),
        directory: directory(number),
        peer_address: format!("h:{number}"),
    }
}

pub(crate) fn life(id: &str, incarnation: u64) -> BrokerLife {
    BrokerLife { id: broker(id), incarnation: BrokerIncarnation::new(incarnation) }
}

pub(crate) fn partition_name(stream: &str, id: u64, number: u32) -> PartitionName {
    PartitionName { stream: name(stream), stream_id: StreamId::new(id), partition: PartitionId::new(number).unwrap() }
}

pub(crate) fn create(stream: &str, partitions: u32, replicas: ReplicaCount) -> Command {
    Command::CreateStream(CreateStream {
        name: name(stream),
        subject: Subject::new(stream).unwrap(),
        group: None,
        partitions,
        replicas,
        overrides: SettingOverrides::default(),
        at: at(1),
    })
}

pub(crate) fn delete(stream: &str) -> Command {
    Command::DeleteStream(DeleteStream { name: name(stream) })
}

pub(crate) fn pause(stream: &str, numbers: &[u32], resume_all: bool, nanos: i64) -> Command {
    let partitions = partitions(numbers);
    Command::PauseStream(PauseStream { name: name(stream), partitions, resume_all, at: at(nanos) })
}

pub(crate) fn resume(stream: &str, numbers: &[u32], nanos: i64) -> Command {
    Command::ResumeStream(ResumeStream { name: name(stream), partitions: partitions(numbers), at: at(nanos) })
}

pub(crate) fn set_readonly(stream: &str, numbers: &[u32], readonly: bool, nanos: i64) -> Command {
    Command::SetReadonly(SetReadonly { name: name(stream), partitions: partitions(numbers), readonly, at: at(nanos) })
}

/// Any command, over few names and numbers so that they meet.
pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    let stream = || "[ab]{1,2}".prop_map(|text| name(&text));
    let numbers = || proptest::collection::vec(0..4u32, 0..4).prop_map(|numbers| partitions(&numbers));
    let time = || any::<i64>().prop_map(at);
    let register =
        ("[xyz]", ".{0,5}", any::<u16>(), proptest::option::of(any_member())).prop_map(|(id, host, port, member)| {
            Command::RegisterBroker(RegisterBroker { id: broker(&id), host, port, member })
        });
    let create =
        (stream(), any_subject(), proptest::option::of("[gh]?"), any_count(), any_replicas(), any_overrides(), time())
            .prop_map(|(name, subject, group, partitions, replicas, overrides, at)| {
                Command::CreateStream(CreateStream { name, subject, group, partitions, replicas, overrides, at })
            });
    let pause = (stream(), numbers(), any::<bool>(), time()).prop_map(|(name, partitions, resume_all, at)| {
        Command::PauseStream(PauseStream { name, partitions, resume_all, at })
    });
    let readonly = (stream(), numbers(), any::<bool>(), time()).prop_map(|(name, partitions, readonly, at)| {
        Command::SetReadonly(SetReadonly { name, partitions, readonly, at })
    });
    prop_oneof![
        2 => register,
        4 => create,
        1 => stream().prop_map(|name| Command::DeleteStream(DeleteStream { name })),
        3 => pause,
        3 => (stream(), numbers(), time())
            .prop_map(|(name, partitions, at)| Command::ResumeStream(ResumeStream { name, partitions, at })),
        2 => readonly,
        8 => any_cluster_command(),
    ]
}

/// A command of feature level 2.
fn any_cluster_command() -> impl Strategy<Value = Command> {
    let number = || 0..6u64;
    let partition =
        || ("[ab]{1,2}", number(), 0..4u32).prop_map(|(stream, id, number)| partition_name(&stream, id, number));
    let life = || ("[xyz]", number()).prop_map(|(id, incarnation)| life(&id, incarnation));
    let lists = (proptest::collection::vec(life(), 0..3), proptest::collection::vec("[xyz]", 0..2));
    let change_in_sync =
        (partition(), number(), number(), lists).prop_map(|(partition, leader_epoch, epoch, (in_sync, damaged))| {
            let (leader_epoch, epoch) = (LeaderEpoch::new(leader_epoch), PartitionEpoch::new(epoch));
            let damaged = damaged.iter().map(|id| broker(id)).collect();
            Command::ChangeInSync(ChangeInSync { partition, leader_epoch, epoch, in_sync, damaged })
        });
    prop_oneof![
        life().prop_map(Command::FenceBroker),
        life().prop_map(Command::UnfenceBroker),
        change_in_sync,
        (partition(), number(), "[xyz]", any::<bool>()).prop_map(|(partition, epoch, to, leaves)| {
            Command::MoveLeader(MoveLeader { partition, epoch: PartitionEpoch::new(epoch), to: broker(&to), leaves })
        }),
        (partition(), proptest::option::of("[xyz]")).prop_map(|(partition, to)| {
            Command::ElectUnclean(ElectUnclean { partition, to: to.as_deref().map(broker) })
        }),
        ("[xyz]", any::<bool>())
            .prop_map(|(id, forced)| Command::RemoveBroker(RemoveBroker { id: broker(&id), forced })),
        (0..4u32).prop_map(Command::SetFeatureLevel),
    ]
}

fn any_member() -> impl Strategy<Value = Member> {
    let texts = (proptest::option::of("[a-z:]{0,5}"), proptest::option::of("[a-z]{0,3}"));
    let lost = proptest::collection::btree_set((0..5u64, 0..9u32), 0..5);
    (1..4u64, texts, 1..=FEATURE_LEVEL, (any::<bool>(), 0..3u32, 0..3u32), lost).prop_map(
        |(number, (peer_address, rack), feature_level, (kept_log, in_sync_min, seconds), lost)| {
            let lost = lost.into_iter();
            Member {
                peer_address,
                rack,
                feature_level,
                in_sync_min: NonZero::new(in_sync_min),
                session_timeout: Some(Duration::from_secs(seconds.into())).filter(|timeout| !timeout.is_zero()),
                lost: lost.map(|(id, number)| (StreamId::new(id), PartitionId::new(number).unwrap())).collect(),
                ..member(number, kept_log)
            }
        },
    )
}

fn any_subject() -> impl Strategy<Value = Subject> {
    "[a-c*>]{1,3}(\\.[a-c*]{1,3}){0,2}".prop_map(|text| Subject::new(&text).unwrap())
}

fn any_count() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..5u32, 1 => Just(u32::MAX)]
}

fn any_replicas() -> impl Strategy<Value = ReplicaCount> {
    prop_oneof![Just(ReplicaCount::EveryBroker), any_count().prop_map(ReplicaCount::Exactly)]
}

fn any_overrides() -> impl Strategy<Value = SettingOverrides> {
    let span = || proptest::option::of((any::<u64>(), 0..1_000_000_000u32).prop_map(|(s, n)| Duration::new(s, n)));
    let numbers = || proptest::option::of(any::<u64>());
    let flags = || proptest::option::of(any::<bool>());
    let spans = (span(), span(), span(), span());
    let counts =
        (numbers(), numbers(), numbers(), proptest::option::of(any::<u32>()), proptest::option::of(any::<u32>()));
    (spans, counts, (flags(), flags(), flags(), flags())).prop_map(|(spans, counts, flags)| SettingOverrides {
        retention_max_bytes: counts.0,
        retention_max_messages: counts.1,
        retention_max_age: spans.0,
        cleaner_interval: spans.1,
        segment_max_bytes: counts.2,
        segment_max_age: spans.2,
        compact_max_goroutines: counts.3,
        compact_enabled: flags.0,
        auto_pause_time: spans.3,
        auto_pause_disable_if_subscribers: flags.1,
        min_isr: counts.4,
        optimistic_concurrency_control: flags.2,
        encryption: flags.3,
    })
}
