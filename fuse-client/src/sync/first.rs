//! The first report of a mount tells what is in every folder, or what has changed since the last mount.
//!
//! Of a drive that is not large it is there sooner than the first folder could be listed beside it, and
//! makes that needless. So whoever wants to know a folder waits for it a little.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// So long after the beginning of the mount nobody waits for it any more.
const PATIENCE: Duration = Duration::from_millis(300);

/// Whether it has been answered, and until when that is waited for.
pub(crate) struct FirstReport {
    over: watch::Sender<bool>,
    until: Instant,
}

impl FirstReport {
    /// A mount begins, whose server tells what has changed, or does not.
    pub(crate) fn new(is_to_come: bool) -> Self {
        Self {
            over: watch::Sender::new(!is_to_come),
            until: Instant::now() + PATIENCE,
        }
    }

    /// It has been taken over, or has failed.
    pub(super) fn end(&self) {
        self.over
            .send_if_modified(|over| !std::mem::replace(over, true));
    }

    /// Waits for it, if it may still be there soon.
    pub(crate) async fn wait(&self) {
        let mut over = self.over.subscribe();
        // What nobody is told of after all is asked for.
        let _ = timeout_at(self.until, over.wait_for(|over| *over)).await;
    }
}
