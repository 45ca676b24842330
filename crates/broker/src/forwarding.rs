//! Messages on their way to a partition that another broker leads. Owns their order while the leadership moves, and that what
//! was certainly not stored is handed to whoever leads next; never how a message travels.
//!
//! Messages are handed over in the order they came in, to one leader at a time: what was handed to one has to be answered
//! before anything is handed to the next. One that a broker refuses because it does not lead was not stored, so it goes back
//! to its place in the line, unless one behind it was stored: then its publisher has to send it again. Any other answer is
//! the publisher's. Nobody is kept waiting longer than a few seconds.
//!
//! Handing over is done by one at a time, or what is taken out of the line first could arrive second.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use liftbridge_types::BrokerId;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::admission::AdmissionPermit;
use crate::broker::Broker;
use crate::errors::PublishError;
use crate::publish_reply::{PublishOutcome, PublishReply};
use crate::requests::Publish;
use crate::streams_here::LocalPartition;

/// Messages that may wait for a leader of one partition.
const WAITING_MAX: usize = 8192;
/// How long a message waits for somebody to lead.
const PATIENCE: Duration = Duration::from_secs(5);
/// The wait after nobody led, or whoever was asked did not.
const RETRY: Duration = Duration::from_millis(20);

/// The line of messages for one partition.
#[derive(Default)]
pub(crate) struct Forwarding {
    line: Mutex<Line>,
    /// Whether there is anybody in it: looked at for every message.
    is_busy: AtomicBool,
}

#[derive(Default)]
struct Line {
    next_ticket: u64,
    /// By ticket, which is the order they came in.
    waiting: BTreeMap<u64, Held>,
    /// How many are handed over and not answered, and to whom.
    under_way: usize,
    leader: Option<BrokerId>,
    /// Whether somebody is handing over what was taken.
    is_moving: bool,
    /// Everything before this ticket came too late: one behind it was stored, or may have been.
    overtaken_end: u64,
    not_before: Option<Instant>,
    is_retry_planned: bool,
}

/// A message that waits.
struct Held {
    request: Publish,
    reply: PublishReply,
    /// The right to wait here, until it is published here after all.
    permit: Option<AdmissionPermit>,
    end: Instant,
}

/// Messages by ticket, and the leader they are for.
type Taken = (BrokerId, Vec<(u64, Held)>);

impl Forwarding {
    /// Whether nobody waits here and nothing is under way, so that a message may pass by.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_busy.load(Ordering::Acquire)
    }

    fn enter(&self, held: Held) -> Result<(), PublishReply> {
        let mut line = self.line.lock();
        if line.waiting.len() >= WAITING_MAX {
            return Err(held.reply);
        }
        let ticket = line.next_ticket;
        line.next_ticket += 1;
        line.waiting.insert(ticket, held);
        self.is_busy.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes back one that was not stored; the others' replies are given to the publisher.
    fn settle(&self, ticket: u64, held: Held, outcome: PublishOutcome) -> bool {
        let mut line = self.line.lock();
        line.under_way = line.under_way.saturating_sub(1);
        let is_settled = line.under_way == 0;
        let was_not_stored = matches!(outcome, Err(PublishError::NotLeader));
        if !was_not_stored {
            line.overtaken_end = line.overtaken_end.max(ticket);
        }
        if was_not_stored && Instant::now() < held.end {
            line.not_before = Some(Instant::now() + RETRY);
            line.waiting.insert(ticket, held);
        } else {
            self.is_busy.store(!is_settled || !line.waiting.is_empty(), Ordering::Release);
            drop(line);
            held.reply.answer(outcome);
        }
        is_settled
    }

    /// What can be handed over now, and to whom; `Err` with whether to look again later.
    fn take(&self, leader: Option<BrokerId>) -> Result<Taken, bool> {
        let now = Instant::now();
        let mut line = self.line.lock();
        if line.is_moving {
            return Err(false);
        }
        let late = |(ticket, held): &(&u64, &Held)| held.end <= now || **ticket < line.overtaken_end;
        let given_up: Vec<u64> = line.waiting.iter().filter(late).map(|(ticket, _)| *ticket).collect();
        for held in given_up.into_iter().filter_map(|ticket| line.waiting.remove(&ticket)).collect::<Vec<_>>() {
            held.reply.answer(Err(PublishError::NotLeader));
        }
        self.is_busy.store(line.under_way > 0 || !line.waiting.is_empty(), Ordering::Release);
        if line.waiting.is_empty() || (line.under_way > 0 && line.leader != leader) {
            return Err(false);
        }
        let is_early = line.not_before.is_some_and(|not_before| now < not_before);
        let Some(leader) = leader.filter(|_| !is_early) else {
            return Err(!std::mem::replace(&mut line.is_retry_planned, true));
        };
        line.not_before = None;
        let taken: Vec<(u64, Held)> = std::mem::take(&mut line.waiting).into_iter().collect();
        line.under_way += taken.len();
        line.leader = Some(leader.clone());
        line.is_moving = true;
        Ok((leader, taken))
    }

    /// What was taken is handed over: more may be taken.
    fn moved(&self) {
        self.line.lock().is_moving = false;
    }

    fn begin_retry(&self) {
        self.line.lock().is_retry_planned = false;
    }
}

impl fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.lock();
        let (waiting, under_way) = (line.waiting.len(), line.under_way);
        f.debug_struct("Forwarding").field("waiting", &waiting).field("under_way", &under_way).finish()
    }
}

impl Broker {
    /// Hands a message to whoever leads its partition, behind those that came before it. Waits only while the node's
    /// admission bound is reached.
    pub(crate) async fn forward(&self, partition: &Arc<LocalPartition>, request: Publish, reply: PublishReply) {
        let permit = self.node.host.admission().acquire(request.message.payload_bytes()).await;
        let held = Held { request, reply, permit: Some(permit), end: Instant::now() + PATIENCE };
        match partition.forwarding().enter(held) {
            Ok(()) => self.move_line(partition),
            Err(reply) => reply.answer(Err(PublishError::NotLeader)),
        }
    }

    /// Hands over whatever can be handed over now.
    fn move_line(&self, partition: &Arc<LocalPartition>) {
        let is_retry_due = loop {
            match partition.forwarding().take(partition.leader()) {
                Ok((leader, taken)) if leader == self.node.id => return self.publish_taken(partition, taken),
                Ok((leader, taken)) => {
                    for (ticket, held) in taken {
                        let request = held.request.clone();
                        self.node.peers.publish(&leader, request, self.settling(partition, ticket, held));
                    }
                    // Whoever came in the meantime left it to this one.
                    partition.forwarding().moved();
                }
                Err(is_retry_due) => break is_retry_due,
            }
        };
        if is_retry_due {
            let (broker, partition) = (self.clone(), Arc::clone(partition));
            self.node.runtime.spawn(async move {
                tokio::time::sleep(RETRY).await;
                partition.forwarding().begin_retry();
                broker.move_line(&partition);
            });
        }
    }

    /// The leadership has come here while messages waited for it.
    fn publish_taken(&self, partition: &Arc<LocalPartition>, taken: Vec<(u64, Held)>) {
        let (broker, partition) = (self.clone(), Arc::clone(partition));
        self.node.runtime.spawn(async move {
            for (ticket, mut held) in taken {
                // It is admitted again, as what is stored here.
                held.permit = None;
                let request = held.request.clone();
                broker.publish_here(request, broker.settling(&partition, ticket, held)).await;
            }
            partition.forwarding().moved();
            broker.move_line(&partition);
        });
    }

    /// A reply that has the message handed over again if it was not stored.
    fn settling(&self, partition: &Arc<LocalPartition>, ticket: u64, held: Held) -> PublishReply {
        let (broker, partition) = (self.clone(), Arc::clone(partition));
        PublishReply::calling(move |outcome| {
            if partition.forwarding().settle(ticket, held, outcome) {
                broker.move_line(&partition);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use liftbridge_auth::Authorized;
    use liftbridge_commitlog::MemoryVolume;
    use liftbridge_types::{AckPolicy, Message, Offset, SettingOverrides, StreamName, Subject};
    use tokio::sync::oneshot;

    use super::*;
    use crate::config::BrokerConfig;
    use crate::requests::{CreateStream, ReplicationFactor, Shutdown};

    fn leader() -> Option<BrokerId> {
        Some(BrokerId::new("a").unwrap())
    }

    /// A message, and where its outcome arrives.
    fn held() -> (Held, oneshot::Receiver<PublishOutcome>) {
        let (reply, outcome) = PublishReply::one();
        let (message, ack_policy) = (Message::default(), AckPolicy::All);
        let (arrived_on, expected_offset) = (None, -1);
        let request = Publish { stream: "foo".into(), partition: 0, message, arrived_on, ack_policy, expected_offset };
        (Held { request, reply, permit: Some(AdmissionPermit::none()), end: Instant::now() + PATIENCE }, outcome)
    }

    /// Puts a message in line; where its outcome arrives.
    fn enter(forwarding: &Forwarding) -> oneshot::Receiver<PublishOutcome> {
        let (held, outcome) = held();
        assert!(forwarding.enter(held).is_ok());
        outcome
    }

    fn tickets(taken: &Result<Taken, bool>) -> Result<Vec<u64>, bool> {
        let taken = taken.as_ref().map_err(|is_retry_due| *is_retry_due);
        taken.map(|(_, taken)| taken.iter().map(|(ticket, _)| *ticket).collect())
    }

    #[test]
    fn nothing_is_taken_while_what_was_taken_before_is_being_handed_over() {
        let forwarding = Forwarding::default();
        let _first = enter(&forwarding);
        assert_eq!(tickets(&forwarding.take(leader())), Ok(vec![0]));
        let _second = enter(&forwarding);
        assert_eq!(tickets(&forwarding.take(leader())), Err(false));
        forwarding.moved();
        assert_eq!(tickets(&forwarding.take(leader())), Ok(vec![1]));
    }

    #[test]
    fn what_was_not_stored_goes_back_to_its_place_unless_one_behind_it_was() {
        for behind_it in [PublishError::NotLeader, PublishError::Closed] {
            let forwarding = Forwarding::default();
            let (mut first, _second) = (enter(&forwarding), enter(&forwarding));
            let Ok((_, taken)) = forwarding.take(leader()) else { panic!("there are two to be taken") };
            forwarding.moved();
            let is_overtaken = behind_it != PublishError::NotLeader;
            let outcomes = [PublishError::NotLeader, behind_it];
            for ((ticket, held), outcome) in taken.into_iter().zip(outcomes) {
                forwarding.settle(ticket, held, Err(outcome));
            }
            assert_eq!(tickets(&forwarding.take(None)), Err(!is_overtaken), "a retry is due for what waits");
            assert_eq!(first.try_recv().is_ok(), is_overtaken);
            assert_eq!(forwarding.is_idle(), is_overtaken);
        }
    }

    #[tokio::test]
    async fn a_refusal_given_by_a_log_worker_has_the_message_handed_over_again() {
        let volume = Arc::new(MemoryVolume::default());
        let broker = Broker::start(BrokerConfig::new(volume, BrokerId::new("a").unwrap())).await.unwrap();
        let foo = CreateStream {
            name: StreamName::new("foo").unwrap(),
            subject: Subject::new("foo").unwrap(),
            group: None,
            partitions: 1,
            replication_factor: ReplicationFactor::Count(1),
            overrides: SettingOverrides::default(),
        };
        broker.create_stream(Authorized::internal(foo)).await.unwrap();
        let (held, outcome) = held();
        let partition = broker.target(&held.request).unwrap().partition;
        let reply = broker.settling(&partition, 0, held);
        // Log workers are no threads of the runtime.
        std::thread::spawn(move || reply.answer(Err(PublishError::NotLeader))).join().unwrap();
        assert_eq!(outcome.await.unwrap().map(|acked| acked.offset), Ok(Offset::ZERO));
        broker.shutdown(Shutdown::Fast).await;
    }
}
