//! The two moments at which what serves clients has to stop. Owns how they are told; never what is stopped.

use std::pin::pin;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    /// Serves a connection to its end: by itself; after what was begun, once the server is stopping; at the cut.
    ///
    /// # Errors
    /// What broke the connection. A cut is no error.
    pub(crate) async fn until_stopped<C: GracefulConnection>(&self, connection: C) -> Result<(), C::Error> {
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            ended = connection => ended,
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
