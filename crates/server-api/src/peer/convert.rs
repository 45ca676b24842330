//! Between what servers say to each other and the domain. Nothing else knows both.

mod publish;

pub(crate) use publish::{Routes, forwarded, outcome, publish};
