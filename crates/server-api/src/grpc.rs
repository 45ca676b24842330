//! The Liftbridge API over gRPC, and beside it what people who run a cluster ask.
//!
//! Owns the calls of services `proto.API` and `liftbridge.v1.Admin`: what each reads from the wire, in which order it is checked, what it answers.
//! It never knows how connections are made or what the broker does with a request.

mod admin;
mod arriving_body;
mod convert;
mod deadline;
mod metadata;
mod publish;
mod publish_async;
mod publish_to_subject;
mod request_body;
mod request_budget;
mod serve;
mod service;
mod status;
mod streams;
mod subscribe;
mod unimplemented;
mod watched_body;

pub(crate) use deadline::deadline;
pub(crate) use serve::{GrpcServer, REFUSAL};
pub(crate) use service::ApiService;
