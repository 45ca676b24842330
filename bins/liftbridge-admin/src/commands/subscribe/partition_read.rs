//! Reading one partition past whatever is damaged in it. Owns when reading goes on and where; never what is done about damage,
//! nor between which positions there is anything to read.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use liftbridge_client::{Client, Offset, PartitionId, ReceivedMessage, SubscribeError, Subscription};

use crate::commands::subscribe::SubscribeArguments;
use crate::failure::Failure;

/// The messages of a partition between the positions asked for. Damage is told of in its place, and what lies behind it follows; any
/// other failure is the last item.
pub(super) fn messages<'a>(
    arguments: &'a SubscribeArguments,
    client: &'a Client,
    partition: PartitionId,
) -> BoxStream<'a, Result<ReceivedMessage, Failure>> {
    let read = PartitionRead { arguments, client, partition, behind: None, phase: Phase::Beginning };
    stream::unfold(read, |mut read| async move { read.next().await.map(|item| (item, read)) }).boxed()
}

struct PartitionRead<'a> {
    arguments: &'a SubscribeArguments,
    client: &'a Client,
    partition: PartitionId,
    /// Where it went on last behind damage.
    behind: Option<Offset>,
    phase: Phase,
}

enum Phase {
    Beginning,
    Reading(Box<Subscription>),
    Ended,
}

impl PartitionRead<'_> {
    async fn next(&mut self) -> Option<Result<ReceivedMessage, Failure>> {
        loop {
            self.phase = match &mut self.phase {
                Phase::Beginning => match self.arguments.begin(self.client, self.partition, self.behind).await {
                    Ok(Some(subscription)) => Phase::Reading(Box::new(subscription)),
                    Ok(None) => Phase::Ended,
                    Err(failure) => return Some(Err(self.after(failure))),
                },
                Phase::Reading(subscription) => match subscription.next().await {
                    Some(Ok(message)) => return Some(Ok(message)),
                    Some(Err(error)) => return Some(Err(self.after(error.into()))),
                    None => Phase::Ended,
                },
                Phase::Ended => return None,
            };
        }
    }

    /// Goes on behind damage; any other failure is the end.
    fn after(&mut self, failure: Failure) -> Failure {
        let go_on = match &failure {
            Failure::Subscribe(SubscribeError::DataLoss { go_on, .. }) => *go_on,
            _ => None,
        };
        // A server that sends back to where it sent before would be asked for ever.
        let next = go_on.filter(|next| match self.behind {
            Some(behind) if self.arguments.reverse => *next < behind,
            Some(behind) => *next > behind,
            None => true,
        });
        self.phase = if next.is_some() { Phase::Beginning } else { Phase::Ended };
        self.behind = next;
        failure
    }
}
