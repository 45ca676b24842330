use std::io::IoSlice;
use std::time::Duration;

use liftbridge_commitlog::{FaultyVolume, Volume};

use super::simulation::{Weather, World};
use crate::admission::JoinRefusal;
use crate::call_reply::JoinAnswer;
use crate::command::{Command, RemoveBroker, ReplicaCount};
use crate::digest::DigestHistory;
use crate::raft_storage::{LOG_DIRECTORY, SNAPSHOT_DIRECTORY};
use crate::standing::Part;
use crate::test_commands::*;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn new_stream(number: usize) -> Command {
    create(&format!("s{number}"), 2, ReplicaCount::Exactly(1))
}

#[test]
fn servers_join_catch_up_and_vote() {
    let world = World::of(1, 3);
    let state = world.state_of(1);
    assert_eq!(state.nodes.iter().map(|(id, _)| id.get()).collect::<Vec<_>>(), [1, 2, 3]);
    world.check_settled();
}

#[test]
fn only_so_many_vote_and_a_listener_votes_when_a_voter_is_removed() {
    let mut world = World::new(2);
    world.voters_max = 3;
    world.found();
    for number in 2..=5 {
        world.begin_joining(number);
        world.run_until("it has joined", |world| world.is_member(number));
    }
    world.run_until("everybody serves", |world| world.is_settled(5));
    let voters = |world: &World| {
        let state = world.state_of(world.controller().unwrap());
        state.nodes.iter().filter(|(_, node)| node.voter).map(|(id, _)| id.get()).collect::<Vec<_>>()
    };
    assert_eq!(voters(&world), [1, 2, 3]);
    world.crash(3);
    let three = broker("3");
    let fenced = |world: &World| world.state_of(1).brokers.get(&three).is_some_and(|broker| broker.fenced);
    world.run_until("it is missed", fenced);
    world.propose(Command::RemoveBroker(RemoveBroker { id: broker("3"), forced: false }));
    world.run_until("another one votes", |world| world.controller().is_some() && voters(world) == [1, 2, 4]);
    world.check_settled();
}

#[test]
fn agreement_goes_on_without_a_minority_and_a_lost_controller_is_replaced_within_seconds() {
    for seed in 30..40 {
        let mut world = World::of(seed, 3);
        let first = world.controller().unwrap();
        world.crash(first);
        let lost_at = world.now;
        let lost = broker(&first.to_string());
        let is_fenced = |world: &World| {
            let controller = world.controller().map(|controller| world.state_of(controller));
            controller.is_some_and(|state| state.brokers.get(&lost).is_some_and(|broker| broker.fenced))
        };
        world.run_until("its broker is fenced", is_fenced);
        let span = world.now - lost_at;
        assert!(span <= Duration::from_millis(2500), "seed {seed}: {span:?}");
        assert!(world.propose(new_stream(1)));
        world.run_until("it is agreed on", |world| world.agreed_count() > 0);
        world.start(first);
        world.run_until("it is back", |world| world.is_settled(3));
        world.run_for(seconds(2));
        world.check_settled();
    }
}

#[test]
fn a_silent_broker_is_fenced_within_the_session_timeout_and_unfenced_when_it_is_back() {
    let mut world = World::of(4, 3);
    let controller = world.controller().unwrap();
    let other = (1..=3).find(|number| *number != controller).unwrap();
    world.part(&[other]);
    let since = world.now;
    let id = broker(&other.to_string());
    let fenced = |world: &World| world.state_of(controller).brokers.get(&id).is_some_and(|broker| broker.fenced);
    world.run_until("it is fenced", fenced);
    assert!(world.now - since <= Duration::from_millis(2300), "{:?}", world.now - since);
    world.cut.clear();
    world.run_until("it is back", |world| world.is_settled(3));
    assert_eq!(world.controller(), Some(controller), "who comes back does not disturb the controller");
}

#[test]
fn a_controller_without_a_majority_promises_nothing_and_agrees_on_nothing() {
    let mut world = World::of(5, 3);
    let first = world.controller().unwrap();
    world.part(&[first]);
    world.run_for(Duration::from_millis(800));
    let incarnation = world.state_of(first).brokers.get(&broker(&first.to_string())).unwrap().incarnation;
    let beat = crate::Heartbeat {
        life: life(&first.to_string(), incarnation.get()),
        applied: crate::LogIndex::new(incarnation.get()),
    };
    let node = world.servers.get_mut(&first).unwrap().node.as_mut().unwrap();
    assert_eq!(node.on_heartbeat(&beat), crate::HeartbeatAnswer::NotController);
    world.run_for(seconds(3));
    assert_ne!(world.controller(), Some(first));
    assert_ne!(world.node(first).unwrap().standing.as_ref().unwrap().part, Part::Controller);
    world.cut.clear();
    world.run_until("it is back", |world| world.is_settled(3));
    world.check_settled();
}

/// Three servers, of which one is down that lacks more than the others' logs still have: the world, the controller and it.
fn lagging(seed: u64) -> (World, u64, u64) {
    let mut world = World::of(seed, 3);
    world.snapshot_threshold = 8;
    for number in 1..=3 {
        // Everybody takes snapshots this often from now on.
        world.crash(number);
        world.start(number);
    }
    world.run_until("everybody is back", |world| world.is_settled(3));
    let controller = world.controller().unwrap();
    let other = (1..=3).find(|number| *number != controller).unwrap();
    world.crash(other);
    for number in 0..60 {
        world.propose(new_stream(number));
        world.run_for(Duration::from_millis(50));
    }
    (world, controller, other)
}

fn was_sent(world: &World, server: u64) -> bool {
    world.trace.iter().any(|line| line.contains(&format!("{server} was sent")))
}

#[test]
fn a_server_that_lags_behind_the_log_is_sent_the_whole_state() {
    let (mut world, _, other) = lagging(6);
    world.start(other);
    world.run_until("it is back", |world| world.is_settled(3));
    world.run_for(seconds(2));
    assert!(was_sent(&world, other), "{:?}", world.trace);
    assert_eq!(world.state_of(other), world.state_of(world.controller().unwrap()));
    // What it was sent is there after a crash, too.
    world.crash(other);
    world.start(other);
    world.run_until("it is back", |world| world.is_settled(3));
    world.check_settled();
}

#[test]
fn a_server_that_was_sent_the_whole_state_gets_what_follows_though_its_word_got_lost() {
    let (mut world, controller, other) = lagging(6);
    world.start(other);
    world.run_until("it has the state", |world| was_sent(world, other));
    world.cut.insert((other, controller));
    world.run_for(Duration::from_millis(500));
    world.cut.clear();
    world.propose(new_stream(60));
    world.run_for(seconds(2));
    assert_eq!(world.controller(), Some(controller));
    assert_eq!(world.state_of(other), world.state_of(controller));
}

#[test]
fn a_server_whose_log_lacks_what_it_confirmed_says_so_and_takes_no_part_any_more() {
    let mut world = World::of(10, 3);
    let controller = world.controller().unwrap();
    let other = (1..=3).find(|number| *number != controller).unwrap();
    let (from, to) = (world.node(controller).unwrap().id(), world.node(other).unwrap().id());
    let node = world.servers.get_mut(&other).unwrap().node.as_mut().unwrap();
    let last = node.raw.raft.raft_log.last_index();
    let mut heartbeat = |commit| {
        let mut message = raft::eraftpb::Message::default();
        message.set_msg_type(raft::eraftpb::MessageType::MsgHeartbeat);
        (message.from, message.to, message.term, message.commit) = (from, to, node.raw.raft.term, commit);
        node.receive(&broker(&controller.to_string()), &crate::codec::encode_message(message, None).unwrap())
    };
    heartbeat(last).unwrap();
    let told = heartbeat(last + 1).unwrap_err().to_string();
    assert!(told.contains(&format!("confirmed entry {}", last + 1)), "{told}");
    assert!(told.contains("liftbridge-admin cluster remove"), "{told}");
}

/// The directory `raft` of a server that does not run.
fn backup_of(world: &World, number: u64) -> FaultyVolume {
    let (from, to) = (&world.servers[&number].volume, FaultyVolume::new(number));
    for directory in [LOG_DIRECTORY, SNAPSHOT_DIRECTORY] {
        let (from, to) = (from.directory(directory), to.directory(directory));
        for file in from.list().unwrap() {
            let open = from.open(&file.name).unwrap();
            let mut bytes = vec![0; open.bytes().unwrap().try_into().unwrap()];
            open.read_at(&mut bytes, 0).unwrap();
            let copy = to.create(&file.name).unwrap();
            copy.append(0, &mut [IoSlice::new(&bytes)]).unwrap();
            copy.sync().unwrap();
        }
        to.sync_directory().unwrap();
    }
    to
}

/// One of three was down, one is given an older directory `raft`: they are a majority, and the third one knows more.
#[track_caller]
fn check_set_back(snapshot_threshold: u64, streams: usize, has_digests: bool) {
    let mut world = World::new(11);
    world.snapshot_threshold = snapshot_threshold;
    world.populate(3);
    let first = world.controller().unwrap();
    let mut others = (1..=3).filter(|number| *number != first);
    let (second, third) = (others.next().unwrap(), others.next().unwrap());
    world.crash(second);
    let backup = backup_of(&world, second);
    world.start(second);
    world.run_until("it is back", |world| world.is_settled(3));
    world.crash(third);
    for number in 0..streams {
        world.propose(new_stream(number));
        world.run_for(Duration::from_millis(200));
    }
    world.run_for(seconds(1));
    assert_eq!(world.state_of(second).streams.iter().count(), streams);
    world.crash(first);
    world.crash(second);
    world.forget();
    world.servers.get_mut(&second).unwrap().volume = backup;
    world.start(second);
    world.start(third);
    world.run_until("two agree", |world| world.controller().is_some());
    world.doubted = Some(first);
    world.start(first);
    if !has_digests {
        let server = world.servers.get_mut(&first).unwrap();
        let (index, ()) = server.state.look(|_| ());
        server.state.change(index, |state| state.digest = None);
        server.node.as_mut().unwrap().digests = DigestHistory::default();
    }
    world.run_until("it says so", |world| world.failure.is_some());
    let told = world.failure.clone().unwrap();
    for part in ["at entry ", "something else", "the controller `", "Keep a copy", "liftbridge-admin cluster remove"] {
        assert!(told.contains(part), "{told}");
    }
    world.propose(new_stream(streams));
    world.run_until("the others go on", |world| world.state_of(third).streams.iter().count() == 1);
}

#[test]
fn who_knows_more_than_a_majority_that_was_set_back_says_so_and_takes_no_part_any_more() {
    for has_digests in [true, false] {
        check_set_back(1000, 3, has_digests);
        // What it knows more is in its snapshot.
        check_set_back(8, 40, has_digests);
    }
}

/// Raft cannot tell these logs apart: each has an entry of the same term at the same index.
#[test]
fn a_server_with_the_log_of_another_history_is_told() {
    let [mut world, mut other] = [1, 2].map(|number| {
        let mut world = World::of(12, 3);
        world.propose(new_stream(number));
        world.run_for(seconds(1));
        world.crash(3);
        world
    });
    assert_eq!(world.trace, other.trace);
    std::mem::swap(&mut world.servers.get_mut(&3).unwrap().volume, &mut other.servers.get_mut(&3).unwrap().volume);
    world.doubted = Some(3);
    world.start(3);
    world.run_until("it is told", |world| world.failure.is_some());
    assert!(world.failure.as_ref().unwrap().contains("something else"), "{:?}", world.failure);
}

#[test]
fn a_state_that_gets_lost_on_its_way_is_sent_again() {
    let mut world = World::of(7, 1);
    world.weather.lost_one_in = 3;
    world.begin_joining(2);
    world.run_until("it has joined and votes", |world| world.is_settled(2));
    world.check_settled();
}

#[test]
fn a_lost_disk_under_the_same_id_is_refused_until_the_old_one_is_removed() {
    let mut world = World::of(8, 3);
    world.crash(3);
    world.servers.remove(&3);
    let ask = |world: &mut World| {
        let controller = world.controller().unwrap();
        world.ask_to_join(controller, 3, directory(99))
    };
    let refusal = JoinRefusal::IdTaken { id: broker("3") };
    assert_eq!(ask(&mut world), Some(JoinAnswer::Refused(refusal)));
    let three = broker("3");
    let fenced = |world: &World| world.state_of(1).brokers.get(&three).is_some_and(|broker| broker.fenced);
    world.run_until("it is missed", fenced);
    world.propose(Command::RemoveBroker(RemoveBroker { id: broker("3"), forced: false }));
    world.run_until("it is gone", |world| !world.is_member(3));
    let _ = ask(&mut world);
    world.run_until("it is let in", |world| world.is_member(3));
    let Some(JoinAnswer::Admitted(admitted)) = ask(&mut world) else { panic!("it is a member now") };
    assert_eq!(admitted.raft_id, raft_id(4), "under a number that nobody had");
    assert_eq!(admitted.peers.len(), 2);
}

#[test]
fn a_controller_that_takes_its_leave_hands_over_at_once() {
    let mut world = World::of(9, 3);
    let first = world.controller().unwrap();
    world.servers.get_mut(&first).unwrap().node.as_mut().unwrap().resign();
    let since = world.now;
    world.run_until("another one controls", |world| world.controller().is_some_and(|controller| controller != first));
    assert!(world.now - since <= Duration::from_millis(300), "{:?}", world.now - since);
}

/// Ten minutes of everything at once.
fn storm(seed: u64) -> World {
    let mut world = World::of(seed, 3);
    world.snapshot_threshold = 10;
    world.weather = Weather { lost_one_in: 10, doubled_one_in: 10, delay_max: 20 };
    let mut streams = 0;
    for round in 0..40 {
        match world.chance.below(8) {
            0 | 1 => {
                let number = 1 + world.chance.below(3);
                match world.node(number) {
                    Some(_) => world.crash(number),
                    None => world.start(number),
                }
            }
            2 => {
                let number = 1 + world.chance.below(3);
                world.part(&[number]);
            }
            3 => {
                let (from, to) = (1 + world.chance.below(3), 1 + world.chance.below(3));
                world.cut.insert((from, to));
            }
            4 => world.cut.clear(),
            5 if round > 20 && !world.servers.contains_key(&4) => world.begin_joining(4),
            _ => {}
        }
        for _ in 0..10 {
            streams += 1;
            world.propose(new_stream(streams));
            let span = Duration::from_millis(50 + world.chance.below(300));
            world.run_for(span);
        }
    }
    world.cut.clear();
    world.weather = Weather { delay_max: 2, ..Weather::default() };
    let numbers: Vec<u64> = world.servers.keys().copied().collect();
    for number in numbers {
        if world.node(number).is_none() && number < 4 {
            world.start(number);
        }
    }
    let servers = world.servers.len() as u64;
    world.run_until("everybody is back", |world| world.is_settled(servers));
    world.run_for(seconds(2));
    world
}

#[test]
fn whatever_the_weather_what_was_agreed_on_stays() {
    for seed in 100..108 {
        let world = storm(seed);
        world.check_settled();
        assert!(world.agreed_count() > 20, "seed {seed} agreed on {}", world.agreed_count());
    }
}

#[test]
fn the_same_seed_makes_the_same_history() {
    assert_eq!(storm(200).trace, storm(200).trace);
}
