//! What a process says, as it says it. Owns collecting lines and waiting for one; knows no meaning of any.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// The lines of one output so far, and whether more can come.
#[derive(Clone, Debug, Default)]
struct Said {
    lines: Arc<Vec<String>>,
    ended: bool,
}

/// One output of a process, collected in the background so that the process never blocks on it.
#[derive(Debug)]
pub struct Output {
    said: watch::Receiver<Said>,
}

impl Output {
    /// Begins to collect.
    pub fn collect(output: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, said) = watch::channel(Said::default());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|said| Arc::make_mut(&mut said.lines).push(line));
            }
            sender.send_modify(|said| said.ended = true);
        });
        Self { said }
    }

    /// The first line with `text` in it, as soon as there is one; `None` when the output ends without it.
    pub async fn line_with(&self, text: &str) -> Option<String> {
        let mut said = self.said.clone();
        let found = |said: &Said| said.lines.iter().find(|line| line.contains(text)).cloned();
        let end = said.wait_for(|said| said.ended || found(said).is_some()).await.ok()?.clone();
        found(&end)
    }

    /// Everything said, once no more can come.
    pub(super) async fn all(&self) -> String {
        let mut said = self.said.clone();
        // The collector is gone only after it said that the output ended.
        let _ = said.wait_for(|said| said.ended).await;
        self.so_far()
    }

    /// Everything said until now.
    pub fn so_far(&self) -> String {
        self.said.borrow().lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}
