//! The metrics of the edges: their names, what they count and their labels. Nothing else names one.

use std::time::Duration;

use metrics::{Histogram, Unit, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tonic::Code;

/// How long a request took until its answer; for a subscription until it began; for PublishAsync each message until what became
/// of it was known. Labels: `rpc`, the name of the call; `code`, the name of the gRPC status code, for a message of PublishAsync
/// the one Publish would have ended with.
pub(crate) const REQUEST_LATENCY_SECONDS: &str = "liftbridge_request_latency_seconds";
/// The same in milliseconds.
pub(crate) const REQUEST_LATENCY_MS: &str = "liftbridge_request_latency_ms";
/// Connections that are open. Label: `listener`, `grpc`, `http` or `peer`.
pub(crate) const CONNECTIONS: &str = "liftbridge_connections";
/// Connections that were turned away. Labels: `listener`; `reason`, `limit`, `handshake_failed` or `handshake_timeout`.
pub(crate) const CONNECTIONS_REFUSED: &str = "liftbridge_connections_refused_total";
/// PublishAsync streams that are open.
pub(crate) const PUBLISH_STREAMS: &str = "liftbridge_publish_streams";

/// Messages to other servers that were dropped. Label: `reason`, `down` when there is no connection, `full` when too much
/// waits already.
pub(crate) const PEER_MESSAGES_DROPPED: &str = "liftbridge_peer_messages_dropped_total";
/// Messages of other servers that make no sense to this one.
pub(crate) const PEER_MESSAGES_MALFORMED: &str = "liftbridge_peer_messages_malformed_total";
/// Other servers that were not believed: a wrong secret, or a certificate that names another.
pub(crate) const PEER_GREETINGS_REFUSED: &str = "liftbridge_peer_greetings_refused_total";

/// What `rpc` says of the messages of PublishAsync.
pub(crate) const PUBLISH_ASYNC: &str = "PublishAsync";

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    describe_histogram!(REQUEST_LATENCY_SECONDS, Unit::Seconds, "Time from a request to its answer.");
    describe_histogram!(REQUEST_LATENCY_MS, Unit::Milliseconds, "Time from a request to its answer, in milliseconds.");
    describe_gauge!(CONNECTIONS, "Open connections, by listener.");
    describe_counter!(CONNECTIONS_REFUSED, "Connections turned away, by listener and reason.");
    describe_gauge!(PUBLISH_STREAMS, "Open PublishAsync streams.");
    describe_counter!(PEER_MESSAGES_DROPPED, "Messages to other servers that were dropped, by reason.");
    describe_counter!(PEER_MESSAGES_MALFORMED, "Messages of other servers that make no sense.");
    describe_counter!(PEER_GREETINGS_REFUSED, "Other servers that were not believed.");
}

/// Records how long a request took.
pub(crate) fn request_finished(rpc: &'static str, code: Code, took: Duration) {
    let code = code_name(code);
    histogram!(REQUEST_LATENCY_SECONDS, "rpc" => rpc, "code" => code).record(took.as_secs_f64());
    histogram!(REQUEST_LATENCY_MS, "rpc" => rpc, "code" => code).record(took.as_secs_f64() * 1000.0);
}

/// Records how long it took until messages of one PublishAsync call were stored. They are taken in and answered in bursts, so
/// that many in a row took the same time: those are recorded at once.
#[derive(Debug)]
pub(crate) struct StoredLatency {
    seconds: Histogram,
    milliseconds: Histogram,
    /// What the last messages took, and how many of them are not recorded.
    took: Duration,
    count: usize,
}

impl StoredLatency {
    /// Nothing stored yet.
    pub(crate) fn new() -> Self {
        let code = code_name(Code::Ok);
        Self {
            seconds: histogram!(REQUEST_LATENCY_SECONDS, "rpc" => PUBLISH_ASYNC, "code" => code),
            milliseconds: histogram!(REQUEST_LATENCY_MS, "rpc" => PUBLISH_ASYNC, "code" => code),
            took: Duration::ZERO,
            count: 0,
        }
    }

    /// One more message was stored.
    pub(crate) fn add(&mut self, took: Duration) {
        if took != self.took {
            self.record();
            self.took = took;
        }
        self.count += 1;
    }

    /// Records what was added.
    pub(crate) fn record(&mut self) {
        if self.count > 0 {
            self.seconds.record_many(self.took.as_secs_f64(), self.count);
            self.milliseconds.record_many(self.took.as_secs_f64() * 1000.0, self.count);
            self.count = 0;
        }
    }
}

impl Drop for StoredLatency {
    fn drop(&mut self) {
        self.record();
    }
}

/// Adds one to a gauge for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(metrics::Gauge);

impl Counted {
    /// One more open connection of this listener.
    pub(crate) fn connection(listener: &'static str) -> Self {
        Self::new(gauge!(CONNECTIONS, "listener" => listener))
    }

    /// One more open PublishAsync stream.
    pub(crate) fn publish_stream() -> Self {
        Self::new(gauge!(PUBLISH_STREAMS))
    }

    fn new(gauge: metrics::Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
