//! Messages of this server's clients on their way to the server that leads their partition.
//!
//! Owns that each is answered exactly once, whatever becomes of the connection. It never decides where one goes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use liftbridge_broker::{Publish, PublishError, PublishReply};
use liftbridge_proto::v1;
use liftbridge_proto::v1::peer_client::PeerClient;
use parking_lot::Mutex;
use tonic::{Status, Streaming};

use crate::peer::convert::{self, Routes};
use crate::peer::dial::Requests;
use crate::peer::outbox::{Lane, NotTaken, Outbox, OutboxBounds};

/// Most bytes of messages that wait to be sent to one server. The broker bounds what waits for an answer.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// All that is forwarded is in one lane.
const BOUNDS: OutboxBounds =
    OutboxBounds { raft_bytes_max: 0, answers_bytes_max: 0, batches_bytes_max: WAITING_BYTES_MAX };

/// The messages on their way to one server.
///
/// Invariant: a reply is in `owed` from before its message can be sent until it is answered.
#[derive(Debug)]
pub(crate) struct Forwarder {
    outbox: Arc<Outbox<v1::ForwardedPublish>>,
    owed: Mutex<HashMap<u64, PublishReply>>,
    latest: AtomicU64,
}

impl Forwarder {
    /// Nothing is on its way, and nothing is taken before there is a connection.
    pub(crate) fn new() -> Self {
        Self { outbox: Arc::new(Outbox::new(BOUNDS)), owed: Mutex::default(), latest: AtomicU64::new(0) }
    }

    /// Sends a message, or refuses it when it cannot be sent now. Never waits.
    pub(crate) fn publish(&self, request: Publish, reply: PublishReply) {
        let bytes = request.message.payload_bytes();
        let number = self.latest.fetch_add(1, Ordering::Relaxed);
        self.owed.lock().insert(number, reply);
        let taken = self.outbox.push(Lane::Batches, convert::forwarded(request, number), bytes);
        let refusal = match taken {
            Ok(()) => return,
            Err(NotTaken::Down) => PublishError::NotLeader,
            Err(NotTaken::Full) => PublishError::Overloaded { waiting_bytes: WAITING_BYTES_MAX },
        };
        self.answer(number, Err(refusal));
    }

    /// Sends what is published on this connection and takes the answers in, until it ends. Whoever is owed an answer then
    /// hears that nobody can say what became of the message.
    pub(crate) async fn run(&self, mut client: PeerClient<Requests>) {
        // Dropping this at any await ends it the same way.
        let _ending = Ending(self);
        let Ok(answers) = client.publish(self.outbox.connect()).await else { return };
        // Why no more answers come is told by the connection.
        let _ = self.take_answers(answers.into_inner()).await;
    }

    async fn take_answers(&self, mut answers: Streaming<v1::ForwardedOutcome>) -> Result<(), Status> {
        let mut routes = Routes::default();
        while let Some(answer) = answers.message().await? {
            self.answer(answer.correlation, routes.outcome(answer.outcome));
        }
        Ok(())
    }

    fn answer(&self, number: u64, outcome: liftbridge_broker::PublishOutcome) {
        let reply = self.owed.lock().remove(&number);
        if let Some(reply) = reply {
            reply.answer(outcome);
        }
    }
}

/// The end of one connection's turn.
struct Ending<'a>(&'a Forwarder);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.outbox.disconnect();
        // A dropped reply is one that says that the outcome is unknown.
        drop(std::mem::take(&mut *self.0.owed.lock()));
    }
}
