//! What waits for a partition's worker. Owns the order of events and when a turn is due; never what an event does.
//!
//! A publish that comes in behind a pause is held until the partition is resumed, and keeps its place among the publishes:
//! its publisher found the partition open a moment ago. Whoever hands it in is told, and has the partition resumed.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use liftbridge_replication::{Assignment, Body, Explanation, Message};
use liftbridge_types::{BrokerId, BrokerIncarnation, Offset, PartitionEpoch};
use tokio::sync::oneshot;

use crate::partition::proposal::Proposal;
use crate::partition::upkeep::Duty;

/// What can happen to a partition. A closed list.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message wants to be stored.
    Publish(Proposal),
    /// The broker wants something; it is told when that is done.
    Command(Command, oneshot::Sender<()>),
    /// Something came from or about the other servers.
    Peer(PeerEvent),
    /// Something is due.
    Duty(Duty),
}

/// What can come from or about the other servers.
#[derive(Debug)]
pub(crate) enum PeerEvent {
    /// One of them said something about this partition.
    Message {
        /// Who.
        from: BrokerId,
        /// What.
        message: Message,
    },
    /// The way to one of them opened, or closed.
    Link {
        /// To whom.
        to: BrokerId,
        /// Whether messages get through from now on.
        is_up: bool,
    },
    /// The session with the controller lapsed, or was renewed.
    Session {
        /// Whether another broker may have been given the lead.
        is_lapsed: bool,
    },
    /// A change of the in-sync replicas that was asked for will certainly never be agreed on.
    InSyncRefused {
        /// Which version of the partition it was to follow.
        epoch: PartitionEpoch,
    },
    /// Stored records were found to be damaged.
    Damage {
        /// Which ones.
        offsets: Range<Offset>,
    },
}

impl PeerEvent {
    /// The bytes of batches it brings.
    fn batch_bytes(&self) -> usize {
        match self {
            Self::Message { message: Message { body: Body::Append { batches, .. }, .. }, .. }
            | Self::Message { message: Message { body: Body::Repair { batches, .. }, .. }, .. } => {
                batches.iter().map(Bytes::len).sum()
            }
            Self::Message { .. }
            | Self::Link { .. }
            | Self::Session { .. }
            | Self::InSyncRefused { .. }
            | Self::Damage { .. } => 0,
        }
    }
}

/// What the broker can want of a partition.
#[derive(Debug)]
pub(crate) enum Command {
    /// Close the files until resumed.
    Pause,
    /// Open them again.
    Resume,
    /// Refuse publishes, or take them again.
    SetReadonly(bool),
    /// Take part in this as is agreed on, in this life of the broker.
    Assign(Box<Assignment>, Option<BrokerIncarnation>),
    /// Say how things stand, if this broker leads. What is not answered is dropped.
    Explain(oneshot::Sender<Explanation>),
    /// Remove everything.
    Delete,
    /// Close cleanly, for good.
    Shutdown,
}

/// What becomes of publishes, as the commands so far have left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publishes {
    /// They get their turn.
    Pass,
    /// They wait for the partition to be resumed.
    Held,
    /// They get their turn, for good: a partition that was deleted or stopped refuses them itself.
    Refused,
}

impl Publishes {
    fn after(self, event: &Event) -> Self {
        let Event::Command(command, _) = event else { return self };
        match (self, command) {
            (Self::Refused, _) | (_, Command::Delete | Command::Shutdown) => Self::Refused,
            (_, Command::Pause) => Self::Held,
            (_, Command::Resume) => Self::Pass,
            (unchanged, Command::SetReadonly(_) | Command::Assign(..) | Command::Explain(_)) => unchanged,
        }
    }
}

/// Whether and when the partition's next turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextTurn {
    /// Nothing to do.
    None,
    /// When the batch has waited long enough, or is full before.
    Lingering,
    /// Queued at the workers, or under way.
    Queued,
}

/// What has to be done after a push. Of several in a row the greatest: it does what the others would as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// Nothing: a turn comes anyway.
    Nothing,
    /// Have [`Mailbox::linger_over`] called when the batch has waited long enough.
    Linger,
    /// The turn under way waits for company, and it is there: wake it.
    Gathered,
    /// Queue a turn.
    Queue,
}

/// When a batch of publishes is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lingering {
    /// Whether a first publish waits for company at all.
    pub(crate) enabled: bool,
    /// The company at which it stops waiting.
    pub(crate) events_max: usize,
}

/// The events that wait for a partition's worker, in order. Its length is bounded by what the node admits.
///
/// Invariant: at most one turn is queued or under way.
#[derive(Debug)]
pub(crate) struct Mailbox {
    events: VecDeque<Event>,
    /// Whether publishes pass or are held before the first of the events, as those taken have left it.
    at_front: Publishes,
    /// The same behind the last of them: what an event that comes now will find.
    at_back: Publishes,
    next_turn: NextTurn,
    /// The length at which the turn under way stops waiting for company; 0 = it does not wait.
    company: usize,
}

impl Mailbox {
    /// An empty one, of a partition that begins paused or not.
    pub(crate) fn new(paused: bool) -> Self {
        let publishes = if paused { Publishes::Held } else { Publishes::Pass };
        Self { events: VecDeque::new(), at_front: publishes, at_back: publishes, next_turn: NextTurn::None, company: 0 }
    }

    /// Whether a publish that comes now is held until the partition is resumed.
    pub(crate) fn holds_publishes(&self) -> bool {
        self.at_back == Publishes::Held
    }

    /// Takes an event in.
    pub(crate) fn push(&mut self, event: Event, lingering: Lingering) -> Wake {
        let is_publish = matches!(event, Event::Publish(_));
        let may_linger = lingering.enabled && is_publish && self.events.len() + 1 < lingering.events_max;
        self.at_back = self.at_back.after(&event);
        self.events.push_back(event);
        if is_publish && self.at_front == Publishes::Held {
            // The command that lets it pass queues the turn.
            return Wake::Nothing;
        }
        match self.next_turn {
            NextTurn::Queued if self.company == 0 || (is_publish && self.events.len() < self.company) => Wake::Nothing,
            NextTurn::Queued => {
                self.company = 0;
                Wake::Gathered
            }
            NextTurn::Lingering if may_linger => Wake::Nothing,
            NextTurn::None if may_linger => {
                self.next_turn = NextTurn::Lingering;
                Wake::Linger
            }
            NextTurn::None | NextTurn::Lingering => {
                self.next_turn = NextTurn::Queued;
                Wake::Queue
            }
        }
    }

    /// The batch has waited long enough. Too late for the batch it was meant for, it does no harm to the next one.
    pub(crate) fn linger_over(&mut self) -> Wake {
        if self.next_turn != NextTurn::Lingering {
            return Wake::Nothing;
        }
        self.next_turn = NextTurn::Queued;
        Wake::Queue
    }

    /// Moves the oldest events to `into`: until `events_max` of them or about `bytes_max` bytes of messages, at least one.
    /// Publishes that are held stay, and everything else passes them.
    pub(crate) fn take(&mut self, into: &mut Vec<Event>, events_max: usize, bytes_max: usize) {
        let mut bytes = 0;
        while into.len() < events_max
            && bytes < bytes_max
            && let Some(event) = self.next()
        {
            bytes += match &event {
                Event::Publish(proposal) => proposal.message.payload_bytes(),
                Event::Peer(peer) => peer.batch_bytes(),
                Event::Command(..) | Event::Duty(_) => 0,
            };
            into.push(event);
        }
    }

    /// Takes the oldest event that is not held.
    fn next(&mut self) -> Option<Event> {
        let position = self.next_position()?;
        let event = self.events.remove(position)?;
        self.at_front = self.at_front.after(&event);
        Some(event)
    }

    /// Where the oldest event is that is not held.
    fn next_position(&self) -> Option<usize> {
        let is_held = |event: &Event| self.at_front == Publishes::Held && matches!(event, Event::Publish(_));
        self.events.iter().position(|event| !is_held(event))
    }

    /// Takes out the publishes that are held, unless the partition is being resumed.
    pub(crate) fn take_held(&mut self) -> Vec<Proposal> {
        let mut held = Vec::new();
        if !self.holds_publishes() {
            return held;
        }
        let mut publishes = self.at_front;
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Publish(proposal) if publishes == Publishes::Held => held.push(proposal),
                event => {
                    publishes = publishes.after(&event);
                    self.events.push_back(event);
                }
            }
        }
        held
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The turn under way waits until so many events are here, or one that is no publish.
    pub(crate) fn expect_company(&mut self, count: usize) {
        let is_there =
            self.events.len() >= count || self.events.iter().any(|event| !matches!(event, Event::Publish(_)));
        self.company = if is_there { 0 } else { count };
    }

    /// Whether the turn under way still waits.
    pub(crate) fn expects_company(&self) -> bool {
        self.company > 0
    }

    /// The turn waits no longer; says whether what it waited for has come.
    pub(crate) fn stop_expecting(&mut self) -> bool {
        std::mem::take(&mut self.company) == 0
    }

    /// Ends a turn; says whether another one is needed, which then counts as queued.
    pub(crate) fn end_turn(&mut self) -> bool {
        let again = self.next_position().is_some();
        self.next_turn = if again { NextTurn::Queued } else { NextTurn::None };
        again
    }

    /// Takes everything, without a turn.
    pub(crate) fn drain(&mut self) -> VecDeque<Event> {
        self.next_turn = NextTurn::None;
        self.at_front = self.at_back;
        std::mem::take(&mut self.events)
    }

    /// Gives memory back that a burst left behind.
    pub(crate) fn shrink(&mut self) {
        self.events.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::testing::proposal;

    const NO_LINGER: Lingering = Lingering { enabled: false, events_max: 3 };
    const LINGER: Lingering = Lingering { enabled: true, events_max: 3 };

    fn publish() -> Event {
        Event::Publish(proposal(b"0123456789").0)
    }

    #[test]
    fn the_first_event_queues_a_turn_and_the_others_share_it() {
        let mut mailbox = Mailbox::new(false);
        assert_eq!(mailbox.push(publish(), NO_LINGER), Wake::Queue);
        assert_eq!(mailbox.push(publish(), NO_LINGER), Wake::Nothing);
        mailbox.take(&mut Vec::new(), 10, 1000);
        assert_eq!(mailbox.push(publish(), NO_LINGER), Wake::Nothing, "the turn under way ends with another one");
        assert!(mailbox.end_turn());
        mailbox.take(&mut Vec::new(), 10, 1000);
        assert!(!mailbox.end_turn());
        assert_eq!(mailbox.push(publish(), NO_LINGER), Wake::Queue);
    }

    #[test]
    fn a_lingering_batch_goes_when_it_is_full_or_its_time_is_over() {
        let mut mailbox = Mailbox::new(false);
        assert_eq!(mailbox.push(publish(), LINGER), Wake::Linger);
        assert_eq!(mailbox.push(publish(), LINGER), Wake::Nothing);
        assert_eq!(mailbox.push(publish(), LINGER), Wake::Queue);
        assert_eq!(mailbox.linger_over(), Wake::Nothing, "it was full before");

        let mut mailbox = Mailbox::new(false);
        assert_eq!(mailbox.push(publish(), LINGER), Wake::Linger);
        assert_eq!(mailbox.linger_over(), Wake::Queue);
    }

    #[test]
    fn nothing_but_publishes_lingers() {
        let mut mailbox = Mailbox::new(false);
        assert_eq!(mailbox.push(publish(), LINGER), Wake::Linger);
        assert_eq!(mailbox.push(Event::Duty(Duty::Clean), LINGER), Wake::Queue);
    }

    #[test]
    fn a_turn_that_waits_for_company_is_woken_by_the_last_to_come_or_by_a_command() {
        let mut mailbox = Mailbox::new(false);
        mailbox.push(publish(), NO_LINGER);
        mailbox.expect_company(3);
        assert_eq!(mailbox.push(publish(), NO_LINGER), Wake::Nothing);
        assert!(mailbox.expects_company());
        assert_eq!(mailbox.push(publish(), NO_LINGER), Wake::Gathered);
        assert_eq!(mailbox.push(publish(), NO_LINGER), Wake::Nothing, "it was woken before");
        assert!(mailbox.stop_expecting());

        mailbox.expect_company(9);
        assert_eq!(mailbox.push(Event::Duty(Duty::Clean), NO_LINGER), Wake::Gathered);
        mailbox.expect_company(9);
        assert!(!mailbox.expects_company(), "whoever commands need not wait for publishers");

        let mut mailbox = Mailbox::new(false);
        mailbox.push(publish(), NO_LINGER);
        mailbox.expect_company(2);
        assert!(!mailbox.stop_expecting(), "nobody came");
    }

    #[test]
    fn one_turn_takes_a_bounded_part() {
        let mut mailbox = Mailbox::new(false);
        for _ in 0..5 {
            mailbox.push(publish(), NO_LINGER);
        }
        let mut taken = Vec::new();
        mailbox.take(&mut taken, 10, 15);
        assert_eq!(taken.len(), 2);
        mailbox.take(&mut taken, 3, 1000);
        assert_eq!(taken.len(), 3);
    }

    fn command(command: Command) -> Event {
        Event::Command(command, oneshot::channel().0)
    }

    /// What a turn takes out, in one word each.
    fn taken(mailbox: &mut Mailbox) -> String {
        let mut taken = Vec::new();
        mailbox.take(&mut taken, 100, 10_000);
        let word = |event: &Event| match event {
            Event::Publish(proposal) => String::from_utf8_lossy(&proposal.message.value).into_owned(),
            Event::Command(command, _) => format!("{command:?}"),
            Event::Peer(peer) => format!("{peer:?}"),
            Event::Duty(duty) => format!("{duty:?}"),
        };
        taken.iter().map(word).collect::<Vec<String>>().join(" ")
    }

    /// Pushes the events and says what the turns take that follow one another until there is nothing to do.
    #[track_caller]
    fn check_order(mailbox: &mut Mailbox, events: Vec<Event>, expected: &str) {
        for event in events {
            mailbox.push(event, NO_LINGER);
        }
        assert_eq!(taken(mailbox), expected);
        assert!(!mailbox.end_turn());
    }

    fn named(name: &str) -> Event {
        Event::Publish(proposal(name.as_bytes()).0)
    }

    #[test]
    fn publishes_behind_a_pause_wait_for_the_resumption_in_their_order() {
        let mut mailbox = Mailbox::new(false);
        let events = vec![named("a"), command(Command::Pause), named("b"), Event::Duty(Duty::Clean)];
        check_order(&mut mailbox, events, "a Pause Clean");
        assert!(mailbox.holds_publishes());
        assert_eq!(mailbox.push(named("c"), LINGER), Wake::Nothing);
        assert_eq!(mailbox.push(command(Command::Resume), LINGER), Wake::Queue);
        check_order(&mut mailbox, vec![named("d"), command(Command::Pause), named("e")], "Resume b c d Pause");
        check_order(&mut mailbox, vec![command(Command::Resume)], "Resume e");
    }

    #[test]
    fn a_partition_that_begins_paused_holds_publishes() {
        let mut mailbox = Mailbox::new(true);
        check_order(&mut mailbox, vec![named("a")], "");
        check_order(&mut mailbox, vec![command(Command::Resume)], "Resume a");
    }

    #[test]
    fn the_end_of_a_partition_lets_go_of_what_it_holds() {
        for (end, word) in [(Command::Delete, "Delete"), (Command::Shutdown, "Shutdown")] {
            let mut mailbox = Mailbox::new(true);
            check_order(&mut mailbox, vec![named("a"), command(end)], &format!("{word} a"));
            check_order(&mut mailbox, vec![command(Command::Pause), named("b")], "Pause b");
        }
    }

    #[test]
    fn only_publishes_that_are_held_are_taken_out_to_be_refused() {
        let mut mailbox = Mailbox::new(false);
        for event in [named("a"), command(Command::Pause), named("b"), named("c")] {
            mailbox.push(event, NO_LINGER);
        }
        let held: Vec<Proposal> = mailbox.take_held();
        assert_eq!(held.iter().map(|proposal| &proposal.message.value[..]).collect::<Vec<_>>(), [b"b", b"c"]);
        mailbox.push(named("d"), NO_LINGER);
        mailbox.push(command(Command::Resume), NO_LINGER);
        assert!(mailbox.take_held().is_empty(), "it is being resumed");
        assert_eq!(taken(&mut mailbox), "a Pause Resume d");
    }
}
