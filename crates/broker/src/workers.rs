//! The threads that append and sync. Owns their number and the order of turns; never what a job does in its turn.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Something that takes turns on a worker. At most one turn of it may be queued or under way at a time.
pub(crate) trait Job: Send + Sync + 'static {
    /// What a thread lends to the jobs it runs, so that an idle job holds no buffers.
    type Scratch: Default;

    /// Does a bounded piece of work.
    fn run(self: Arc<Self>, scratch: &mut Self::Scratch) -> Turn;

    /// There will be no turn: answer whom an answer is owed.
    fn abandon(self: Arc<Self>, cause: Abandoned);
}

/// What a job wants after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing, until it is queued again.
    Rest,
    /// Another turn, after those who wait already.
    Again,
}

/// Why a job does not get its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abandoned {
    /// The turn panicked: a bug, whose message the panic hook has printed.
    Panicked,
    /// The workers were stopped.
    Stopped,
}

/// A bounded pool of threads and the queue they serve. Threads are started when there is work for them.
pub(crate) struct Workers<J: Job> {
    shared: Arc<Shared<J>>,
    threads_max: usize,
}

struct Shared<J> {
    queue: Mutex<Queue<J>>,
    changed: Condvar,
}

struct Queue<J> {
    jobs: VecDeque<Arc<J>>,
    threads: Vec<JoinHandle<()>>,
    waiting_threads: usize,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Jobs are taken in and run.
    Open,
    /// No new jobs; the queue is run dry.
    Finishing,
    /// Nothing is run any more.
    Stopped,
}

impl<J: Job> fmt::Debug for Workers<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("threads_max", &self.threads_max).finish_non_exhaustive()
    }
}

impl<J: Job> Workers<J> {
    /// A pool of at most `threads_max` threads, none of which runs yet.
    pub(crate) fn new(threads_max: usize) -> Self {
        let queue = Queue { jobs: VecDeque::new(), threads: Vec::new(), waiting_threads: 0, phase: Phase::Open };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new() });
        Self { shared, threads_max: threads_max.max(1) }
    }

    /// Queues a turn of `job`, or abandons it after [`Workers::stop`].
    pub(crate) fn queue(&self, job: Arc<J>) {
        let mut queue = self.shared.queue.lock();
        if queue.phase != Phase::Open {
            drop(queue);
            return abandon(job, Abandoned::Stopped);
        }
        queue.jobs.push_back(job);
        if queue.jobs.len() <= queue.waiting_threads {
            self.shared.changed.notify_one();
        } else if queue.threads.len() < self.threads_max {
            self.start_thread(&mut queue);
        }
    }

    /// Ends the threads, after what is queued (`finish`) or after the turn each is in, and waits for them.
    pub(crate) fn stop(&self, finish: bool) {
        let mut queue = self.shared.queue.lock();
        let unstarted = if finish && !queue.threads.is_empty() {
            queue.phase = Phase::Finishing;
            VecDeque::new()
        } else {
            queue.phase = Phase::Stopped;
            std::mem::take(&mut queue.jobs)
        };
        let threads = std::mem::take(&mut queue.threads);
        drop(queue);
        self.shared.changed.notify_all();
        unstarted.into_iter().for_each(|job| abandon(job, Abandoned::Stopped));
        let this_thread = std::thread::current().id();
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != this_thread) {
            // A worker catches what its jobs throw; if one died all the same there is nothing left to wait for.
            drop(thread.join());
        }
    }

    fn start_thread(&self, queue: &mut Queue<J>) {
        let shared = Arc::clone(&self.shared);
        let name = format!("log-worker-{}", queue.threads.len());
        match Builder::new().name(name).spawn(move || work(&shared)) {
            Ok(thread) => queue.threads.push(thread),
            Err(error) if queue.threads.is_empty() => {
                tracing::error!(%error, "no thread to append with: publishing waits until one can be started");
            }
            Err(error) => tracing::warn!(%error, "could not start another thread to append with"),
        }
    }
}

impl<J: Job> Drop for Workers<J> {
    fn drop(&mut self) {
        self.stop(false);
    }
}

/// The life of one thread.
fn work<J: Job>(shared: &Shared<J>) {
    let mut scratch = J::Scratch::default();
    while let Some(job) = next_job(shared) {
        let turn = catch_unwind(AssertUnwindSafe(|| Arc::clone(&job).run(&mut scratch)));
        match turn {
            Ok(Turn::Rest) => {}
            Ok(Turn::Again) => requeue(shared, job),
            Err(_) => {
                // Whatever the scratch held is suspect too.
                scratch = J::Scratch::default();
                abandon(job, Abandoned::Panicked);
            }
        }
    }
}

/// The next job, waiting for one; `None` when the thread is to end.
fn next_job<J>(shared: &Shared<J>) -> Option<Arc<J>> {
    let mut queue = shared.queue.lock();
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            return Some(job);
        }
        if queue.phase != Phase::Open {
            return None;
        }
        queue.waiting_threads += 1;
        shared.changed.wait(&mut queue);
        queue.waiting_threads -= 1;
        // The first of a burst wakes a thread. Where no core is idle, the rest of the burst comes first, and is one turn.
        MutexGuard::unlocked(&mut queue, std::thread::yield_now);
    }
}

/// Gives a job its next turn behind the others. The calling thread looks for work next, so nobody needs waking.
fn requeue<J: Job>(shared: &Shared<J>, job: Arc<J>) {
    let mut queue = shared.queue.lock();
    if queue.phase == Phase::Stopped {
        drop(queue);
        return abandon(job, Abandoned::Stopped);
    }
    queue.jobs.push_back(job);
}

/// Abandons a job. One that panics even then costs nobody else anything: neither the thread nor the jobs after it.
fn abandon<J: Job>(job: Arc<J>, cause: Abandoned) {
    if catch_unwind(AssertUnwindSafe(|| job.abandon(cause))).is_err() {
        tracing::error!(?cause, "a partition panicked while it was being abandoned");
    }
}

#[cfg(test)]
mod tests;
