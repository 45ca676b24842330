//! How far one follower is, as its leader knows. Owns the window of what is on its way to it, and when it was last abreast;
//! never what the leader concludes for the partition.

use std::collections::VecDeque;
use std::time::Duration;

use liftbridge_types::{BrokerId, BrokerIncarnation, Offset};

/// How long a leader waits for the first answer of a follower before it speaks again; doubled each time.
pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest it waits in between.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(5);
/// Sent and not confirmed for so long, something is taken for lost, and the follower asked anew where it is.
pub(crate) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a new high watermark waits for an append to travel with, before it is sent alone.
pub(crate) const NOTICE_DELAY: Duration = Duration::from_millis(5);
/// Most appends to one follower that are not confirmed.
const PUSHES_MAX: usize = 256;

/// What a leader knows of the end of a follower's log.
#[derive(Debug)]
enum Agreement {
    /// Nothing, in this leadership; it is asked again at `retry_at`, and then after `wait`.
    Sought { retry_at: Duration, wait: Duration },
    /// It lies inside the leader's log; the follower gets what comes from `next` on.
    Inside { next: Offset },
}

/// One follower.
#[derive(Debug)]
pub(crate) struct FollowerProgress {
    pub(crate) id: BrokerId,
    linked: bool,
    incarnation: Option<BrokerIncarnation>,
    agreement: Agreement,
    durable_end: Option<Offset>,
    /// When it last said something that counts.
    heard_at: Option<Duration>,
    /// The ends and sizes of appends that are not confirmed, ascending.
    in_flight: VecDeque<(Offset, usize)>,
    in_flight_bytes: usize,
    /// Whether the driver is reading what goes next.
    reading: bool,
    /// When something was last confirmed, or sent with nothing else on its way.
    confirmed_at: Duration,
    /// The high watermark it was told since its log was agreed on.
    told: Option<Offset>,
    notice_at: Option<Duration>,
    /// When it was last known to have everything the leader had.
    abreast_at: Duration,
    /// Where the leader's log ended at one moment; who has that much was abreast then.
    mark: (Duration, Offset),
    /// Whether it said that what it had is damaged, and has not got it back.
    damaged: bool,
    /// Whether it said that it has no room for more.
    full: bool,
}

impl FollowerProgress {
    /// One that has not been heard of.
    pub(crate) fn new(id: BrokerId, linked: bool, elapsed: Duration) -> Self {
        Self {
            id,
            linked,
            incarnation: None,
            agreement: Agreement::Sought { retry_at: elapsed, wait: RETRY_FIRST },
            durable_end: None,
            heard_at: None,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            reading: false,
            confirmed_at: elapsed,
            told: None,
            notice_at: None,
            abreast_at: elapsed,
            mark: (elapsed, Offset::ZERO),
            damaged: false,
            full: false,
        }
    }

    /// The end of what it has on stable storage, inside the leader's log; `None` when that is not known.
    pub(crate) fn durable_end(&self) -> Option<Offset> {
        self.durable_end
    }

    /// The life it was heard in.
    pub(crate) fn incarnation(&self) -> Option<BrokerIncarnation> {
        self.incarnation
    }

    /// When it last said something that counts; `None` = not in this leadership.
    pub(crate) fn heard_at(&self) -> Option<Duration> {
        self.heard_at
    }

    /// Whether there is a link to it.
    pub(crate) fn is_linked(&self) -> bool {
        self.linked
    }

    /// Whether it said that what it had is damaged, and has not got it back.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Whether it said that it has no room for more.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Whether it could lead, as far as is known: it can be reached, read and written.
    pub(crate) fn is_able(&self) -> bool {
        self.linked && self.is_inside() && !self.damaged && !self.full
    }

    /// Since when it has not been abreast of the leader; `None` while it is.
    pub(crate) fn behind_since(&self, log_end: Offset) -> Option<Duration> {
        (!self.is_abreast(log_end)).then_some(self.abreast_at)
    }

    /// Whether its log is known to be the beginning of the leader's.
    pub(crate) fn is_inside(&self) -> bool {
        matches!(self.agreement, Agreement::Inside { .. })
    }

    /// What it gets next; `None` while its log is not known to lie inside the leader's.
    pub(crate) fn next(&self) -> Option<Offset> {
        match self.agreement {
            Agreement::Inside { next } => Some(next),
            Agreement::Sought { .. } => None,
        }
    }

    /// Whether it may become an in-sync replica, which takes that it has everything before `needed`.
    pub(crate) fn is_eligible(&self, needed: Offset) -> bool {
        self.is_able() && self.durable_end.is_some_and(|end| end >= needed)
    }

    /// Whether it has not been abreast of the leader for longer than `lag_max`, or cannot be an in-sync replica at all.
    pub(crate) fn is_lagging(&self, log_end: Offset, now: Duration, lag_max: Duration) -> bool {
        let lags = !self.is_abreast(log_end) && now.saturating_sub(self.abreast_at) > lag_max;
        self.damaged || self.full || lags
    }

    /// When it will be lagging, if nothing happens; `None` while it is abreast.
    pub(crate) fn lagging_at(&self, log_end: Offset, lag_max: Duration) -> Option<Duration> {
        let behind = !self.is_abreast(log_end);
        behind.then(|| self.abreast_at.saturating_add(lag_max).saturating_add(Duration::from_nanos(1)))
    }

    fn is_abreast(&self, log_end: Offset) -> bool {
        self.linked && self.durable_end.is_some_and(|end| end >= log_end)
    }

    /// The link to it opened or closed. What was on its way when it closed may be lost.
    pub(crate) fn on_link(&mut self, up: bool, log_end: Offset, now: Duration) {
        if self.is_abreast(log_end) {
            self.abreast_at = now;
        }
        self.linked = up;
        self.seek(now);
    }

    /// Its log has to be agreed on anew.
    pub(crate) fn seek(&mut self, now: Duration) {
        self.agreement = Agreement::Sought { retry_at: now, wait: RETRY_FIRST };
        self.forget_in_flight();
        self.reading = false;
        self.notice_at = None;
    }

    /// Whether it is to be asked where it is, at `now`. Counts as asked then.
    pub(crate) fn is_to_be_asked(&mut self, now: Duration) -> bool {
        if !self.linked {
            return false;
        }
        if self.is_inside() && !self.in_flight.is_empty() && now >= self.confirmed_at.saturating_add(CONFIRM_TIMEOUT) {
            self.seek(now);
        }
        match &mut self.agreement {
            Agreement::Sought { retry_at, wait } if now >= *retry_at => {
                *retry_at = now.saturating_add(*wait);
                *wait = wait.saturating_mul(2).min(RETRY_MAX);
                true
            }
            Agreement::Sought { .. } | Agreement::Inside { .. } => false,
        }
    }

    /// When something has to be said to it though nothing happens; `None` = never.
    pub(crate) fn speak_at(&self) -> Option<Duration> {
        if !self.linked {
            return None;
        }
        match self.agreement {
            Agreement::Sought { retry_at, .. } => Some(retry_at),
            Agreement::Inside { .. } => {
                let confirm_at =
                    (!self.in_flight.is_empty()).then(|| self.confirmed_at.saturating_add(CONFIRM_TIMEOUT));
                [confirm_at, self.notice_at].into_iter().flatten().min()
            }
        }
    }

    /// Whether a message of this life of it counts; a later one than known makes everything known before void.
    pub(crate) fn admit(&mut self, incarnation: BrokerIncarnation, now: Duration) -> bool {
        match self.incarnation {
            Some(known) if incarnation < known => return false,
            Some(known) if incarnation == known => {}
            Some(_) | None => {
                self.incarnation = Some(incarnation);
                self.durable_end = None;
                self.damaged = false;
                self.full = false;
                self.seek(now);
            }
        }
        self.heard_at = Some(now);
        true
    }

    /// Its log ends at `end`, inside the leader's: it gets what comes after. It is `intact` or not before that.
    pub(crate) fn agree(&mut self, end: Offset, intact: bool, now: Duration) {
        self.agreement = Agreement::Inside { next: end };
        self.forget_in_flight();
        self.reading = false;
        self.confirmed_at = now;
        self.damaged = !intact;
        self.full = false;
        self.told = None;
        self.notice_at = None;
    }

    /// It has everything before `end`, where the leader's log ends at `log_end`.
    pub(crate) fn confirm(&mut self, end: Offset, log_end: Offset, now: Duration) {
        let end = self.durable_end.map_or(end, |before| before.max(end)).min(log_end);
        self.durable_end = Some(end);
        while let Some((_, bytes)) = self.in_flight.pop_front_if(|(pushed, _)| *pushed <= end) {
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
            self.confirmed_at = now;
        }
        let (at, marked) = self.mark;
        if end >= marked {
            self.abreast_at = self.abreast_at.max(at);
            self.mark = (now, log_end);
        }
        if end >= log_end {
            self.abreast_at = now;
        }
    }

    /// The leader's log grows from `log_end` on.
    pub(crate) fn on_appended(&mut self, log_end: Offset, now: Duration) {
        if self.is_abreast(log_end) {
            self.abreast_at = now;
        }
    }

    /// It has no room for more, and gets nothing until it says that it has. In case that gets lost it is asked, seldom.
    pub(crate) fn set_full(&mut self, now: Duration) {
        self.seek(now);
        self.agreement = Agreement::Sought { retry_at: now.saturating_add(RETRY_MAX), wait: RETRY_MAX };
        self.full = true;
    }

    /// It is not intact any more, until it says so.
    pub(crate) fn set_damaged(&mut self) {
        self.damaged = true;
    }

    /// From where and how much is to be read for it now; `None` = nothing. Counts as being read then.
    pub(crate) fn start_push(&mut self, log_end: Offset, window_bytes: usize) -> Option<(Offset, usize)> {
        let next = self.next()?;
        let room = window_bytes.saturating_sub(self.in_flight_bytes);
        if !self.linked || self.reading || next >= log_end || room == 0 || self.in_flight.len() >= PUSHES_MAX {
            return None;
        }
        self.reading = true;
        Some((next, room))
    }

    /// What was to be read was sent, together with this high watermark.
    pub(crate) fn on_pushed(&mut self, end: Offset, bytes: usize, high_watermark: Offset, now: Duration) {
        if !std::mem::take(&mut self.reading) {
            return;
        }
        let Agreement::Inside { next } = &mut self.agreement else { return };
        if bytes == 0 || end <= *next {
            // The leader cannot read it: nothing is gained by trying again at once.
            self.agreement = Agreement::Sought { retry_at: now.saturating_add(RETRY_MAX), wait: RETRY_MAX };
            return;
        }
        *next = end;
        if self.in_flight.is_empty() {
            self.confirmed_at = now;
        }
        self.in_flight.push_back((end, bytes));
        self.in_flight_bytes = self.in_flight_bytes.saturating_add(bytes);
        self.on_told(high_watermark);
    }

    /// It was told this high watermark, together with what was appended.
    fn on_told(&mut self, high_watermark: Offset) {
        self.told = Some(high_watermark);
        self.notice_at = None;
    }

    /// It was told this high watermark alone, and confirms that like an append without bytes.
    pub(crate) fn on_noticed(&mut self, high_watermark: Offset, now: Duration) {
        self.on_told(high_watermark);
        let Some(next) = self.next() else { return };
        if self.in_flight.is_empty() {
            self.confirmed_at = now;
        }
        self.in_flight.push_back((next, 0));
    }

    /// Whether it does not know yet that its log is agreed on, and no append is going to tell it.
    pub(crate) fn is_to_be_greeted(&self, log_end: Offset) -> bool {
        self.linked && self.told.is_none() && self.next().is_some_and(|next| next >= log_end)
    }

    /// There is a high watermark it may not know: it is told at the latest in a moment.
    pub(crate) fn plan_notice(&mut self, high_watermark: Offset, now: Duration) {
        if self.is_inside() && self.told < Some(high_watermark) && self.notice_at.is_none() {
            self.notice_at = Some(now.saturating_add(NOTICE_DELAY));
        }
    }

    /// Whether it is to be told the high watermark now, alone.
    pub(crate) fn is_notice_due(&self, now: Duration) -> bool {
        self.linked && self.is_inside() && self.notice_at.is_some_and(|at| now >= at)
    }

    fn forget_in_flight(&mut self) {
        self.in_flight.clear();
        self.in_flight_bytes = 0;
    }

    /// Gives memory back that a burst left behind.
    pub(crate) fn shrink(&mut self) {
        self.in_flight.shrink_to_fit();
    }
}
