//! The two moments at which what serves clients has to stop. Owns how they are told; never what is stopped.

use std::pin::pin;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the other end of a connection has for its goodbye once the server is stopping and no request is under way. One that
/// is there needs one round trip, and learns which of its requests were never seen; one that is not says nothing.
pub(crate) const FAREWELL_TIME_MAX: Duration = Duration::from_millis(500);

/// The life of everything that serves clients. Cheap to clone; every clone is the same life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifetime {
    /// From now on take nothing new; finish what was begun.
    pub(crate) stopping: CancellationToken,
    /// From now on do nothing at all.
    pub(crate) cut: CancellationToken,
    /// Everything that runs.
    pub(crate) tasks: TaskTracker,
}

impl Lifetime {
    /// Serves a connection to its end: by itself; after what is under way of its `requests`, once the server is stopping; at
    /// the cut.
    ///
    /// # Errors
    /// What broke the connection. A cut is no error.
    pub(crate) async fn until_stopped<C: GracefulConnection>(
        &self,
        connection: C,
        requests: &TaskTracker,
    ) -> Result<(), C::Error> {
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            ended = connection => ended,
            () = at_rest(requests) => Ok(()),
            () = self.cut.cancelled() => Ok(()),
        }
    }

    /// Ends it: what has not finished by itself within `grace` is cut.
    pub(crate) async fn end(&self, grace: Duration) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

/// Returns when no request has been under way for as long as a goodbye takes.
async fn at_rest(requests: &TaskTracker) {
    requests.close();
    loop {
        requests.wait().await;
        tokio::time::sleep(FAREWELL_TIME_MAX).await;
        if requests.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_without_a_request_under_way_is_at_rest() {
        let requests = TaskTracker::new();
        let first = requests.token();
        let mut at_rest = pin!(at_rest(&requests));
        assert!(timeout(Duration::from_hours(1), at_rest.as_mut()).await.is_err());
        drop(first);
        assert!(timeout(FAREWELL_TIME_MAX / 2, at_rest.as_mut()).await.is_err());
        let crossed_the_goodbye = requests.token();
        assert!(timeout(Duration::from_hours(1), at_rest.as_mut()).await.is_err());
        drop(crossed_the_goodbye);
        timeout(FAREWELL_TIME_MAX * 2, at_rest).await.expect("nothing is under way");
    }
}
