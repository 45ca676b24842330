//! The whole state at once, for a server that had fallen too far behind: whatever may have changed is looked at.

use std::collections::BTreeSet;
use std::sync::Arc;

use liftbridge_metadata_raft::{DeletedStream, LogIndex, Stream};
use liftbridge_types::StreamId;

use super::{Follower, create, delete, reassign};
use crate::directories;
use crate::node::Node;
use crate::partition::Completion;
use crate::streams_here::LocalStream;

impl Follower {
    /// Makes what is here what is agreed on now, whatever was agreed on in between.
    pub(super) async fn replace(&mut self, node: &Arc<Node>) {
        node.tell_peers();
        let (index, agreed) = node.metadata.streams();
        tracing::info!(%index, streams = agreed.len(), "catching up with the whole of the metadata");
        let ids: BTreeSet<StreamId> = agreed.iter().map(|stream| stream.id).collect();
        for gone in node.streams.all().into_iter().filter(|stream| !ids.contains(&stream.id)) {
            let gone = DeletedStream { id: gone.id, name: gone.name.clone() };
            if !delete(node, &gone).await {
                self.unremoved.push(gone);
            }
        }
        for stream in agreed {
            match node.streams.get_life(&stream.name, stream.id) {
                Some(here) => renew(node, &here, &stream).await,
                None => create(node, stream).await,
            }
        }
        self.opened_at = Some(index);
        self.remove_orphans(node, index).await;
    }

    /// Removes the files of streams that are not agreed on any more.
    pub(super) async fn remove_orphans(&mut self, node: &Arc<Node>, index: LogIndex) {
        let live: BTreeSet<StreamId> = node.streams.all().iter().map(|stream| stream.id).collect();
        let volume = Arc::clone(&node.volume);
        let removed = tokio::task::spawn_blocking(move || {
            let orphans = directories::orphans(&*volume, index, &live)?;
            Ok::<_, std::io::Error>(directories::remove_streams(&*volume, orphans))
        });
        match removed.await {
            Ok(Ok(left)) => self.unremoved.extend(left),
            Ok(Err(error)) => tracing::warn!(%error, "what deleted streams left was not looked for"),
            Err(error) => tracing::error!(%error, "removing deleted streams' files did not finish"),
        }
    }
}

/// Makes a stream that is here what is agreed on.
async fn renew(node: &Arc<Node>, here: &Arc<LocalStream>, agreed: &Stream) {
    let mut begun: Vec<Completion> = Vec::new();
    for (partition, agreed) in here.partitions.iter().zip(&agreed.partitions) {
        partition.note_readonly(agreed.readonly);
        partition.note_paused(agreed.paused);
        begun.extend(reassign::place(node, here, partition, agreed).await);
        if let Some(replica) = partition.replica() {
            begun.push(replica.set_readonly(agreed.readonly));
            begun.push(if agreed.paused { replica.pause() } else { replica.resume() });
        }
    }
    for completion in begun {
        completion.await;
    }
}
