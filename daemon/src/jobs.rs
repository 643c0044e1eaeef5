//! Work that comes back by the clock: each job is a rule of the store and how often it is asked.
//!
//! Every daemon runs all of them; on a shared database they find less to do, never the wrong thing.

use std::time::Duration;

use store::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// The jobs of a running daemon; they end when this is stopped.
pub struct Jobs {
    running: JoinSet<()>,
    stop: watch::Sender<()>,
}

impl Jobs {
    /// Starts all jobs.
    pub fn start(store: &Store) -> Self {
        let mut jobs = Self::none();
        macro_rules! every {
            ($seconds:literal s, $name:literal, |$s:ident| $work:expr) => {
                let store = store.clone();
                jobs.add($name, Duration::from_secs($seconds), move || {
                    let $s = store.clone();
                    async move { $work.await.map(drop) }
                });
            };
        }
        every!(10 s, "extend reservations", |s| s.extend_reservations());
        every!(10 s, "expire reservations", |s| s.expire_reservations());
        every!(5 s, "remove what uploads left", |s| s.remove_abandoned());
        every!(10 s, "make room", |s| s.sweep_if_short());
        every!(5 s, "purge deleted trees", |s| purge_trees(&s));
        every!(15 s, "hash large files", |s| hash_files(&s));
        every!(300 s, "purge locks", |s| s.purge_locks());
        every!(600 s, "purge log-ins", |s| s.purge_logins());
        every!(3600 s, "forget changes", |s| s.purge_changes());
        every!(3600 s, "sweep", |s| s.sweep(false));
        jobs
    }

    fn none() -> Self {
        Self {
            running: JoinSet::new(),
            stop: watch::channel(()).0,
        }
    }

    /// Does `work` now and then.
    fn add<W, F>(&mut self, name: &'static str, period: Duration, work: W)
    where
        W: Fn() -> F + Send + 'static,
        F: Future<Output = store::Result<()>> + Send,
    {
        let mut stop = self.stop.subscribe();
        let repeat = async move {
            let mut clock = interval(period);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                clock.tick().await;
                if let Err(error) = work().await {
                    tracing::warn!(job = name, %error, "a background job failed; it is tried again");
                }
            }
        };
        self.running.spawn(async move {
            tokio::select! {
                () = repeat => {}
                // What a job has begun is taken up again later on, as after a crash.
                _ = stop.changed() => {}
            }
        });
    }

    /// Ends the jobs, wherever they are.
    pub async fn stop(mut self) {
        drop(self.stop);
        while self.running.join_next().await.is_some() {}
    }
}

/// A batch at a time, so that requests come in between.
async fn purge_trees(store: &Store) -> store::Result<()> {
    while store.purge_trash().await? {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn hash_files(store: &Store) -> store::Result<()> {
    let mut last = None;
    loop {
        last = store.hash_pending(last).await?;
        if last.is_none() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_job_with_much_to_do_does_not_delay_the_end() {
        let begins = Arc::new(Notify::new());
        let mut jobs = Jobs::none();
        jobs.add("endless", Duration::from_secs(1), {
            let begins = Arc::clone(&begins);
            move || {
                begins.notify_one();
                pending()
            }
        });
        begins.notified().await;
        jobs.stop().await;
    }
}
