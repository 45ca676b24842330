use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::*;

/// A job that reports each turn and waits until it is told to end it.
struct Scripted {
    name: &'static str,
    turns: Mutex<VecDeque<Script>>,
    started: SyncSender<(&'static str, String)>,
    go_on: Mutex<Receiver<()>>,
    abandoned: Mutex<Option<Abandoned>>,
    panics_when_abandoned: bool,
}

#[derive(Clone, Copy)]
enum Script {
    Rest,
    Again,
    Panic,
}

impl Job for Scripted {
    type Scratch = ();

    fn run(self: Arc<Self>, (): &mut ()) -> Turn {
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        self.started.send((self.name, thread)).unwrap();
        self.go_on.lock().recv().unwrap();
        match self.turns.lock().pop_front().unwrap() {
            Script::Rest => Turn::Rest,
            Script::Again => Turn::Again,
            Script::Panic => panic!("on purpose"),
        }
    }

    fn abandon(self: Arc<Self>, cause: Abandoned) {
        *self.abandoned.lock() = Some(cause);
        assert!(!self.panics_when_abandoned, "on purpose, once more");
    }
}

struct Fixture {
    workers: Workers<Scripted>,
    started: Receiver<(&'static str, String)>,
    report: SyncSender<(&'static str, String)>,
}

impl Fixture {
    fn new(threads: usize) -> Self {
        let (report, started) = sync_channel(100);
        Self { workers: Workers::new(threads), started, report }
    }

    fn queue(&self, name: &'static str, turns: &[Script]) -> (Arc<Scripted>, SyncSender<()>) {
        self.queue_one(name, turns, false)
    }

    /// Queues a job that panics when it is abandoned too.
    fn queue_hopeless(&self, name: &'static str, turns: &[Script]) -> (Arc<Scripted>, SyncSender<()>) {
        self.queue_one(name, turns, true)
    }

    fn queue_one(
        &self,
        name: &'static str,
        turns: &[Script],
        panics_when_abandoned: bool,
    ) -> (Arc<Scripted>, SyncSender<()>) {
        let (go_on, waits) = sync_channel(100);
        let turns = Mutex::new(turns.iter().copied().collect());
        let (started, go_on_receiver, abandoned) = (self.report.clone(), Mutex::new(waits), Mutex::new(None));
        let job = Arc::new(Scripted { name, turns, started, go_on: go_on_receiver, abandoned, panics_when_abandoned });
        self.workers.queue(Arc::clone(&job));
        (job, go_on)
    }

    fn next_started(&self) -> &'static str {
        self.started.recv().unwrap().0
    }
}

#[test]
fn a_job_that_wants_more_goes_behind_those_who_wait() {
    let fixture = Fixture::new(1);
    let (_a, a_go) = fixture.queue("a", &[Script::Again, Script::Rest]);
    let (_b, b_go) = fixture.queue("b", &[Script::Rest]);
    a_go.send(()).unwrap();
    a_go.send(()).unwrap();
    b_go.send(()).unwrap();
    assert_eq!([fixture.next_started(), fixture.next_started(), fixture.next_started()], ["a", "b", "a"]);
    fixture.workers.stop(true);
}

#[test]
fn there_are_never_more_threads_than_the_bound_and_they_have_names() {
    let fixture = Fixture::new(2);
    let jobs: Vec<_> = (0..4).map(|_| fixture.queue("a", &[Script::Rest])).collect();
    let mut threads: Vec<String> = (0..2).map(|_| fixture.started.recv().unwrap().1).collect();
    threads.sort();
    assert_eq!(threads, ["log-worker-0", "log-worker-1"]);
    assert!(fixture.started.try_recv().is_err(), "a third thread took a job");
    jobs.iter().for_each(|(_, go_on)| go_on.send(()).unwrap());
    fixture.workers.stop(true);
}

#[test]
fn a_panic_costs_one_turn_and_no_thread() {
    let fixture = Fixture::new(1);
    let (bad, bad_go) = fixture.queue("bad", &[Script::Panic]);
    let (_good, good_go) = fixture.queue("good", &[Script::Rest]);
    bad_go.send(()).unwrap();
    good_go.send(()).unwrap();
    assert_eq!([fixture.next_started(), fixture.next_started()], ["bad", "good"]);
    fixture.workers.stop(true);
    assert_eq!(*bad.abandoned.lock(), Some(Abandoned::Panicked));
}

#[test]
fn a_second_panic_costs_no_thread_either() {
    let fixture = Fixture::new(1);
    let (bad, bad_go) = fixture.queue_hopeless("bad", &[Script::Panic]);
    let (_good, good_go) = fixture.queue("good", &[Script::Rest]);
    good_go.send(()).unwrap();
    bad_go.send(()).unwrap();
    let started = [(); 2].map(|()| fixture.started.recv_timeout(Duration::from_secs(20)).map(|(name, _)| name));
    assert_eq!(started, [Ok("bad"), Ok("good")]);
    fixture.workers.stop(true);
    assert_eq!(*bad.abandoned.lock(), Some(Abandoned::Panicked));
}

#[test]
fn a_job_that_panics_when_it_is_abandoned_does_not_keep_the_others_from_being_told() {
    let fixture = Fixture::new(1);
    let (_running, go_on) = fixture.queue("running", &[Script::Rest]);
    assert_eq!(fixture.next_started(), "running");
    let (_bad, _bad_go) = fixture.queue_hopeless("bad", &[]);
    let (good, _good_go) = fixture.queue("good", &[]);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| fixture.workers.stop(false));
        while good.abandoned.lock().is_none() && !stopping.is_finished() {
            std::thread::yield_now();
        }
        go_on.send(()).unwrap();
    });
    assert_eq!(*good.abandoned.lock(), Some(Abandoned::Stopped));
}

#[test]
fn a_finishing_stop_runs_what_is_queued_and_takes_nothing_new() {
    let fixture = Fixture::new(1);
    let (_a, a_go) = fixture.queue("a", &[Script::Again, Script::Rest]);
    let (b, b_go) = fixture.queue("b", &[Script::Rest]);
    [&a_go, &a_go, &b_go].iter().for_each(|go_on| go_on.send(()).unwrap());
    fixture.workers.stop(true);
    assert_eq!(fixture.started.try_iter().count(), 3);
    let (late, _late_go) = fixture.queue("late", &[]);
    assert_eq!((*b.abandoned.lock(), *late.abandoned.lock()), (None, Some(Abandoned::Stopped)));
}

#[test]
fn a_fast_stop_abandons_what_has_not_begun() {
    let fixture = Fixture::new(1);
    let (_a, a_go) = fixture.queue("a", &[Script::Rest]);
    assert_eq!(fixture.next_started(), "a");
    let (b, _b_go) = fixture.queue("b", &[]);
    std::thread::scope(|scope| {
        scope.spawn(|| fixture.workers.stop(false));
        while b.abandoned.lock().is_none() {
            std::thread::yield_now();
        }
        a_go.send(()).unwrap();
    });
    assert_eq!(*b.abandoned.lock(), Some(Abandoned::Stopped));
}
