//! Noticing that the server is out of reach, and that it is back.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::now_ns;
use crate::drive::{Drive, DrivePath, Error};
use crate::fs::shared::{Shared, lock};

/// How often the space that is left is asked for.
const SPACE: Duration = Duration::from_mins(1);
/// Between two looks for a server that is out of reach.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl<D: Drive> Shared<D> {
    /// Watches for as long as the mount lasts.
    pub(crate) async fn run_net(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        self.ask_space().await;
        loop {
            if self.online.load(Ordering::Relaxed) {
                pause = FIRST_PAUSE;
                let doubted = tokio::select! {
                    () = self.net.notified() => true,
                    () = tokio::time::sleep(SPACE.min(self.options.open_upload_interval)) => false,
                };
                self.look_at_open_files();
                // The question serves as the probe: who has doubts and gets no answer is offline.
                if !self.ask_space().await && doubted {
                    self.go_offline();
                }
                continue;
            }
            // Many mounts lose one server at one moment; they need not come back at one.
            let spread = RandomState::new().hash_one(now_ns()) % 500;
            tokio::select! {
                () = tokio::time::sleep(pause + Duration::from_millis(spread)) => {}
                () = self.net.notified() => continue,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.try_to_come_back().await;
        }
    }

    /// Goes online again if the server answers.
    pub(crate) async fn try_to_come_back(&self) {
        if self.online.load(Ordering::Relaxed) {
            return;
        }
        let answer = self.drive.stat(&DrivePath::ROOT).await;
        if !matches!(answer, Err(Error::Unreachable { .. })) {
            self.come_back();
        }
    }

    /// What the kernel writes by itself is noticed by looking.
    fn look_at_open_files(&self) {
        let open: Vec<_> = lock(&self.open)
            .values()
            .filter_map(std::sync::Weak::upgrade)
            .collect();
        let db = lock(&self.db);
        for open in open {
            let changed = {
                let mut inner = lock(&open.inner);
                inner.look();
                inner.passthrough.is_some() && inner.changed && inner.writers > 0
            };
            if changed && let Err(fault) = self.persist(&db, &open, Some(0)) {
                tracing::error!(%fault, "an open file cannot be written down");
            }
        }
        self.push.notify_one();
    }

    /// The server answers, or has said so by itself. What failed for want of it is due at once.
    pub(super) fn come_back(&self) {
        if !self.online.swap(true, Ordering::Relaxed) {
            tracing::info!("the server can be reached again");
        }
        self.failures.store(0, Ordering::Relaxed);
        lock(&self.unheard).hurry();
        {
            let db = lock(&self.db);
            if let Err(fault) = db.change(|db| Ok(db.failed_due()?)) {
                tracing::error!(%fault, "what failed cannot be made due");
            }
        }
        self.asked.store(true, Ordering::SeqCst);
        self.push.notify_one();
        self.pull.notify_one();
        self.net.notify_one();
        self.progress.send_modify(|count| *count += 1);
    }

    /// Asks how much space is left; whether anybody answered.
    async fn ask_space(&self) -> bool {
        let told = match self.ask(self.drive.space()).await {
            Ok(told) => told,
            Err(error) => return !matches!(error, Error::Unreachable { .. }),
        };
        let db = lock(&self.db);
        let unsent = db.totals().map_or(0, |(_, unsent, _)| unsent);
        let before = {
            let mut space = lock(&self.space);
            let before = space.left;
            space.left = told.available_bytes.map(|left| left.saturating_sub(unsent));
            space.total = told.used_bytes.unwrap_or(0) + told.available_bytes.unwrap_or(0);
            before
        };
        if told.available_bytes.unwrap_or(0) > before.unwrap_or(u64::MAX) {
            let freed = db.change(|db| Ok(db.all_due(Some("quota"))?));
            if freed.is_ok() {
                self.push.notify_one();
            }
        }
        true
    }
}
