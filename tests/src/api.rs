//! The API as the generated code gives it, with short ways to ask for what tests ask often. Owns no expectation but the
//! handshake, which every subscription begins with.

mod pipeline;
mod requests;
mod subscription;

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use liftbridge_proto::api::api_client::ApiClient;

pub use liftbridge_proto::api as wire;
pub use pipeline::Pipeline;
pub use requests::{OCC_ANY, message, offsets, publish, stream, subscribe};
pub use subscription::{Subscription, open, read_committed, values};

use crate::server::{Server, within};

/// A client as the generated code makes it.
pub type Client = ApiClient<Channel>;

/// A client on a connection of its own.
pub async fn connect(server: &Server) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.grpc)).expect("an address is a URI");
    let channel = within("a connection", endpoint.connect()).await.expect("a ready server accepts connections");
    ApiClient::new(channel)
}

/// Everything the server tells about its cluster.
pub async fn metadata(client: &mut Client) -> Result<wire::FetchMetadataResponse, Status> {
    let answer = within("metadata", client.fetch_metadata(wire::FetchMetadataRequest::default())).await?;
    Ok(answer.into_inner())
}

/// Creates a stream on a subject of its own name.
pub async fn create(client: &mut Client, name: &str, partitions: i32) {
    let request = wire::CreateStreamRequest { partitions, ..stream(name) };
    client.create_stream(request).await.expect("the stream can be created");
}

/// Publishes these values one after the other, each acknowledged under `ALL`; their acks.
pub async fn publish_values(client: &mut Client, name: &str, partition: i32, texts: &[&str]) -> Vec<wire::Ack> {
    let mut pipeline = Pipeline::open(client).await;
    let mut acks = Vec::new();
    for text in texts {
        acks.push(pipeline.publish(publish(name, partition, text)).await.expect("the message is stored"));
    }
    acks
}

/// Asserts that an answer is this refusal.
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, text: &str) {
    let status = answer.expect_err("a refusal");
    assert_eq!((status.code(), status.message()), (code, text));
}
