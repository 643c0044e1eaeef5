//! Bounds of the cache: what is on the server anyway gives way, the longest unused first.

use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::{Blocks, remove_file};
use crate::drive::Drive;
use crate::errno::Fault;
use crate::fs::shared::{Shared, lock};
use crate::state::Db;

impl<D: Drive> Shared<D> {
    /// Makes room for `bytes` more of content. `ENOSPC` when the disk is full and nothing can go.
    pub(crate) fn make_room(&self, db: &Db, bytes: u64) -> Result<(), Fault> {
        let disk = rustix::fs::statvfs(&self.options.cache)?;
        let floor = disk.f_blocks / 20 * disk.f_frsize;
        let free = disk.f_bavail * disk.f_frsize;
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
            let generation = node.generation;
            given_up += node.cached;
            node.generation += 1;
            node.present = Blocks::none().0;
            node.cached = 0;
            if db.in_change() {
                db.save(&node)?;
            } else {
                db.change(|db| Ok(db.save(&node)?))?;
            }
            remove_file(&self.options.cache, node.ino, generation);
            if given_up > (64 << 20) {
                break;
            }
        }
        self.give_back(given_up);
        Ok(given_up)
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
