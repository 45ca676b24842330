//! Where a partition's worker shows how it stands. Owns that looking never waits for the worker; never what is decided.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use liftbridge_commitlog::{Damage, LogEnds, LogView};
use liftbridge_types::{Offset, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::partition::{PartitionStatus, RunState};
use crate::requests::EventTimes;

/// What a reader goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The phase of the partition's life.
    pub(crate) state: RunState,
    /// Whether nothing is appended any more.
    pub(crate) readonly: bool,
    /// Whether this broker leads it.
    pub(crate) leads: bool,
    /// The end of what is written.
    pub(crate) log_end: Offset,
    /// The end of what is committed.
    pub(crate) high_watermark: Offset,
    /// Which of the logs the partition has had one after the other this is about: a pause ends one, a resumption begins
    /// another. A view of one shows nothing of the next.
    pub(crate) generation: u64,
}

/// How a partition stands, for everybody but its worker. The lock is held for a copy, never during I/O.
#[derive(Debug)]
pub(crate) struct Board {
    shown: Mutex<Shown>,
    changed: Notify,
    subscription_count: AtomicUsize,
    is_replicated: AtomicBool,
    /// Since when a follower is behind, in milliseconds of the clock's elapsed time; the greatest number = none is.
    behind_since_ms: AtomicU64,
}

#[derive(Debug)]
struct Shown {
    seen: Seen,
    messages_received: EventTimes,
    /// The oldest offset when the log was last open.
    log_start: Offset,
    /// How to read the log, while it can be read.
    view: Option<LogView>,
    /// Offsets that cannot be read, as far as is known. Kept while the log is closed.
    damage: Damage,
}

impl Board {
    /// A partition without a log yet.
    pub(crate) fn new(state: RunState, readonly: bool) -> Self {
        let seen =
            Seen { state, readonly, leads: false, log_end: Offset::ZERO, high_watermark: Offset::ZERO, generation: 0 };
        let messages_received = EventTimes::default();
        let shown = Shown { seen, messages_received, log_start: Offset::ZERO, view: None, damage: Damage::default() };
        Self {
            shown: Mutex::new(shown),
            changed: Notify::new(),
            subscription_count: AtomicUsize::new(0),
            is_replicated: AtomicBool::new(false),
            behind_since_ms: AtomicU64::new(u64::MAX),
        }
    }

    /// What a reader goes by, now.
    pub(crate) fn seen(&self) -> Seen {
        self.shown.lock().seen.clone()
    }

    /// How to read the log and what of it, taken at one moment; no view when it cannot be read.
    pub(crate) fn view(&self) -> (Seen, Option<LogView>) {
        let shown = self.shown.lock();
        (shown.seen.clone(), shown.view.clone())
    }

    /// Everything, now.
    pub(crate) fn status(&self) -> PartitionStatus {
        let shown = self.shown.lock();
        let seen = shown.seen.clone();
        PartitionStatus {
            state: seen.state,
            readonly: seen.readonly,
            leads: seen.leads,
            log_start: shown.view.as_ref().map_or(shown.log_start, LogView::log_start),
            log_end: seen.log_end,
            high_watermark: seen.high_watermark,
            messages_received: shown.messages_received,
            subscription_count: self.subscription_count(),
        }
    }

    /// Why nothing can be stored, if so, and which offsets cannot be read, as far as is known.
    pub(crate) fn storage(&self) -> (Option<String>, Damage) {
        let shown = self.shown.lock();
        let offline = match &shown.seen.state {
            RunState::Offline { reason } => Some(reason.clone()),
            RunState::Open | RunState::Paused | RunState::Deleted | RunState::Stopped => None,
        };
        (offline, shown.damage.clone())
    }

    /// Whether nothing can be stored, and whether anything is known that cannot be read; cheaper than [`Board::storage`].
    pub(crate) fn has_failed(&self) -> (bool, bool) {
        let shown = self.shown.lock();
        (matches!(shown.seen.state, RunState::Offline { .. }), !shown.damage.is_empty())
    }

    /// This is all that is known to be unreadable. Nobody is woken: readers find it themselves.
    pub(crate) fn show_damage(&self, damage: &Damage) {
        let mut shown = self.shown.lock();
        if shown.damage != *damage {
            shown.damage = damage.clone();
        }
    }

    /// This is unreadable, too.
    pub(crate) fn add_damage(&self, found: Range<Offset>) {
        self.shown.lock().damage.add(found);
    }

    /// Whether the partition has several replicas.
    pub(crate) fn is_replicated(&self) -> bool {
        self.is_replicated.load(Ordering::Relaxed)
    }

    /// The partition has several replicas, or one.
    pub(crate) fn show_replicated(&self, is_replicated: bool) {
        self.is_replicated.store(is_replicated, Ordering::Relaxed);
    }

    /// Since when, in the clock's elapsed time, an in-sync follower of this leader is behind; `None` = none is.
    pub(crate) fn behind_since(&self) -> Option<Duration> {
        let since = self.behind_since_ms.load(Ordering::Relaxed);
        (since != u64::MAX).then(|| Duration::from_millis(since))
    }

    /// A follower is behind since then, or none is.
    pub(crate) fn show_behind_since(&self, since: Option<Duration>) {
        let since = since.map_or(u64::MAX, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.behind_since_ms.store(since, Ordering::Relaxed);
    }

    /// Whether the partition is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.shown.lock().seen.state == RunState::Paused
    }

    /// Becomes ready at the next change. Enable it before looking at what is shown, or a change in between is missed.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Another subscription, or one less.
    pub(crate) fn count_subscription(&self, begins: bool) {
        if begins {
            self.subscription_count.fetch_add(1, Ordering::Relaxed);
        } else {
            self.subscription_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many subscriptions there are.
    pub(crate) fn subscription_count(&self) -> usize {
        self.subscription_count.load(Ordering::Relaxed)
    }

    /// The log was opened.
    pub(crate) fn show_open(&self, view: LogView, high_watermark: Offset) {
        self.change(|shown| {
            shown.seen.state = RunState::Open;
            shown.seen.log_end = view.log_end();
            shown.seen.high_watermark = high_watermark;
            shown.seen.generation += 1;
            shown.log_start = view.log_start();
            shown.view = Some(view);
        });
    }

    /// The log was closed, or (`readable`) can only be read from now on.
    pub(crate) fn show_closed(&self, state: RunState, readable: bool) {
        self.change(|shown| {
            shown.seen.state = state;
            if readable {
                return;
            }
            if let Some(view) = shown.view.take() {
                shown.seen.generation += 1;
                shown.log_start = view.log_start();
            }
        });
    }

    /// The log goes this far; it cannot be read now.
    pub(crate) fn show_ends(&self, ends: LogEnds) {
        self.change(|shown| {
            shown.log_start = ends.log_start;
            shown.seen.log_end = ends.log_end;
            shown.seen.high_watermark = ends.high_watermark;
        });
    }

    /// Records were appended, up to `log_end`, at `first..=last`. Nobody is woken: they are not committed.
    pub(crate) fn show_appended(&self, log_end: Offset, first: Timestamp, last: Timestamp) {
        let mut shown = self.shown.lock();
        shown.seen.log_end = log_end;
        shown.messages_received.first.get_or_insert(first);
        shown.messages_received.latest = Some(last);
    }

    /// The log ends at `log_end`, without anybody having published here. Nobody is woken.
    pub(crate) fn show_log_end(&self, log_end: Offset) {
        self.shown.lock().seen.log_end = log_end;
    }

    /// This broker leads the partition from now on, or does not.
    pub(crate) fn show_leading(&self, leads: bool) {
        self.change(|shown| shown.seen.leads = leads);
    }

    /// Records were committed. Who waits for them is not woken before [`Board::wake`].
    pub(crate) fn show_committed(&self, high_watermark: Offset) {
        self.shown.lock().seen.high_watermark = high_watermark;
    }

    /// Wakes everybody who waits for a change.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Publishes are refused, or taken again.
    pub(crate) fn show_readonly(&self, readonly: bool) {
        self.change(|shown| shown.seen.readonly = readonly);
    }

    fn change(&self, apply: impl FnOnce(&mut Shown)) {
        apply(&mut self.shown.lock());
        self.wake();
    }
}
