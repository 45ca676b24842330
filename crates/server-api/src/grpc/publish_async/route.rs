//! The call's place among the routes: in front of the generated one, which would read and write each message with the
//! generated code. Owns nothing but the place.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{Request, Response};
use liftbridge_proto::api::api_server::ApiServer;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, StdError};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Status, Streaming};
use tower::Service;

use super::Answers;
use super::answer::Answer;
use super::codec::PublishCodec;
use super::message::PublishMessage;
use crate::grpc::ApiService;

/// Serves `PublishAsync`.
#[derive(Clone, Debug)]
pub(crate) struct PublishAsyncRoute {
    service: ApiService,
    request_bytes_max: usize,
}

impl PublishAsyncRoute {
    /// The call, for messages up to this size.
    pub(crate) fn new(service: ApiService, request_bytes_max: usize) -> Self {
        Self { service, request_bytes_max }
    }

    /// The path of its requests.
    pub(crate) fn path() -> String {
        format!("/{}/PublishAsync", ApiServer::<ApiService>::NAME)
    }
}

impl<B> Service<Request<B>> for PublishAsyncRoute
where
    B: hyper::body::Body + Send + 'static,
    B::Error: Into<StdError> + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { service, request_bytes_max } = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(PublishCodec).max_decoding_message_size(request_bytes_max);
            Ok(grpc.streaming(Call(service), request).await)
        })
    }
}

struct Call(ApiService);

impl StreamingService<PublishMessage> for Call {
    type Response = Answer;
    type ResponseStream = Answers;
    type Future = Ready<Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<PublishMessage>>) -> Self::Future {
        ready(Ok(tonic::Response::new(self.0.on_publish_async(request))))
    }
}
