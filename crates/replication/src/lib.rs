//! The partition protocol as a pure state machine: who may append, what is committed, who is told.
//!
//! A [`Leader`] takes one [`Event`] at a time and pushes the [`Effect`]s that follow from it, in the order they are to be
//! carried out. This crate owns those decisions. It never touches a file, a clock, a network or a thread, and it never sees a
//! message: a publish is a [`Proposal`], known by an id that means something to the driver only.
//!
//! A [`Follower`] does as its leader says, as far as its log allows. What the two tell each other is a [`Message`]; which of
//! both a broker is follows from the [`Assignment`]. The protocol, with the reason for each rule, is in `docs/replication.md`.
//!
//! # One publish, one replica
//!
//! The driver (a broker's partition) owns the log. It tells the leader what was proposed, what was written and what is
//! durable; the leader answers which messages belong in the batch, who is acknowledged, and what subscribers may see.
//!
//! ```
//! use std::time::Duration;
//!
//! use liftbridge_replication::{
//!     Assignment, BrokerLife, Effect, Event, Leader, LeaderOptions, LogState, Proposal, ProposalId,
//! };
//! use liftbridge_types::{AckPolicy, BrokerId, BrokerIncarnation, LeaderEpoch, Offset, Timestamp};
//!
//! let me = BrokerLife { id: BrokerId::new("a")?, incarnation: BrokerIncarnation::new(1) };
//! let assignment = Assignment::sole(me.id.clone(), LeaderEpoch::new(1));
//! let mut leader = Leader::new(me, assignment, LogState::empty(), LeaderOptions::default(), Duration::ZERO);
//! let mut effects = Vec::new();
//! let now = Timestamp::from_nanos(1_000);
//!
//! // A publisher wants its message stored by every in-sync replica. The leader lets it into the batch being built.
//! let id = ProposalId::new(7);
//! let proposal = Proposal { id, ack_policy: AckPolicy::All, expected_offset: None };
//! leader.step(now, Event::Proposed(proposal), &mut effects);
//! assert_eq!(effects, [Effect::AddToBatch { id }]);
//! effects.clear();
//!
//! // The driver wrote the batch. That is enough for LEADER, not for ALL: the leader only remembers who waits.
//! let offsets = Offset::ZERO..Offset::new(1);
//! leader.step(now, Event::Appended { offsets, time: now }, &mut effects);
//! assert_eq!(effects, []);
//!
//! // The driver synced. Every in-sync replica (this one) has the record, so it is committed; the publisher is told.
//! let later = Timestamp::from_nanos(2_000);
//! leader.step(later, Event::DurableEnd { end: Offset::new(1) }, &mut effects);
//! assert_eq!(
//!     effects,
//!     [
//!         Effect::AdvanceHighWatermark { end: Offset::new(1) },
//!         Effect::Acknowledge { id, offset: Offset::ZERO, received_at: now, acknowledged_at: later },
//!     ]
//! );
//! # Ok::<(), liftbridge_types::InvalidName>(())
//! ```
//!
//! # What the driver promises
//!
//! - It reports [`Event::Appended`] or [`Event::AppendFailed`] for every batch, before it proposes to the next one.
//! - It reports a durable end only when everything before it survives what its sync policy promises to survive.
//! - It carries effects out in order: persist before you promise.
//! - Whatever it reports about a log at the beginning of a role is on stable storage by then.
//! - Before a batch from a leader is written, its checksums and its place in the log are verified.

mod assignment;
mod divergence;
mod effect;
mod event;
mod follower;
mod follower_progress;
mod high_watermark;
mod in_sync_replicas;
mod leader;
mod message;
mod pending_acks;

pub use assignment::{Assignment, BrokerLife, Role};
pub use divergence::{History, LogTail};
pub use effect::{Effect, InSyncChange, Refusal};
pub use event::{Event, Proposal, ProposalId};
pub use follower::{Follower, FollowerEffect, FollowerEvent, FollowerFault};
pub use leader::{Explanation, FollowerStanding, Leader, LeaderOptions, LogState, Wait};
pub use message::{Body, Message};
