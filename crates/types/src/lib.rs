//! The words every other crate shares: offsets, epochs, names, subjects, messages, stream settings and time as a value.
//!
//! This crate owns their meaning and their bounds. It never knows how any of them looks on disk or on the wire, and it
//! has no clock, file, socket or runtime.

mod ack_policy;
mod message;
mod names;
mod position;
mod stream_settings;
mod subject;
mod time;

pub use ack_policy::AckPolicy;
pub use message::{Header, Message};
pub use names::{BrokerId, InvalidName, NAME_BYTES_MAX, PartitionId, StreamId, StreamName};
pub use position::{BrokerIncarnation, LeaderEpoch, Offset, PartitionEpoch};
pub use stream_settings::{InvalidSetting, SettingOverrides, StreamSettings, minimum_in_sync};
pub use subject::{InvalidSubject, SUBJECT_BYTES_MAX, Subject};
pub use time::Timestamp;
