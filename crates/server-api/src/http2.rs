//! HTTP/2 as this server speaks it, to clients and to other servers. Owns what is the same for both; never a bound, which
//! each names where it knows why.

use std::future::Future;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;
use tokio_util::task::TaskTracker;

/// Frames larger than the protocol's 16 KiB save work on fast connections and are still small enough to be fair.
pub(crate) const FRAME_BYTES_MAX: u32 = 64 * 1024;
/// The most that is taken as the head of a call.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// How much one connection may hold, and how it is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Http2Bounds {
    /// Most calls at once.
    pub(crate) streams_max: u32,
    /// How much the other end may send on one call before it has been read here.
    pub(crate) stream_window_bytes: u32,
    /// How much it may send on all calls together.
    pub(crate) connection_window_bytes: u32,
    /// How much of one call waits in memory for the other end to take it.
    pub(crate) send_buffer_bytes_max: usize,
    /// How long a connection may be silent before it is asked whether it is there.
    pub(crate) keepalive_interval: Duration,
    /// How long the answer may take before it is given up.
    pub(crate) keepalive_timeout: Duration,
}

impl Http2Bounds {
    /// The server's end of a connection within these bounds, whose `calls` run among `tasks`.
    pub(crate) fn server(&self, tasks: &TaskTracker, calls: &TaskTracker) -> http2::Builder<CallExecutor> {
        let mut builder = http2::Builder::new(CallExecutor { tasks: tasks.clone(), calls: calls.clone() });
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.streams_max)
            .initial_stream_window_size(self.stream_window_bytes)
            .initial_connection_window_size(self.connection_window_bytes)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_send_buf_size(self.send_buffer_bytes_max)
            .max_header_list_size(HEADER_BYTES_MAX)
            .keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout);
        builder
    }

    /// The client's end of connections within these bounds.
    pub(crate) fn client(&self, tasks: &TaskTracker) -> hyper::client::conn::http2::Builder<TrackedExecutor> {
        let mut builder = hyper::client::conn::http2::Builder::new(TrackedExecutor(tasks.clone()));
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(self.stream_window_bytes)
            .initial_connection_window_size(self.connection_window_bytes)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_send_buf_size(self.send_buffer_bytes_max)
            .max_header_list_size(HEADER_BYTES_MAX)
            .keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .keep_alive_while_idle(true);
        builder
    }
}

/// Runs the calls of one accepted connection where the server can wait for all, and the connection for its own.
#[derive(Clone, Debug)]
pub(crate) struct CallExecutor {
    tasks: TaskTracker,
    calls: TaskTracker,
}

impl<F> Executor<F> for CallExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.tasks.spawn(self.calls.track_future(call));
    }
}

/// Runs what a connection made by this server needs where the server can wait for it.
#[derive(Clone, Debug)]
pub(crate) struct TrackedExecutor(TaskTracker);

impl<F> Executor<F> for TrackedExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}
