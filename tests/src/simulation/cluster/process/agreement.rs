//! Getting the cluster to agree: to the controller, again while nothing was proposed, never again once something may have been.

use std::time::Duration;

use liftbridge_metadata_raft::{
    BrokerLife, ChangeInSync, Command, MoveLeader, Part, ProposalOutcome, ProposalReply, ProposeError, Rejection,
    Unavailable,
};
use liftbridge_replication::InSyncChange;
use liftbridge_types::{BrokerIncarnation, PartitionEpoch};

use super::{Asked, Process};
use crate::simulation::cluster::replica::{PeerEvent, Wish};
use crate::simulation::cluster::words::{Call, PartitionKey, Said, server};

/// How long the controller is looked for and waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(50);

/// Something to be agreed on.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    command: Command,
    why: Why,
    try_number: u64,
    under_way: bool,
    retry_at: Duration,
    give_up_at: Duration,
}

/// What for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Registration,
    /// Somebody asked this server for it.
    Request(u64),
    InSync(PartitionKey, PartitionEpoch),
    MoveLeader,
}

impl Process {
    /// Somebody asks this server for a change of the metadata.
    pub(in crate::simulation::cluster) fn request(&mut self, request: u64, command: Command) {
        self.want(command, Why::Request(request));
    }

    pub(super) fn want_registration(&mut self) {
        self.want(self.registration(), Why::Registration);
    }

    fn want(&mut self, command: Command, why: Why) {
        let give_up_at = self.now + PATIENCE;
        let (try_number, retry_at) = (0, self.now);
        self.wanted.push(Wanted { command, why, try_number, under_way: false, retry_at, give_up_at });
    }

    /// What partitions wish for is wanted.
    pub(super) fn pursue_wishes(&mut self) {
        for (partition, wish) in std::mem::take(&mut self.wishes) {
            let key = PartitionKey::of(&partition);
            match wish {
                Wish::ChangeInSync(InSyncChange { leader_epoch, epoch, in_sync, damaged }) => {
                    let life = |life: liftbridge_replication::BrokerLife| BrokerLife {
                        id: life.id,
                        incarnation: life.incarnation,
                    };
                    let in_sync: Vec<BrokerLife> = in_sync.into_iter().map(life).collect();
                    if self.is_any_unfit(&in_sync) {
                        self.hear(key, vec![PeerEvent::InSyncRefused { epoch }]);
                        continue;
                    }
                    let command =
                        Command::ChangeInSync(ChangeInSync { partition, leader_epoch, epoch, in_sync, damaged });
                    self.want(command, Why::InSync(key, epoch));
                }
                Wish::MoveLeader { epoch, to, leaves } => {
                    self.want(Command::MoveLeader(MoveLeader { partition, epoch, to, leaves }), Why::MoveLeader);
                }
            }
        }
    }

    /// Whether it is known here that one of them cannot be in sync, so that it need not be asked for.
    fn is_any_unfit(&self, in_sync: &[BrokerLife]) -> bool {
        let Some(metadata) = &self.metadata else { return false };
        let state = metadata.state();
        in_sync.iter().any(|life| state.brokers().is_unfit(life))
    }

    /// Goes on with everything that is wanted.
    pub(super) fn pursue_wanted(&mut self) {
        let given_up: Vec<Wanted> = self.wanted.extract_if(.., |wanted| self.now >= wanted.give_up_at).collect();
        for wanted in given_up {
            let why = if wanted.under_way {
                Unavailable::LeadershipLost
            } else {
                Unavailable::NotController { controller: None }
            };
            self.conclude(wanted, Err(why.into()));
        }
        let due = |wanted: &&mut Wanted| !wanted.under_way && self.now >= wanted.retry_at;
        let mut tries = Vec::new();
        for wanted in self.wanted.iter_mut().filter(due) {
            self.call_count += 1;
            (wanted.try_number, wanted.under_way) = (self.call_count, true);
            tries.push((wanted.try_number, wanted.command.clone()));
        }
        for (try_number, command) in tries {
            self.try_once(try_number, command);
        }
    }

    fn try_once(&mut self, try_number: u64, command: Command) {
        let standing = self.standing();
        let is_here = standing.as_ref().is_some_and(|standing| standing.part == Part::Controller || standing.alone);
        let controller = standing.and_then(|standing| standing.controller);
        if is_here {
            let answers = self.collected.answers.clone();
            self.propose(command, move |outcome| answers.lock().own.push((try_number, outcome)));
        } else if let Some(controller) = controller {
            self.call(server(&controller.broker), Call::Propose(command), Asked::Propose { try_number });
        } else {
            self.on_decided(try_number, Err(Unavailable::NotController { controller: None }.into()));
        }
    }

    pub(super) fn propose(&mut self, command: Command, take: impl FnOnce(ProposalOutcome) + Send + 'static) {
        let reply = ProposalReply::new(take);
        self.with_metadata(|metadata, _| metadata.propose(command, reply));
    }

    pub(super) fn on_decided(&mut self, try_number: u64, outcome: ProposalOutcome) {
        let Some(at) = self.wanted.iter().position(|wanted| wanted.try_number == try_number) else { return };
        if matches!(outcome, Err(ProposeError::Unavailable(Unavailable::NotController { .. }))) {
            let now = self.now;
            let wanted = &mut self.wanted[at];
            (wanted.under_way, wanted.retry_at) = (false, now + RETRY);
            return;
        }
        let wanted = self.wanted.remove(at);
        self.conclude(wanted, outcome);
    }

    fn conclude(&mut self, wanted: Wanted, outcome: ProposalOutcome) {
        match wanted.why {
            Why::Registration => match outcome {
                Ok(index) => self.incarnation = Some(BrokerIncarnation::new(index.get())),
                Err(ProposeError::Unavailable(_)) => self.want_registration(),
                Err(ProposeError::Rejected(_)) => self.outbox.say(Said::Expelled),
            },
            Why::Request(request) => self.outbox.say(Said::Decided { request, outcome }),
            Why::InSync(key, epoch) => {
                if matches!(outcome, Err(ProposeError::Rejected(Rejection::NotEligible { .. }))) {
                    self.hear(key, vec![PeerEvent::InSyncRefused { epoch }]);
                }
            }
            Why::MoveLeader => {}
        }
    }
}
