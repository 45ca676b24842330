//! How far this node is in carrying out what was agreed on, for those who wait for their own command. Owns who waits for
//! which index; never what stands there.

use std::collections::BTreeMap;
use std::sync::Arc;

use liftbridge_metadata_raft::LogIndex;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

/// The follower is gone, so nothing is carried out any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoFollower;

/// The waiting side. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    state: Arc<Mutex<State>>,
    /// For those who wait for whatever comes next.
    news: watch::Receiver<LogIndex>,
}

/// The side that says how far things are. When it is dropped, whoever still waits hears [`NoFollower`].
#[derive(Debug)]
pub(crate) struct ProgressReporter {
    state: Arc<Mutex<State>>,
    news: watch::Sender<LogIndex>,
}

#[derive(Debug)]
struct State {
    done: LogIndex,
    /// `None` when the reporter is gone. One waits for each index at most: who proposed the command that stands there.
    waiting: Option<BTreeMap<LogIndex, oneshot::Sender<()>>>,
}

impl Progress {
    /// Both sides, with everything up to `done` carried out.
    pub(crate) fn starting_at(done: LogIndex) -> (ProgressReporter, Self) {
        let state = Arc::new(Mutex::new(State { done, waiting: Some(BTreeMap::new()) }));
        let (sender, news) = watch::channel(done);
        (ProgressReporter { state: Arc::clone(&state), news: sender }, Self { state, news })
    }

    /// Up to where everything is carried out.
    pub(crate) fn done(&self) -> LogIndex {
        self.state.lock().done
    }

    /// Waits until more is carried out than up to `index`; up to where then. `None` when the reporter is gone.
    pub(crate) async fn beyond(&self, index: LogIndex) -> Option<LogIndex> {
        let mut news = self.news.clone();
        news.wait_for(|done| *done > index).await.ok().map(|done| *done)
    }

    /// Waits until what stands at `index` is carried out. Wakes nobody but the one who waits for it.
    pub(crate) async fn reached(&self, index: LogIndex) -> Result<(), NoFollower> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if state.done >= index {
                return Ok(());
            }
            state.waiting.as_mut().ok_or(NoFollower)?.insert(index, sender);
        }
        receiver.await.map_err(|_| NoFollower)
    }
}

impl ProgressReporter {
    /// Everything up to `index` is carried out.
    pub(crate) fn report(&self, index: LogIndex) {
        let mut state = self.state.lock();
        state.done = index;
        while let Some(first) =
            state.waiting.as_mut().and_then(|waiting| waiting.first_entry().filter(|first| *first.key() <= index))
        {
            // Who stopped waiting is no error.
            let _ = first.remove().send(());
        }
        drop(state);
        self.news.send_replace(index);
    }
}

impl Drop for ProgressReporter {
    fn drop(&mut self) {
        self.state.lock().waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(number: u64) -> LogIndex {
        LogIndex::new(number)
    }

    #[tokio::test]
    async fn what_is_done_is_not_waited_for() {
        let (_reporter, progress) = Progress::starting_at(index(5));
        assert_eq!(progress.reached(index(5)).await, Ok(()));
    }

    #[tokio::test]
    async fn each_waits_for_its_own_index() {
        let (reporter, progress) = Progress::starting_at(index(5));
        let mut later = Box::pin(progress.reached(index(8)));
        let mut sooner = Box::pin(progress.reached(index(6)));
        assert!(is_pending(&mut later) && is_pending(&mut sooner));
        reporter.report(index(7));
        assert_eq!(sooner.await, Ok(()));
        assert!(is_pending(&mut later));
        reporter.report(index(8));
        assert_eq!(later.await, Ok(()));
    }

    #[tokio::test]
    async fn nobody_waits_for_a_follower_that_is_gone() {
        let (reporter, progress) = Progress::starting_at(index(5));
        let mut waiting = Box::pin(progress.reached(index(8)));
        assert!(is_pending(&mut waiting));
        drop(reporter);
        assert_eq!(waiting.await, Err(NoFollower));
        assert_eq!(progress.reached(index(9)).await, Err(NoFollower));
        assert_eq!(progress.reached(index(5)).await, Ok(()));
    }

    fn is_pending(future: &mut (impl Future<Output = Result<(), NoFollower>> + Unpin)) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::Pin::new(future).poll(&mut context).is_pending()
    }
}
