//! A partition's turn on a worker: takes what waits, does it in order, and makes room for the next partition.
//!
//! Everything here is synchronous and runs under the core's lock. Publishes that wait in a row are one cycle: their appends
//! share one sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::vec::Drain;

use crate::errors::PublishError;
use crate::partition::Partition;
use crate::partition::lifecycle::{Core, State};
use crate::partition::mailbox::{Command, Event};
use crate::partition::perform::{Buffers, Cycle};
use crate::partition::proposal::Proposal;
use crate::partition::role::{Replica, RoleHere};
use crate::partition::upkeep::Duty;
use crate::workers::{Abandoned, Job, Turn};

/// Batches of the configured size one turn may take: enough to make a sync worth its while, little enough that the next
/// partition's turn comes soon.
const TURN_BATCHES_MAX: usize = 4;

/// Bytes of messages one turn may take.
const TURN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a worker lends to the partition whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    events: Vec<Event>,
    buffers: Buffers,
}

impl Job for Partition {
    type Scratch = Scratch;

    fn run(self: Arc<Self>, scratch: &mut Scratch) -> Turn {
        let events_max = self.host.limits.batch_messages_max.saturating_mul(TURN_BATCHES_MAX);
        let mut core = self.core.lock();
        self.gather(&mut core);
        self.mailbox.lock().take(&mut scratch.events, events_max, TURN_BYTES_MAX);
        let mut events = scratch.events.drain(..);
        while let Some(event) = events.next() {
            match event {
                Event::Publish(first) => self.store(&mut core, first, &mut events, &mut scratch.buffers),
                Event::Command(command, done) => {
                    self.on_command(&mut core, command);
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
                Event::Peer(first) => self.take_in(&mut core, first, &mut events, &mut scratch.buffers),
                Event::Duty(duty) => self.on_duty_due(&mut core, duty),
            }
        }
        drop(core);
        if self.mailbox.lock().end_turn() { Turn::Again } else { Turn::Rest }
    }

    fn abandon(self: Arc<Self>, cause: Abandoned) {
        let mut core = self.core.lock();
        // First of all, so that these are answered even if what follows panics.
        let events = self.mailbox.lock().drain();
        let refusal = match cause {
            Abandoned::Stopped => {
                self.stop_at_once(&mut core);
                PublishError::ShuttingDown
            }
            Abandoned::Panicked => {
                let reason = "internal error, see the server's log".to_owned();
                self.become_offline(&mut core, reason.clone());
                PublishError::Offline { reason }
            }
        };
        drop(core);
        for event in events {
            if let Event::Publish(proposal) = event {
                proposal.reply.answer(Err(refusal.clone()));
            }
        }
    }
}

impl Partition {
    /// Lets publishers who were answered together come back together, see [`company`](super::company).
    fn gather(&self, core: &mut Core) {
        let State::Open(replica) = &mut core.state else { return };
        let open = &mut replica.open;
        let Some(wait) = open.company.next_wait() else { return };
        let until = Instant::now() + wait.patience;
        let mut mailbox = self.mailbox.lock();
        mailbox.expect_company(wait.publisher_count);
        while mailbox.expects_company() && !self.company_came.wait_until(&mut mailbox, until).timed_out() {}
        let came = mailbox.stop_expecting();
        open.company.on_waited(came);
    }

    /// Stores `first` and the publishes right behind it.
    fn store(self: &Arc<Self>, core: &mut Core, first: Proposal, rest: &mut Drain<'_, Event>, buffers: &mut Buffers) {
        self.touch();
        let concurrency_control = core.settings.optimistic_concurrency_control;
        let refusal = core.state.refusal();
        let State::Open(replica) = &mut core.state else {
            first.reply.answer(Err(refusal.clone()));
            return refuse_publishes(rest, &refusal);
        };
        let Replica { open, role: RoleHere::Leading(leader) } = &mut **replica else {
            first.reply.answer(Err(refusal.clone()));
            return refuse_publishes(rest, &refusal);
        };
        let mut cycle = Cycle::new(self, leader, open, buffers, concurrency_control);
        cycle.propose(first);
        while let Some(Event::Publish(_)) = rest.as_slice().first()
            && let Some(Event::Publish(proposal)) = rest.next()
        {
            cycle.propose(proposal);
        }
        let finished = cycle.finish();
        match finished {
            Ok(()) => {
                self.plan_after_append(core);
                self.plan_tick(core);
            }
            Err(failure) => self.become_offline(core, failure.reason),
        }
    }

    fn on_command(self: &Arc<Self>, core: &mut Core, command: Command) {
        match command {
            Command::Pause => self.become_paused(core),
            Command::Resume => self.resume_if_paused(core),
            Command::SetReadonly(readonly) => self.apply_readonly(core, readonly),
            Command::Assign(assignment, incarnation) => self.apply_assignment(core, *assignment, incarnation),
            Command::Explain(reply) => self.answer_explain(core, reply),
            Command::Delete => self.become_deleted(core),
            Command::Shutdown => self.become_stopped(core),
        }
    }

    fn on_duty_due(self: &Arc<Self>, core: &mut Core, duty: Duty) {
        match duty {
            // The turn itself is what was due.
            Duty::Append => {}
            Duty::Sync => self.sync_written(core),
            Duty::Clean => self.clean(core),
            Duty::Tick => self.tick(core),
            Duty::Park => self.maybe_park(core),
        }
    }
}

/// Answers the publishes that come next. What is behind another event is left to it.
fn refuse_publishes(events: &mut Drain<'_, Event>, refusal: &PublishError) {
    while let Some(Event::Publish(_)) = events.as_slice().first()
        && let Some(Event::Publish(proposal)) = events.next()
    {
        proposal.reply.answer(Err(refusal.clone()));
    }
}

/// When something last happened to a partition, and whether it has been reminded to look.
#[derive(Debug)]
pub(super) struct Activity {
    latest_ms: AtomicU64,
    park_scheduled: AtomicBool,
}

impl Activity {
    /// Nothing has happened yet.
    pub(super) fn new() -> Self {
        Self { latest_ms: AtomicU64::new(0), park_scheduled: AtomicBool::new(false) }
    }
}

impl Partition {
    /// Notes that the partition's files or caches are used, and has them closed once they have not been for a while.
    pub(crate) fn touch(self: &Arc<Self>) {
        let now_ms = u64::try_from(self.host.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.activity.latest_ms.store(now_ms, Ordering::SeqCst);
        if !self.activity.park_scheduled.swap(true, Ordering::SeqCst) {
            let wait = self.host.limits.park_after;
            self.host.upkeep.schedule(wait, Duty::Park, Arc::downgrade(self));
        }
    }

    /// How long it is until the partition may be parked; `None` = it may.
    pub(super) fn park_wait(&self) -> Option<Duration> {
        let latest = Duration::from_millis(self.activity.latest_ms.load(Ordering::SeqCst));
        let idle = self.host.clock.elapsed().saturating_sub(latest);
        self.host.limits.park_after.checked_sub(idle).filter(|wait| !wait.is_zero())
    }

    /// Parks, unless the partition was used since that was found due.
    fn maybe_park(self: &Arc<Self>, core: &mut Core) {
        // First the flag, then the look: a use in between schedules the next reminder itself.
        self.activity.park_scheduled.store(false, Ordering::SeqCst);
        if self.park_wait().is_some() {
            return self.remind_to_park();
        }
        self.mailbox.lock().shrink();
        self.park(core);
    }

    fn remind_to_park(self: &Arc<Self>) {
        if !self.activity.park_scheduled.swap(true, Ordering::SeqCst) {
            let wait = self.host.limits.park_after;
            self.host.upkeep.schedule(wait, Duty::Park, Arc::downgrade(self));
        }
    }
}
