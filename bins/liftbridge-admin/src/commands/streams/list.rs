//! `streams list`.

use liftbridge_client::{Client, StreamInfo};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, table};
use crate::values;

#[derive(Debug, Serialize)]
struct StreamRow {
    name: String,
    subject: String,
    partitions: usize,
    replicas: usize,
    created: Option<String>,
}

pub(super) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let rows: Vec<_> = client.fetch_metadata(&[]).await?.streams.iter().map(StreamRow::of).collect();
    output.result(&rows, || {
        table(&["STREAM", "SUBJECT", "PARTITIONS", "REPLICAS", "CREATED"], rows.iter().map(StreamRow::cells))
    })
}

impl StreamRow {
    fn of(stream: &StreamInfo) -> Self {
        Self {
            name: stream.name.clone(),
            subject: stream.subject.clone(),
            partitions: stream.partitions.len(),
            replicas: stream.partitions.iter().map(|partition| partition.replicas.len()).max().unwrap_or(0),
            created: stream.created_at.map(values::time_text),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.subject.clone(),
            self.partitions.to_string(),
            self.replicas.to_string(),
            self.created.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}
