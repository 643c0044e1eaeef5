//! When log-ins and app passwords were last used, without a write in anybody's way.
//!
//! Uses are noted in memory and written together, once a minute at most. What is noted here
//! and not yet written counts; a crash forgets a minute of it at most.

mod rows;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::error::Result;
use crate::id::{AppPasswordId, LoginId};
use crate::store::Store;

/// What was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Used {
    Login(LoginId),
    AppPassword(AppPasswordId),
}

/// Uses that are not written yet.
pub(crate) struct Uses {
    interval_ms: i64,
    unwritten: Mutex<HashMap<Used, i64>>,
    next_write: AtomicI64,
    writing: tokio::sync::Mutex<()>,
}

impl Uses {
    /// `idle` is after how long without use a log-in ends.
    pub fn new(idle: Duration) -> Self {
        let interval = Duration::from_mins(1).min(idle / 64);
        Self {
            interval_ms: i64::try_from(interval.as_millis()).expect("at most a minute"),
            unwritten: Mutex::default(),
            next_write: AtomicI64::new(0),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// How far behind the rows may be.
    pub fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// The last use that is not written yet.
    pub fn last(&self, used: Used) -> Option<i64> {
        self.lock().get(&used).copied()
    }

    /// Notes a use; whether it is time to write.
    fn note(&self, used: Used, now_ms: i64) -> bool {
        self.lock()
            .entry(used)
            .and_modify(|at| *at = now_ms.max(*at))
            .or_insert(now_ms);
        let next = self.next_write.load(Ordering::Relaxed);
        now_ms >= next
            && self
                .next_write
                .compare_exchange(
                    next,
                    now_ms + self.interval_ms,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Used, i64>> {
        self.unwritten.lock().expect("no panic while held")
    }
}

impl Store {
    /// Notes that something was used just now.
    pub(crate) fn note_use(&self, used: Used, now_ms: i64) {
        if self.credentials().uses.note(used, now_ms) {
            let store = self.clone();
            // `Store::close` waits for it through the lock that flushing takes.
            tokio::spawn(async move {
                if let Err(error) = store.flush_uses().await {
                    tracing::warn!(%error, "last uses could not be written");
                }
            });
        }
    }

    /// Writes the uses noted so far.
    pub(crate) async fn flush_uses(&self) -> Result<()> {
        let uses = &self.credentials().uses;
        let _alone = uses.writing.lock().await;
        let mut noted: Vec<(Used, i64)> =
            uses.lock().iter().map(|(used, at)| (*used, *at)).collect();
        if noted.is_empty() {
            return Ok(());
        }
        // One order everywhere, so that daemons do not block one another in a circle.
        noted.sort_unstable();
        let written = noted.clone();
        self.db().write(move |tx| rows::write(tx, &noted)).await?;
        let mut unwritten = uses.lock();
        for (used, at) in written {
            if unwritten.get(&used) == Some(&at) {
                unwritten.remove(&used);
            }
        }
        Ok(())
    }
}
