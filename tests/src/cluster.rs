//! Several real servers that are one cluster. Owns how they find each other and stay at their addresses; knows nothing of
//! what they keep.

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::api::{Client, connect, metadata, wire};
use crate::server::{Options, Refusal, Server, within};

/// One server of a cluster, running or not.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub id: String,
    data: PathBuf,
    options: Options,
    server: Option<Server>,
    /// Where the others find it, since it ran first.
    peer: SocketAddr,
}

/// A cluster of servers that keep their data in one temporary directory.
#[derive(Debug)]
pub struct Cluster {
    /// Its servers; the first founded it.
    pub members: Vec<Member>,
    _directory: TempDir,
}

impl Cluster {
    /// Starts as many servers as one cluster, each with these options besides.
    pub async fn start(count: usize, options: &Options) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let mut members = vec![Member::start(&directory, 0, options, None).await];
        let seed = members[0].peer;
        let mut joining = JoinSet::new();
        for number in 1..count {
            let (data, options) = (directory.path().to_owned(), options.clone());
            joining.spawn(async move { Member::start_in(data, number, &options, Some(seed)).await });
        }
        members.extend(joining.join_all().await);
        members.sort_by(|a, b| a.id.cmp(&b.id));
        Self { members, _directory: directory }
    }

    /// The server with this id.
    pub fn member(&mut self, id: &str) -> &mut Member {
        self.members.iter_mut().find(|member| member.id == id).expect("a member of this id")
    }

    /// Starts all servers that do not run, at once.
    pub async fn restart_all(&mut self) {
        let mut starting = JoinSet::new();
        let (running, stopped): (Vec<Member>, Vec<Member>) =
            self.members.drain(..).partition(|member| member.server.is_some());
        for mut member in stopped {
            starting.spawn(async move {
                member.restart().await;
                member
            });
        }
        self.members = running;
        self.members.extend(starting.join_all().await);
        self.members.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Any server that runs, but for the one with this id.
    pub fn other_than(&self, id: &str) -> &Server {
        let other = self.members.iter().filter(|member| member.id != id).find_map(|member| member.server.as_ref());
        other.expect("another server runs")
    }

    /// Asks a running server until the partition is as wanted; how it is then.
    pub async fn until(
        &self,
        what: &str,
        asked: &str,
        stream: &str,
        wanted: impl Fn(&wire::PartitionMetadata) -> bool,
    ) -> wire::PartitionMetadata {
        let server = self.members.iter().find(|member| member.id == asked).expect("a member of this id").running();
        let mut client = connect(server).await;
        within(what, async {
            loop {
                if let Some(partition) = partition(&mut client, stream).await.filter(|partition| wanted(partition)) {
                    return partition;
                }
                // Whoever is asked in a circle lets others work.
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

/// What a server says of partition 0 of a stream.
async fn partition(client: &mut Client, name: &str) -> Option<wire::PartitionMetadata> {
    let told = metadata(client).await.ok()?;
    let stream = told.stream_metadata.into_iter().find(|stream| stream.name == name)?;
    stream.partitions.into_values().find(|partition| partition.id == 0)
}

impl Member {
    async fn start(directory: &TempDir, number: usize, options: &Options, seed: Option<SocketAddr>) -> Self {
        Self::start_in(directory.path().to_owned(), number, options, seed).await
    }

    async fn start_in(directory: PathBuf, number: usize, options: &Options, seed: Option<SocketAddr>) -> Self {
        let id = format!("node-{number}");
        let mut options = options.clone().with_argument("--id").with_argument(&id);
        if let Some(seed) = seed {
            options = options.with_argument("--join").with_argument(seed.to_string());
        }
        let data = directory.join(&id);
        let any = options.clone().with_argument("--cluster-listen").with_argument("127.0.0.1:0");
        let server = Server::start_with(&data, &any).await;
        let peer = server.peer.expect("a member listens to others");
        let options = options.with_argument("--cluster-listen").with_argument(peer.to_string());
        Self { id, data, options, server: Some(server), peer }
    }

    /// The server, which runs.
    pub fn running(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    /// Kills it, as `kill -9` does.
    pub async fn kill(&mut self) {
        self.server.take().expect("it runs").kill().await;
    }

    /// Starts it again as if its disk was lost; an error when it ends instead of serving.
    pub async fn restart_without_data(&mut self) -> Result<(), Refusal> {
        if self.data.exists() {
            std::fs::remove_dir_all(&self.data).expect("a stopped server's data can be removed");
        }
        self.server = Some(Server::try_start(&self.data, &self.options).await?);
        Ok(())
    }

    /// Removes the files of all its partitions, and nothing else; it must not run.
    pub fn lose_partitions(&self) {
        assert!(self.server.is_none(), "a running server's files are its own");
        std::fs::remove_dir_all(self.data.join("streams")).expect("partitions' files can be removed");
    }

    /// Starts it again, where the others look for it.
    pub async fn restart(&mut self) {
        self.server = Some(Server::start_with(&self.data, &self.options).await);
    }
}
