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

/// Runs `$work` (which answers a `Result`) every `$seconds`.
macro_rules! jobs {
    ($set:ident, $store:ident, $stop:ident: $($name:literal every $seconds:literal s => |$s:ident| $work:expr;)*) => {$(
        {
            let ($s, mut stop) = ($store.clone(), $stop.subscribe());
            $set.spawn(async move {
                let mut clock = interval(Duration::from_secs($seconds));
                clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        _ = clock.tick() => {}
                        _ = stop.changed() => return,
                    }
                    if let Err(error) = $work.await {
                        tracing::warn!(job = $name, %error, "a background job failed; it is tried again");
                    }
                }
            });
        }
    )*};
}

impl Jobs {
    /// Starts all jobs.
    pub fn start(store: &Store) -> Self {
        let (stop, _) = watch::channel(());
        let mut running = JoinSet::new();
        jobs! { running, store, stop:
            "extend reservations" every 10 s => |s| s.extend_reservations();
            "expire reservations" every 10 s => |s| s.expire_reservations();
            "purge deleted trees" every 5 s => |s| purge_trees(&s);
            "hash large files" every 15 s => |s| hash_files(&s);
            "purge locks" every 300 s => |s| s.purge_locks();
            "purge log-ins" every 600 s => |s| s.purge_logins();
            "forget changes" every 3600 s => |s| s.purge_changes();
            "sweep" every 3600 s => |s| s.sweep(false);
        }
        Self { running, stop }
    }

    /// Ends the jobs after the step each is at.
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
    while store.hash_pending().await? {}
    Ok(())
}
