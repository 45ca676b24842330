//! What must be true, one rule a file. Owns judging what was told and read; never makes anything happen.

mod acked;
mod offsets;
mod readers;
mod recovery;
mod watermark;

pub(super) use acked::AckedMessages;
pub(super) use offsets::Offsets;
pub(super) use readers::{check_forward, check_reverse, check_times};
pub(super) use recovery::{Stop, check_recovered};
pub(super) use watermark::Watermark;

/// A broken rule, in words.
pub(super) type Verdict = Result<(), String>;
