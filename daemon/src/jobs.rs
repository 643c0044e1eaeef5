//! Work that comes back by the clock: each job is a rule of the store and how often it is asked.
//!
//! Every daemon runs all of them; on a shared database they find less to do, never the wrong thing.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::{Store, World};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// One run of a job.
type Work = Pin<Box<dyn Future<Output = store::Result<()>> + Send>>;

/// A job: its name in addresses and in the log, how often it runs, what it does.
struct Kind {
    name: &'static str,
    period: Duration,
    work: fn(Store) -> Work,
}

/// The table of jobs; `$work` answers a `Result`.
macro_rules! jobs {
    ($($name:literal every $seconds:literal s => |$store:ident| $work:expr;)*) => {
        &[$(Kind {
            name: $name,
            period: Duration::from_secs($seconds),
            work: |$store| Box::pin(async move {
                $work.await?;
                Ok(())
            }),
        }),*]
    };
}

const JOBS: &[Kind] = jobs! {
    "extend-reservations" every 10 s => |store| store.extend_reservations();
    "extend-downloads" every 10 s => |store| store.extend_link_downloads();
    "count-link-downloads" every 5 s => |store| store.flush_link_uses();
    "expire-reservations" every 10 s => |store| store.expire_reservations();
    "look-after-sockets" every 5 s => |store| store.look_after_watchers();
    "remove-abandoned" every 5 s => |store| store.remove_abandoned();
    "make-room" every 10 s => |store| store.sweep_if_short();
    "purge-trees" every 5 s => |store| purge_trees(&store);
    "expire-trash" every 600 s => |store| store.expire_kept();
    "hash-large-files" every 15 s => |store| hash_files(&store);
    "purge-uploads" every 60 s => |store| store.purge_resumables();
    "count-asset-downloads" every 2 s => |store| store.flush_downloads();
    "purge-locks" every 300 s => |store| store.purge_locks();
    "purge-links" every 3600 s => |store| store.purge_links();
    "purge-logins" every 600 s => |store| store.purge_logins();
    "forget-changes" every 3600 s => |store| store.purge_changes();
    "sweep" every 3600 s => |store| store.sweep(false);
};

/// Where the job of this name stands in the table.
pub fn find(name: &str) -> Option<usize> {
    JOBS.iter().position(|kind| kind.name == name)
}

/// What is known of the jobs of this daemon, and how they are woken.
pub struct Board {
    world: World,
    slots: Vec<Slot>,
}

#[derive(Default)]
struct Slot {
    wake: Notify,
    seen: Mutex<Seen>,
}

/// What has been seen of a job. Times are milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether it is running.
    pub running: bool,
    /// When it was last started.
    pub started_at: Option<i64>,
    /// How long the last run that ended took, and whether all went well.
    pub ended: Option<(Duration, bool)>,
    /// When it runs next, while it does not run.
    pub next_at: Option<i64>,
}

/// A job and what has been seen of it.
pub struct Job {
    pub name: &'static str,
    pub period: Duration,
    pub seen: Seen,
}

impl Board {
    pub fn new(world: World) -> Arc<Self> {
        let slots = JOBS.iter().map(|_| Slot::default()).collect();
        Arc::new(Self { world, slots })
    }

    /// All jobs, as they stand in the table.
    pub fn list(&self) -> Vec<Job> {
        (0..JOBS.len()).map(|index| self.show(index)).collect()
    }

    /// The job in this place.
    pub fn show(&self, index: usize) -> Job {
        Job {
            name: JOBS[index].name,
            period: JOBS[index].period,
            seen: *self.seen(index),
        }
    }

    /// Has the job run as soon as it can: now, or once more after the run under way.
    pub fn wake(&self, index: usize) {
        self.slots[index].wake.notify_one();
    }

    fn seen(&self, index: usize) -> MutexGuard<'_, Seen> {
        let seen = self.slots[index].seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner)
    }

    fn began(&self, index: usize) {
        let mut seen = self.seen(index);
        seen.running = true;
        seen.started_at = Some(self.world.now_ms());
        seen.next_at = None;
    }

    fn ended(&self, index: usize, took: Duration, well: bool, rest: Duration) {
        let rest_ms = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
        let mut seen = self.seen(index);
        seen.running = false;
        seen.ended = Some((took, well));
        seen.next_at = Some(self.world.now_ms().saturating_add(rest_ms));
    }

    /// Does a job's work whenever its time has come or it is woken.
    async fn repeat<F>(&self, index: usize, work: impl Fn() -> F)
    where
        F: Future<Output = store::Result<()>>,
    {
        let kind = &JOBS[index];
        loop {
            let start = Instant::now();
            let due = start + kind.period;
            self.began(index);
            let result = work().await;
            let rest = due.saturating_duration_since(Instant::now());
            self.ended(index, start.elapsed(), result.is_ok(), rest);
            if let Err(error) = result {
                tracing::warn!(
                    job = kind.name,
                    %error,
                    "a background job failed; it is tried again"
                );
            }
            tokio::select! {
                () = self.slots[index].wake.notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }
}

/// The jobs of a running daemon; they end when this is stopped.
pub struct Jobs {
    running: JoinSet<()>,
    stop: watch::Sender<()>,
}

impl Jobs {
    /// Starts all jobs.
    pub fn start(store: &Store, board: &Arc<Board>) -> Self {
        let mut jobs = Self::none();
        for (index, kind) in JOBS.iter().enumerate() {
            let store = store.clone();
            jobs.add(board, index, move || (kind.work)(store.clone()));
        }
        jobs
    }

    fn none() -> Self {
        Self {
            running: JoinSet::new(),
            stop: watch::channel(()).0,
        }
    }

    /// Does `work` now and then, as the job in this place.
    fn add<W, F>(&mut self, board: &Arc<Board>, index: usize, work: W)
    where
        W: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = store::Result<()>> + Send,
    {
        let (board, mut stop) = (Arc::clone(board), self.stop.subscribe());
        self.running.spawn(async move {
            tokio::select! {
                () = board.repeat(index, work) => {}
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
    while store.purge_asset_contents().await? {
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

    use super::*;

    #[tokio::test]
    async fn a_job_with_much_to_do_does_not_delay_the_end() {
        let begins = Arc::new(Notify::new());
        let mut jobs = Jobs::none();
        jobs.add(&Board::new(World::default()), 0, {
            let begins = Arc::clone(&begins);
            move || {
                begins.notify_one();
                pending()
            }
        });
        begins.notified().await;
        jobs.stop().await;
    }

    #[test]
    fn names_of_jobs_fit_into_an_address() {
        for (index, kind) in JOBS.iter().enumerate() {
            let is_plain = |sign: char| sign.is_ascii_lowercase() || sign == '-';
            assert!(kind.name.chars().all(is_plain), "{}", kind.name);
            assert_eq!(find(kind.name), Some(index));
        }
        assert_eq!(find("no such job"), None);
    }

    #[test]
    fn a_board_tells_what_a_job_does_and_did() {
        let board = Board::new(World::default());
        assert_eq!(board.show(0).seen, Seen::default());
        board.began(0);
        let running = board.show(0).seen;
        assert!(running.running && running.next_at.is_none());
        board.ended(0, Duration::from_millis(3), false, Duration::from_secs(9));
        let seen = board.show(0).seen;
        assert_eq!(seen.ended, Some((Duration::from_millis(3), false)));
        assert!(!seen.running && seen.next_at > seen.started_at);
        assert_eq!(board.show(1).seen, Seen::default());
    }
}
