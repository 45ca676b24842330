//! What a single node answers: codes, texts and contents, per operation (behaviour specification, sections 2 and 13).

mod concurrency;
mod lifecycle;
mod metadata;
mod pause;
mod publish;
mod publish_async;
mod readonly;
mod streams;
mod subjects;
mod subscribe;
mod unserved;

use liftbridge_tests::api::{Client, connect};
use liftbridge_tests::server::Server;
use tempfile::TempDir;

/// A server of one test's own, with a client.
struct Fixture {
    client: Client,
    server: Server,
    _data: TempDir,
}

impl Fixture {
    async fn start() -> Self {
        let data = TempDir::new().expect("a temporary directory");
        let server = Server::start(&data.path().join("data")).await;
        Self { client: connect(&server).await, server, _data: data }
    }
}
