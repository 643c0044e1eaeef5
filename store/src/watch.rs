//! Watching a drive: being woken when something happens, and when the credential ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::access;
use crate::caller::Caller;
use crate::drive::{self, Drive};
use crate::error::Result;
use crate::id::DriveId;
use crate::inside::{self, Inside, InsideNotices};
use crate::notice::Notices;
use crate::standing::Standing;
use crate::store::Store;
use crate::wake::Watcher;

/// A credential that ends at a known time is looked at again at least this often: clocks are set.
const LONGEST_SLEEP_MS: i64 = 3_600_000;

/// Somebody who watches their drive. Costs nothing while nothing happens.
pub struct Watch {
    store: Store,
    watcher: Arc<Watcher>,
}

impl Store {
    /// Begins to watch the caller's drive. Nothing that happens from now on is missed by reading
    /// from an older cursor at first and whenever there is news.
    pub fn watch(&self, caller: &Caller) -> Watch {
        let watcher = Watcher::new(caller);
        self.wakes().add(&watcher);
        Watch {
            store: self.clone(),
            watcher,
        }
    }

    /// Wakes watchers for what may have happened unheard: credentials that ended by the clock, and
    /// what other daemons did. Some statements for all of them, none while nobody watches.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn look_after_watchers(&self) -> Result<()> {
        let watchers = self.wakes().all();
        if watchers.is_empty() {
            return Ok(());
        }
        let callers: Vec<Caller> = watchers
            .iter()
            .map(|watcher| watcher.caller.clone())
            .collect();
        let standing = self.standing(&callers).await?;
        for (watcher, standing) in watchers.iter().zip(standing) {
            if standing == Standing::Ended {
                watcher.doubt.notify_one();
            }
        }
        if self.db().is_exclusive() {
            // Our own commits wake by themselves.
            return Ok(());
        }
        let mut ids: Vec<DriveId> = callers.iter().map(|caller| caller.drive).collect();
        for watcher in &watchers {
            ids.extend(watcher.followed().keys());
        }
        ids.sort_unstable();
        ids.dedup();
        let drives = self
            .db()
            .read(move |tx| drive::rows::find_many(tx, &ids))
            .await?;
        let drives: HashMap<DriveId, Drive> =
            drives.into_iter().map(|drive| (drive.id, drive)).collect();
        for watcher in &watchers {
            let drive = drives.get(&watcher.caller.drive);
            if drive.is_none_or(|drive| !watcher.has_seen(drive.change_number, drive.usage)) {
                watcher.news.notify_one();
            }
            let has_news = |(id, number): (&DriveId, &i64)| {
                drives
                    .get(id)
                    .is_none_or(|drive| drive.change_number != *number)
            };
            if watcher.followed().iter().any(has_news) {
                watcher.inside.notify_one();
            }
        }
        Ok(())
    }
}

impl Watch {
    /// Who watches.
    pub fn caller(&self) -> &Caller {
        &self.watcher.caller
    }

    /// Waits until something may have happened since this was last called. May be dropped while it
    /// waits.
    pub async fn news(&self) {
        self.watcher.news.notified().await;
    }

    /// Waits until something may have come or gone that others share with the caller, since this
    /// was last called. Never returns for whom shares are not to see. May be dropped while it
    /// waits.
    pub async fn shares(&self) {
        if !access::sees_shares(self.caller()) {
            return std::future::pending().await;
        }
        self.watcher.shares.notified().await;
    }

    /// Waits until something may have happened inside of what others share with the caller, or
    /// beside it, since this was last called. May be dropped while it waits.
    pub async fn inside(&self) {
        self.watcher.inside.notified().await;
    }

    /// What happened inside of what others share with the caller since `inside` was last read; at
    /// first nothing: it begins with this moment. What has been granted meanwhile begins then, too.
    /// What is told is, at the moment of asking, granted.
    ///
    /// On SQLite no statement for whom nothing is shared with.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn read_inside(&self, mut inside: Inside) -> Result<(Inside, InsideNotices)> {
        let user = self.caller().user;
        let (inside, notices) = if self.store.may_have_shares(self.caller()).await? {
            let read = self.store.db().read_snapshot(move |tx| {
                let notices = inside::read(tx, user, &mut inside)?;
                Ok((inside, notices))
            });
            read.await?
        } else {
            Default::default()
        };
        let wakes = self.store.wakes();
        wakes.follow(&self.watcher, inside.positions());
        Ok((inside, notices))
    }

    /// What happened since `cursor`.
    ///
    /// # Errors
    /// As for [`Store::notices`].
    pub async fn read(&self, cursor: i64) -> Result<Notices> {
        let notices = self.store.notices(&self.watcher.caller, cursor).await?;
        if !notices.more {
            self.watcher.saw(notices.cursor, notices.usage);
        }
        Ok(notices)
    }

    /// Waits until the caller's credential does not hold any more. May be dropped while it waits.
    ///
    /// # Errors
    /// Those of the database: then nobody knows whether it holds.
    pub async fn ended(&self) -> Result<()> {
        loop {
            let standing = self.store.standing(std::slice::from_ref(self.caller()));
            let until = match standing.await?.first() {
                Some(Standing::Holds { until }) => *until,
                Some(Standing::Ended) | None => return Ok(()),
            };
            let now_ms = self.store.world().now_ms();
            let rest_ms = until.map_or(LONGEST_SLEEP_MS, |until| until - now_ms + 1);
            let rest_ms = rest_ms.clamp(1, LONGEST_SLEEP_MS).unsigned_abs();
            tokio::select! {
                () = self.watcher.doubt.notified() => {}
                () = sleep(Duration::from_millis(rest_ms)) => {}
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.store.wakes().remove(&self.watcher);
    }
}

#[cfg(test)]
mod tests;
