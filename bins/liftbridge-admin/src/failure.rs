//! Why a command did not succeed: the one line on standard error, and the exit code.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use liftbridge_client::{
    CallError, ChangeStreamError, ConnectError, CreateStreamError, ExplainError, PartitionInfoError, PublishError,
    RemoveMemberError, RouteError, SubscribeError,
};
use liftbridge_commitlog::{LogError, OpenError};
use thiserror::Error;

/// Refused or failed.
const EXIT_FAILED: u8 = 1;
/// `cluster health` found something degraded, or something unavailable.
const EXIT_DEGRADED: u8 = 1;
const EXIT_UNAVAILABLE: u8 = 2;
/// The command line makes no sense; also what clap exits with.
const EXIT_USAGE: u8 = 2;
/// No broker could be reached.
const EXIT_UNREACHABLE: u8 = 3;

/// Everything that can go wrong.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    CreateStream(#[from] CreateStreamError),
    #[error(transparent)]
    ChangeStream(#[from] ChangeStreamError),
    #[error(transparent)]
    PartitionInfo(#[from] PartitionInfoError),
    #[error(transparent)]
    RemoveMember(#[from] RemoveMemberError),
    #[error(transparent)]
    Explain(#[from] ExplainError),
    #[error("the cluster is degraded: {reasons}")]
    Degraded { reasons: String },
    #[error("the cluster is unavailable, in part or as a whole: {reasons}")]
    Unavailable { reasons: String },
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("there is no stream `{name}`")]
    NoSuchStream { name: String },
    #[error("{failed} of {attempted} messages were not acknowledged{}, the first because: {first}", unsent_text(*.rest_unsent))]
    NotAcknowledged {
        failed: u64,
        attempted: u64,
        first: PublishError,
        /// Whether there was more to publish that was not even tried.
        rest_unsent: bool,
    },
    #[error(
        "not everything was read: {damaged} stretches are damaged, {broken_off} partitions were not read to their end"
    )]
    NotAllRead {
        /// Stretches of offsets that were told of, and passed over where there was something behind them.
        damaged: u64,
        /// Partitions that something else kept from being read.
        broken_off: u64,
    },
    #[error("cannot read `{}`: {source}", path.display())]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("{place}: {reason}")]
    BadInput { place: String, reason: String },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    OpenLog(#[from] OpenError),
    #[error("`{}` holds no log files; name the directory of one partition, such as DATA/streams/7-orders/0", path.display())]
    NoLogFiles { path: PathBuf },
    #[error("`{}` is damaged, in {ranges} places", path.display())]
    Damaged { path: PathBuf, ranges: usize },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Connect(
                ConnectError::InvalidAddress { .. } | ConnectError::NoAddresses | ConnectError::Tls { .. },
            ) => EXIT_USAGE,
            Self::Connect(ConnectError::Unreachable { last, .. }) if last.is_callers_fault() => EXIT_FAILED,
            Self::Connect(_) => EXIT_UNREACHABLE,
            Self::Degraded { .. } => EXIT_DEGRADED,
            Self::Unavailable { .. } => EXIT_UNAVAILABLE,
            _ => EXIT_FAILED,
        }
    }

    /// What to do about it.
    fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Connect(ConnectError::Unreachable { last, .. }) if !last.is_callers_fault() => Some(
                "start liftbridged, or name another broker with --address; a server with TLS needs --tls or --tls-ca",
            ),
            Self::Connect(ConnectError::Tls { .. }) => {
                Some("check the PEM files of --tls-ca, --tls-cert and --tls-key")
            }
            Self::NoSuchStream { .. }
            | Self::ChangeStream(ChangeStreamError::StreamNotFound { .. })
            | Self::Subscribe(SubscribeError::Route(RouteError::UnknownStream { .. }))
            | Self::PartitionInfo(PartitionInfoError::Route(RouteError::UnknownStream { .. }))
            | Self::Explain(ExplainError::Route(RouteError::UnknownStream { .. }))
            | Self::Publish(PublishError::NotFound { .. })
            | Self::NotAcknowledged { first: PublishError::NotFound { .. }, .. } => {
                Some("`liftbridge-admin streams list` shows what there is")
            }
            Self::RemoveMember(RemoveMemberError::NotFound { .. }) => {
                Some("`liftbridge-admin cluster members` shows who is in it")
            }
            Self::Subscribe(SubscribeError::Paused(_)) => Some("--resume wakes it"),
            Self::Subscribe(SubscribeError::DataLoss { go_on: Some(_), .. }) => {
                Some("this command does that by itself")
            }
            Self::NotAcknowledged { first: PublishError::Readonly { .. }, .. } => {
                Some("`liftbridge-admin streams set-readonly STREAM --off` makes it writable")
            }
            Self::NotAcknowledged { first: PublishError::AckTimeout { .. }, .. } => Some("--timeout waits longer"),
            Self::Damaged { .. } => Some("a replica or a backup has the data; the rest of the log can be served"),
            _ => None,
        }
    }
}

fn unsent_text(rest_unsent: bool) -> &'static str {
    if rest_unsent { " and the rest was not sent" } else { "" }
}

/// Says what went wrong, in one line. A reader of our output that has gone away is no failure.
pub(crate) fn report(failure: &Failure) -> ExitCode {
    if matches!(failure, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    tell(failure);
    ExitCode::from(failure.exit_code())
}

/// Says what went wrong, in one line, without an end to anything.
pub(crate) fn tell(failure: &Failure) {
    let line = failure.to_string().replace('\n', " ");
    let line = match failure.advice() {
        Some(advice) => format!("error: {line} ({advice})\n"),
        None => format!("error: {line}\n"),
    };
    // With standard error gone there is nobody left to tell.
    let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
}

#[cfg(test)]
mod tests {
    use liftbridge_client::Code;

    use super::*;

    fn unreachable_with(code: Code) -> Failure {
        let last = CallError { address: "a:1".to_owned(), code, message: String::new(), never_sent: false };
        Failure::Connect(ConnectError::Unreachable { tried: 1, last })
    }

    #[test]
    fn exit_codes_tell_usage_refusal_and_connection_apart() {
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(unreachable_with(Code::Unavailable).exit_code(), 3);
        assert_eq!(unreachable_with(Code::PermissionDenied).exit_code(), 1);
        assert_eq!(Failure::NoSuchStream { name: String::new() }.exit_code(), 1);
        assert_eq!(Failure::Degraded { reasons: String::new() }.exit_code(), 1);
        assert_eq!(Failure::Unavailable { reasons: String::new() }.exit_code(), 2);
    }
}
