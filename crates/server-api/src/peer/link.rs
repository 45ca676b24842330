//! The link to one peer: kept up as long as the peer is one, over as many connections as it takes.
//!
//! Owns when a connection is tried again. It never knows what is sent on it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use liftbridge_proto::v1;
use liftbridge_types::BrokerId;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::peer::backoff::delay;
use crate::peer::dial::{DialError, Dialer, LinkAnswers, PeerConnection};
use crate::peer::forward::Forwarder;
use crate::peer::outbox::{Outbox, OutboxBounds};
use crate::peer::pairs::Pairs;

/// Failures in a row after which one is worth a line that everybody sees: a peer that restarts fails a few.
const FAILURES_TO_WARN: u32 = 4;

/// What may wait on one link. What a follower may hold unconfirmed is bounded for each partition; these bound a link's total.
const OUTBOX_BOUNDS: OutboxBounds = OutboxBounds {
    raft_bytes_max: 64 * 1024 * 1024,
    answers_bytes_max: 16 * 1024 * 1024,
    batches_bytes_max: 64 * 1024 * 1024,
};

/// The link to one peer.
#[derive(Debug)]
pub(crate) struct Link {
    peer: BrokerId,
    /// Where the peer is.
    address: watch::Sender<String>,
    /// What is to be sent.
    pub(crate) outbox: Arc<Outbox<v1::LinkMessage>>,
    /// What this server's clients publish there.
    pub(crate) forwarder: Forwarder,
    current: ArcSwapOption<PeerConnection>,
    /// Told when the peer was heard of: it is there again.
    heard: Notify,
    ended: CancellationToken,
}

#[derive(Debug, Error)]
enum LinkError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("refused: {}", .0.message())]
    Refused(Box<Status>),
}

/// What became of a link that had a connection.
enum LinkEnd {
    /// The connection broke or the peer ended it.
    Broken,
    /// The peer is elsewhere now.
    Moved,
    /// The link is no more.
    Ended,
}

impl Link {
    /// A link to the peer at this address, until `ended`; it has no connection until it runs.
    pub(crate) fn new(peer: BrokerId, address: String, ended: CancellationToken) -> Self {
        Self {
            peer,
            address: watch::Sender::new(address),
            outbox: Arc::new(Outbox::new(OUTBOX_BOUNDS)),
            forwarder: Forwarder::new(),
            current: ArcSwapOption::empty(),
            heard: Notify::new(),
            ended,
        }
    }

    /// The peer is there now.
    pub(crate) fn move_to(&self, address: &str) {
        self.address.send_if_modified(|current| {
            let moves = current != address;
            if moves {
                *current = address.to_owned();
            }
            moves
        });
    }

    /// Something was heard of the peer, so it is worth a try now.
    pub(crate) fn heard(&self) {
        self.heard.notify_one();
    }

    /// Ends the link.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// The connection to make calls on; `None` while there is none.
    pub(crate) fn connection(&self) -> Option<Arc<PeerConnection>> {
        self.current.load_full()
    }

    /// Keeps the link up until it is ended.
    pub(crate) async fn run(self: Arc<Self>, dialer: Dialer, pairs: Arc<Pairs>) {
        let mut failures = 0;
        let mut addresses = self.address.subscribe();
        loop {
            let address = addresses.borrow_and_update().clone();
            let connected = tokio::select! {
                () = self.ended.cancelled() => return,
                connected = self.connect(&dialer, &address) => connected,
            };
            match connected {
                Ok((connection, link)) => {
                    failures = 0;
                    info!(peer = %self.peer, address, "connected to a peer");
                    match self.serve(&mut addresses, &pairs, connection, link).await {
                        LinkEnd::Ended => return,
                        LinkEnd::Moved => continue,
                        LinkEnd::Broken => info!(peer = %self.peer, address, "connection to a peer is gone"),
                    }
                }
                Err(error) => self.say(&error, &address, failures),
            }
            failures += 1;
            tokio::select! {
                () = self.ended.cancelled() => return,
                () = tokio::time::sleep(delay(failures, rand::random())) => {}
                () = self.heard.notified() => {}
                // The sender lives as long as the link.
                _ = addresses.changed() => {}
            }
        }
    }

    async fn connect(&self, dialer: &Dialer, address: &str) -> Result<(PeerConnection, LinkAnswers), LinkError> {
        let connection = dialer.dial(address, Some(&self.peer)).await?;
        let link = connection.open_link(self.outbox.connect()).await;
        let link = link.map_err(|status| LinkError::Refused(Box::new(status)))?;
        Ok((connection, link))
    }

    /// Until one of the things happens that end a connection. What waits to be sent is forgotten then.
    async fn serve(
        &self,
        addresses: &mut watch::Receiver<String>,
        pairs: &Pairs,
        connection: PeerConnection,
        mut link: LinkAnswers,
    ) -> LinkEnd {
        let (broken, client) = (connection.ended.clone(), connection.client.clone());
        self.current.store(Some(Arc::new(connection)));
        pairs.outgoing_begins(&self.peer);
        let end = tokio::select! {
            () = self.ended.cancelled() => LinkEnd::Ended,
            _ = addresses.changed() => LinkEnd::Moved,
            () = broken.cancelled() => LinkEnd::Broken,
            () = self.forwarder.run(client) => LinkEnd::Broken,
            () = link.end() => LinkEnd::Broken,
        };
        self.current.store(None);
        self.outbox.disconnect();
        pairs.outgoing_ends(&self.peer);
        end
    }

    fn say(&self, error: &LinkError, address: &str, failures: u32) {
        let is_news = failures + 1 == FAILURES_TO_WARN;
        match is_news {
            true => warn!(peer = %self.peer, address, %error, "cannot connect to a peer; trying on"),
            false => debug!(peer = %self.peer, address, %error, failures, "cannot connect to a peer"),
        }
    }
}
