//! Reading a partition: the checks before, then records as fast as the client takes them.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use liftbridge_broker::{Delivery, Record, Subscription, SubscriptionEnd};
use liftbridge_proto::api;
use tokio_util::sync::ReusableBoxFuture;
use tonic::{Request, Status};

use super::unimplemented::{GROUPS, unimplemented};
use super::{ApiService, convert, status};
use crate::gate::identity_of;

impl ApiService {
    pub(super) async fn on_subscribe(&self, request: Request<api::SubscribeRequest>) -> Result<Messages, Status> {
        let identity = identity_of(&request);
        let wire = request.into_inner();
        let is_group_member = wire.consumer.as_ref().is_some_and(|consumer| !consumer.group_id.is_empty());
        let subscribe = convert::subscribe(wire).map_err(|error| status::invalid(&error))?;
        if is_group_member {
            return unimplemented(GROUPS).map(tonic::Response::into_inner);
        }
        let subscribe = self.gate.admit(&identity, subscribe).map_err(|denied| status::denied(&denied))?;
        let subscription = self.broker.subscribe(subscribe).await.map_err(|error| status::subscribe(&error))?;
        Ok(Messages::new(subscription))
    }
}

type Pulled = (Subscription, Result<Delivery, SubscriptionEnd>);

/// The messages of one subscription: first an empty one, by which clients know that they are subscribed.
///
/// Invariants: at most one delivery is held, and the next is asked for only when the client has taken all of it.
/// Dropping the stream drops the subscription.
pub(crate) struct Messages {
    is_greeted: bool,
    envelope: convert::Envelope,
    delivered: std::vec::IntoIter<Record>,
    /// `None` once the subscription has ended.
    next: Option<ReusableBoxFuture<'static, Pulled>>,
}

impl Messages {
    fn new(subscription: Subscription) -> Self {
        Self {
            is_greeted: false,
            envelope: convert::Envelope::new(subscription.route().clone()),
            delivered: Vec::new().into_iter(),
            next: Some(ReusableBoxFuture::new(pull(subscription))),
        }
    }
}

async fn pull(mut subscription: Subscription) -> Pulled {
    let pulled = subscription.next().await;
    (subscription, pulled)
}

impl Stream for Messages {
    type Item = Result<api::Message, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if !this.is_greeted {
            this.is_greeted = true;
            return Poll::Ready(Some(Ok(api::Message::default())));
        }
        loop {
            if let Some(record) = this.delivered.next() {
                return Poll::Ready(Some(Ok(this.envelope.message(record))));
            }
            let Some(next) = &mut this.next else { return Poll::Ready(None) };
            let (subscription, pulled) = ready!(next.poll(context));
            match pulled {
                Ok(delivery) => {
                    this.delivered = delivery.into_iter();
                    next.set(pull(subscription));
                }
                Err(end) => {
                    this.next = None;
                    return Poll::Ready(Some(Err(status::subscription_end(&end))));
                }
            }
        }
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("envelope", &self.envelope).finish_non_exhaustive()
    }
}
