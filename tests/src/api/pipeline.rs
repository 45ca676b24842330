//! One PublishAsync stream. Owns matching answers to requests by correlation id; knows nothing of what they should be.

use std::collections::HashMap;

use tokio::sync::mpsc::{Sender, channel};
use tonic::{Code, Status, Streaming};

use super::{Client, wire};
use crate::server::within;

/// Requests the test may have sent that the server has not read.
const UNREAD_MAX: usize = 1024;

/// An open PublishAsync stream.
#[derive(Debug)]
pub struct Pipeline {
    requests: Sender<wire::PublishRequest>,
    responses: Streaming<wire::PublishResponse>,
    early: HashMap<String, wire::PublishResponse>,
    published: u64,
}

impl Pipeline {
    /// Opens the stream. The server has to accept it before the first request comes.
    pub async fn open(client: &mut Client) -> Self {
        let (requests, queue) = channel(UNREAD_MAX);
        let stream = tokio_stream::wrappers::ReceiverStream::new(queue);
        let opened = within("an accepted PublishAsync stream", client.publish_async(stream)).await;
        let responses = opened.expect("PublishAsync can be opened").into_inner();
        Self { requests, responses, early: HashMap::new(), published: 0 }
    }

    /// Sends a request under a correlation id of its own, unless it has one; the id.
    pub async fn send(&mut self, mut request: wire::PublishRequest) -> Result<String, Status> {
        self.published += 1;
        if request.correlation_id.is_empty() {
            request.correlation_id = format!("publish-{}", self.published);
        }
        let id = request.correlation_id.clone();
        let sent = within("room in the pipeline", self.requests.send(request)).await;
        sent.map_err(|_| Status::new(Code::Unavailable, "the stream has ended"))?;
        Ok(id)
    }

    /// The next answer, whichever request it belongs to.
    pub async fn next(&mut self) -> Result<wire::PublishResponse, Status> {
        let response = within("a publish response", self.responses.message()).await?;
        response.ok_or_else(|| Status::new(Code::Ok, "the server ended the stream"))
    }

    /// The answer to one request, keeping others for later.
    pub async fn answer(&mut self, id: &str) -> Result<wire::PublishResponse, Status> {
        loop {
            if let Some(response) = self.early.remove(id) {
                return Ok(response);
            }
            let response = self.next().await?;
            self.early.insert(response.correlation_id.clone(), response);
        }
    }

    /// Publishes and waits for the ack; a refusal is an error with the refusal's text.
    pub async fn publish(&mut self, request: wire::PublishRequest) -> Result<wire::Ack, wire::PublishAsyncError> {
        let failed = |status: Status| wire::PublishAsyncError {
            code: wire::publish_async_error::Code::Unknown.into(),
            message: status.to_string(),
        };
        let id = self.send(request).await.map_err(failed)?;
        let response = self.answer(&id).await.map_err(failed)?;
        match response.async_error {
            Some(error) => {
                assert_eq!(response.ack, Some(wire::Ack::default()), "beside an error there is an empty ack");
                Err(error)
            }
            None => Ok(response.ack.expect("a success has an ack")),
        }
    }

    /// Says that no more requests come and reads the remaining answers, up to the stream's end.
    pub async fn finish(mut self) -> (Vec<wire::PublishResponse>, Status) {
        drop(self.requests);
        let mut responses: Vec<_> = self.early.into_values().collect();
        loop {
            match within("a publish response", self.responses.message()).await {
                Ok(Some(response)) => responses.push(response),
                Ok(None) => return (responses, Status::ok("")),
                Err(status) => return (responses, status),
            }
        }
    }
}
