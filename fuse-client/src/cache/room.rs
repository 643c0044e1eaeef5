//! Bounds of the cache: what is on the server anyway gives way, the longest unused first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;

use super::{Blocks, remove_file};
use crate::drive::Drive;
use crate::errno::Fault;
use crate::fs::shared::{Shared, lock};
use crate::state::Db;

/// So long what is to be removed after the log was synced is gathered.
const GATHER: Duration = Duration::from_secs(5);

impl<D: Drive> Shared<D> {
    /// Removes content that was never sent, when the disk has the change that removed its row.
    pub(crate) async fn run_removals(self: Arc<Self>) {
        let waits = Arc::clone(&lock(&self.db).waits);
        loop {
            waits.notified().await;
            tokio::time::sleep(GATHER).await;
            if let Err(fault) = self.remove_leaving().await {
                tracing::warn!(%fault, "content that is not needed any more stays on the disk");
            }
        }
    }

    async fn remove_leaving(&self) -> Result<(), Fault> {
        let (files, log) = {
            let db = lock(&self.db);
            (db.take_leaving()?, db.log()?)
        };
        let cache = self.options.cache.clone();
        let removed = tokio::task::spawn_blocking(move || {
            if let Some(log) = log {
                log.sync_data()?;
            }
            for (ino, generation) in files {
                remove_file(&cache, ino, generation);
            }
            Ok(())
        });
        removed.await.map_err(std::io::Error::other)?
    }

    /// Makes room for `bytes` more of content. `ENOSPC` when the disk is full and nothing can go.
    pub(crate) fn make_room(&self, db: &Db, bytes: u64) -> Result<(), Fault> {
        let (mut free, floor) = self.disk()?;
        if bytes + floor > free && db.remove_leaving()? {
            (free, _) = self.disk()?;
        }
        let mut short = (bytes + floor).saturating_sub(free);
        let cached = self.cached.load(Ordering::Relaxed) + bytes;
        let mut over = cached.saturating_sub(self.options.max_bytes);
        while short > 0 || over > 0 {
            let given_up = self.evict(db)?;
            if given_up == 0 {
                break;
            }
            short = short.saturating_sub(given_up);
            over = over.saturating_sub(given_up);
        }
        // Below the floor there may still be enough for what has to be written down.
        if short > 0 && free < bytes.saturating_add(16 << 20) {
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }

    /// Bytes of the disk that are free, and that are to stay so.
    fn disk(&self) -> Result<(u64, u64), Fault> {
        let disk = rustix::fs::statvfs(&self.options.cache)?;
        let floor = disk.f_blocks / 20 * disk.f_frsize;
        Ok((disk.f_bavail * disk.f_frsize, floor))
    }

    /// After content has come or may go: the bounds hold again.
    pub(crate) fn keep_bounds(&self, db: &Db) {
        if self.cached.load(Ordering::Relaxed) > self.options.max_bytes
            && let Err(fault) = self.make_room(db, 0)
        {
            tracing::warn!(%fault, "the cache cannot be made smaller");
        }
    }

    /// Gives up some content; how many bytes.
    fn evict(&self, db: &Db) -> Result<u64, Fault> {
        let mut given_up = 0;
        for mut node in db.evictable(64)? {
            if self.opened(node.ino).is_some() {
                continue;
            }
            let before = node.clone();
            given_up += node.cached;
            node.generation += 1;
            node.present = Blocks::none().0;
            node.cached = 0;
            if db.in_change() {
                db.save(&node)?;
            } else {
                db.change(|db| Ok(db.save(&node)?))?;
            }
            db.remove_content(&before);
            if given_up > (64 << 20) {
                break;
            }
        }
        self.give_back(given_up);
        Ok(given_up)
    }

    /// Of a node so many bytes are here now, and not so many as its row said before.
    pub(crate) fn count_cached(&self, before: u64, now: u64) {
        self.cached
            .fetch_add(now.saturating_sub(before), Ordering::Relaxed);
        self.give_back(before.saturating_sub(now));
    }

    /// So many bytes of content are not here any more.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.cached
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |cached| {
                Some(cached.saturating_sub(bytes))
            })
            .ok();
    }

    /// Takes `bytes` of the space that is left in the drive; `EDQUOT` when there is less.
    pub(crate) fn take_space(&self, bytes: u64) -> Result<(), Fault> {
        let mut space = lock(&self.space);
        if let Some(left) = &mut space.left {
            if *left < bytes {
                return Err(Errno::DQUOT.into());
            }
            *left -= bytes;
        }
        Ok(())
    }
}
