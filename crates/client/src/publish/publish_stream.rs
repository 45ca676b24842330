//! One PublishAsync stream to one broker. Owns its life from opening to the last answer; never opens itself again.

use std::sync::Arc;

use liftbridge_proto::api as wire;
use liftbridge_types::{AckPolicy, PartitionId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tracing::debug;

use crate::cluster::{Address, ApiClient, Router};
use crate::convert;
use crate::error::{CallError, PublishError};
use crate::publish::pending::{Pending, Waiting};
use crate::publish::publisher::Route;
use crate::publish::window::Place;
use crate::publish::{AckFuture, Outgoing};

/// Messages between the publishers and the connection. What is outstanding is bounded by the window, not by this.
const QUEUE_MESSAGES: usize = 1024;

/// A stream that takes messages until it breaks.
#[derive(Debug)]
pub(crate) struct PublishStream {
    requests: mpsc::Sender<wire::PublishRequest>,
    pending: Arc<Pending>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The stream was over before the message was handed to it; the message and its place are given back.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) message: Outgoing,
    pub(crate) place: Place,
}

impl PublishStream {
    /// A stream to the broker at `address`. It takes messages at once; whether the broker is there shows in their answers.
    pub(crate) fn open(address: Address, client: ApiClient, router: Arc<Router>) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE_MESSAGES);
        let pending = Arc::new(Pending::new(router.limits().ack_timeout));
        let task = tokio::spawn(serve(address, client, queue, Arc::clone(&pending), router));
        Self { requests, pending, task: Mutex::new(Some(task)) }
    }

    /// Whether it takes no more messages. The connection may be gone a moment before those who wait have been told.
    pub(crate) fn is_over(&self) -> bool {
        self.requests.is_closed() || self.pending.is_closed()
    }

    /// Hands a message over. Safe to cancel: before the queue has room nothing has happened, after it nothing is awaited.
    pub(crate) async fn send(
        &self,
        stream: &str,
        partition: PartitionId,
        message: Outgoing,
        place: Place,
        route: Route,
    ) -> Result<AckFuture, Broken> {
        let Ok(slot) = self.requests.reserve().await else { return Err(Broken { message, place }) };
        let (id, ack) = if message.ack_policy == AckPolicy::None {
            let Some(id) = self.pending.take_id() else { return Err(Broken { message, place }) };
            (id, AckFuture::not_asked_for())
        } else {
            let (reply, answer) = oneshot::channel();
            match self.pending.insert(Waiting { reply, place, route }) {
                Ok(id) => (id, AckFuture::waiting(answer)),
                Err(Waiting { place, .. }) => return Err(Broken { message, place }),
            }
        };
        slot.send(convert::publish_request(stream, partition, message, id.to_string()));
        Ok(ack)
    }

    /// What to await to know that the stream has ended, once every sender is gone.
    pub(crate) fn take_task(&self) -> Option<JoinHandle<()>> {
        self.task.lock().take()
    }
}

/// Runs until the stream ends: at the broker's wish, or because every sender is gone and everything was answered.
async fn serve(
    address: Address,
    client: ApiClient,
    queue: mpsc::Receiver<wire::PublishRequest>,
    pending: Arc<Pending>,
    router: Arc<Router>,
) {
    let answers = receive_answers(&address, client, queue, &pending, &router);
    tokio::pin!(answers);
    let end = loop {
        tokio::select! {
            end = &mut answers => break end,
            () = tokio::time::sleep_until(pending.next_deadline()) => {
                if pending.expire(Instant::now(), &address) {
                    router.turn_away_from(&address);
                }
            }
        }
    };
    let error = match end {
        Ok(()) => CallError {
            address: address.to_string(),
            code: Code::Unavailable,
            message: "the broker ended the publish stream".to_owned(),
            never_sent: false,
        },
        Err(status) => CallError::from_status(&address.to_string(), &status),
    };
    debug!(%address, %error, "publish stream is over");
    if error.code == Code::Unavailable {
        router.turn_away_from(&address);
    }
    pending.close(&outcome_after(error));
}

async fn receive_answers(
    address: &Address,
    mut client: ApiClient,
    queue: mpsc::Receiver<wire::PublishRequest>,
    pending: &Pending,
    router: &Router,
) -> Result<(), Status> {
    // Servers may send their headers with the first answer only, so messages flow while this waits.
    let mut answers = client.publish_async(ReceiverStream::new(queue)).await?.into_inner();
    while let Some(response) = answers.message().await? {
        if pending.resolve(response) {
            router.turn_away_from(address);
        }
    }
    Ok(())
}

/// What the end of a stream means for a message without an answer.
fn outcome_after(cause: CallError) -> PublishError {
    match cause.code {
        _ if cause.never_sent => PublishError::NotSent { cause },
        // Refused before any message was looked at.
        Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied => PublishError::Refused(cause),
        _ => PublishError::OutcomeUnknown { cause },
    }
}
