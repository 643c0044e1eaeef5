//! Attributes and extended attributes.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::shared::{Held, Shared, lock};
use super::{Caller, Change, Fs, Handle, Ino, Stat, Time};
use crate::cache::{BLOCK, Blocks, Inner, Open, open_file, set_file_time, touched};
use crate::clock::{now_ms, now_ns};
use crate::drive::Drive;
use crate::errno::Fault;
use crate::state::{ATTRIBUTES, Content, Db, Node, XATTRS, decode_xattrs, encode_xattrs};

/// As Linux bounds them.
const MOST_VALUE: usize = 65_536;

/// Blocks that differ once a file is cut, or grows: the one that is cut in two. What the kernel writes
/// by itself meanwhile is not told from the cut.
fn edge_blocks(edge: u64, passthrough: bool) -> Range<u64> {
    if passthrough {
        return 0..u64::MAX;
    }
    edge / BLOCK..edge.div_ceil(BLOCK)
}

/// The blocks of a file that is so long from now on; `edge` is the shorter of the two lengths.
fn mark_length(inner: &mut Inner, size: u64, edge: u64) {
    inner.size = size;
    if size == 0 {
        inner.dirty = Blocks::ALL;
        inner.present = Blocks::ALL;
        return;
    }
    let end = size.div_ceil(BLOCK);
    inner.present.cut(end);
    inner.dirty.cut(end);
    let changed = touched(&(edge..size.max(edge)));
    inner.present.add(changed.clone());
    inner.dirty.add(changed);
    if !edge.is_multiple_of(BLOCK) {
        inner.dirty.add(touched(&(edge - 1..edge)));
    }
}

impl<D: Drive> Shared<D> {
    /// When a change that needs no content is to be sent.
    pub(crate) fn soon(&self) -> i64 {
        now_ms() + i64::try_from(self.options.debounce.as_millis()).unwrap_or(0)
    }

    /// When a file that is being written is to be sent if nobody closes it.
    pub(crate) fn late(&self) -> i64 {
        now_ms() + i64::try_from(self.options.open_upload_interval.as_millis()).unwrap_or(0)
    }

    /// Sets attributes of a node, but not its size.
    fn change_attributes(
        &self,
        db: &Db,
        caller: Caller,
        ino: Ino,
        change: &Change,
    ) -> Result<Node, Fault> {
        let mut node = self.node(db, ino)?;
        let now = now_ns();
        let time = |time: Time| match time {
            Time::Now => now,
            Time::At(ns) => ns,
        };
        let mut sent = false;
        if let Some(mode) = change.mode {
            node.mode = (node.mode & 0o170_000) | (mode & 0o7777);
            sent = true;
        }
        if change.uid.is_some() || change.gid.is_some() {
            node.uid = change.uid.unwrap_or(node.uid);
            node.gid = change.gid.unwrap_or(node.gid);
            if change.mode.is_none() && caller.uid != 0 && !node.is_folder() {
                node.mode &= !0o4000;
                if node.mode & 0o010 != 0 {
                    node.mode &= !0o2000;
                }
            }
            sent = true;
        }
        if let Some(mtime) = change.mtime {
            node.mtime = time(mtime);
            if let Some(open) = self.opened(ino).filter(|_| node.is_file()) {
                let mut inner = lock(&open.inner);
                inner.mtime = node.mtime;
                set_file_time(&inner.file, node.mtime)?;
                if inner.passthrough.is_some() {
                    inner.passthrough = Some(crate::cache::fingerprint(&inner.file)?);
                }
            } else if node.content == Content::Open {
                let file = open_file(&self.options.cache, ino, node.generation)?;
                set_file_time(&file, node.mtime)?;
            }
            sent = true;
        }
        if let Some(atime) = change.atime {
            node.atime = time(atime);
        }
        node.ctime = change.ctime.unwrap_or(now);
        if let Some(open) = self.opened(ino).filter(|_| node.is_file()) {
            lock(&open.inner).ctime = node.ctime;
        }
        if sent {
            self.attributes_changed(db, &mut node, ATTRIBUTES)?;
        } else {
            db.save(&node)?;
        }
        Ok(node)
    }

    /// Keeps a node whose attributes are to be sent.
    fn attributes_changed(&self, db: &Db, node: &mut Node, which: i64) -> Result<(), Fault> {
        if self.keeps_attributes() || (self.can.times && which == ATTRIBUTES) {
            node.attributes_dirty |= which;
            node.attribute_version += 1;
        }
        db.save(node)?;
        if !db.synced_of(node.ino)?.is_empty() || node.ino == super::ROOT {
            let due = if node.content == Content::Open {
                self.late()
            } else {
                self.soon()
            };
            db.mark_node(node.ino, due)?;
        }
        Ok(())
    }

    /// Sets the length of a file.
    pub(crate) async fn set_length(&self, open: &Arc<Open>, size: u64) -> Result<(), Fault> {
        loop {
            let (old, passthrough) = {
                let mut inner = lock(&open.inner);
                inner.look();
                (inner.size, inner.passthrough.is_some())
            };
            // The block that is cut in two, or grows, goes to the server as it is then.
            let edge = size.min(old);
            if !passthrough && !edge.is_multiple_of(BLOCK) {
                self.hydrate(open, edge - edge % BLOCK..edge).await?;
            }
            let settled = open.settle(&edge_blocks(edge, passthrough)).await?;
            let fetching = open.fetch.lock().await;
            let db = lock(&self.db);
            let mut inner = lock(&open.inner);
            let edge = size.min(inner.size);
            // It may have been closed meanwhile, and given up.
            let passthrough = inner.passthrough.is_some();
            if !passthrough && inner.absent(&(edge - edge % BLOCK..edge)) {
                continue;
            }
            let blocks = edge_blocks(edge, passthrough);
            if settled != Some(inner.version) && !inner.rests(&blocks) {
                continue;
            }
            if size > inner.size {
                self.take_space(size - inner.size)?;
            }
            let Some(mut node) = db.node(open.ino)? else {
                return Err(Errno::STALE.into());
            };
            let cached = node.cached;
            inner.overlay(&mut node);
            let due = if inner.writers > 0 {
                self.late()
            } else {
                self.soon()
            };
            // What is not here of it would be zeros if a kill kept it from being cut: what is emptied
            // gets another content file.
            let fresh = if size == 0 && !passthrough && !inner.present.is_all() {
                let file = open_file(&self.options.cache, open.ino, inner.generation + 1)?;
                file.set_len(0)?;
                Some(Arc::new(file))
            } else {
                None
            };
            let before = inner.before();
            let changed = db.change(|db| {
                mark_length(&mut inner, size, edge);
                if passthrough {
                    inner.dirty = Blocks::ALL;
                }
                inner.touch(now_ns());
                inner.content = if inner.writers > 0 {
                    Content::Open
                } else {
                    Content::Dirty
                };
                let passthrough = inner.passthrough.take();
                inner.overlay(&mut node);
                inner.passthrough = passthrough;
                if fresh.is_some() {
                    db.remove_content(&node);
                    node.generation += 1;
                }
                db.save(&node)?;
                db.mark_all(open.ino, due)?;
                Ok(())
            });
            if let Err(fault) = changed {
                inner.put_back(before);
                return Err(fault);
            }
            self.count_cached(cached, node.cached);
            inner.changed = false;
            match fresh {
                Some(file) => {
                    inner.file = file;
                    inner.generation += 1;
                }
                None => inner.file.set_len(size)?,
            }
            set_file_time(&inner.file, inner.mtime)?;
            if inner.passthrough.is_some() {
                inner.passthrough = Some(crate::cache::fingerprint(&inner.file)?);
            }
            drop(inner);
            drop(db);
            drop(fetching);
            self.push_by(due);
            return Ok(());
        }
    }

    fn xattr_change(
        &self,
        ino: Ino,
        change: impl FnOnce(&mut crate::drive::ExtendedAttributes) -> Result<(), Errno>,
    ) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            let mut node = self.node(db, ino)?;
            let mut xattrs = decode_xattrs(node.xattrs.as_deref());
            change(&mut xattrs)?;
            node.xattrs = encode_xattrs(&xattrs);
            node.ctime = now_ns();
            self.attributes_changed(db, &mut node, XATTRS)
        })?;
        self.push_by(self.soon());
        Ok(())
    }
}

impl<D: Drive> Fs<D> {
    /// Attributes.
    ///
    /// # Errors
    /// As `stat`.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn stat(&self, ino: Ino) -> Result<Stat, Errno> {
        let db = lock(&self.shared.db);
        Ok(self.shared.node(&db, ino)?.stat())
    }

    /// Sets attributes.
    ///
    /// # Errors
    /// As `chmod`, `chown`, `truncate`, `utimensat`.
    pub async fn set_attributes(
        &self,
        caller: Caller,
        ino: Ino,
        change: Change,
        handle: Option<Handle>,
    ) -> Result<Stat, Errno> {
        let shared = &self.shared;
        if let Some(size) = change.size {
            let open = match handle.map(|handle| shared.held(handle)).transpose()? {
                Some(Held::File { open, .. }) => open,
                _ => shared.open_by_number(ino)?,
            };
            shared.set_length(&open, size).await?;
            if caller.uid != 0 {
                self.drop_privileges(ino)?;
            }
        }
        let db = lock(&shared.db);
        let rest = Change {
            size: None,
            ..change
        };
        if rest == Change::default() {
            return Ok(shared.node(&db, ino)?.stat());
        }
        let node = db.change(|db| shared.change_attributes(db, caller, ino, &rest))?;
        shared.push_by(shared.soon());
        Ok(node.stat())
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// As `readlink`.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn read_link(&self, ino: Ino) -> Result<Vec<u8>, Errno> {
        let db = lock(&self.shared.db);
        let node = self.shared.node(&db, ino)?;
        if !node.is_symlink() {
            return Err(Errno::INVAL);
        }
        node.target.ok_or(Errno::IO)
    }

    /// Value of an extended attribute.
    ///
    /// # Errors
    /// `ENODATA` when there is none.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn xattr_get(&self, ino: Ino, name: &OsStr) -> Result<Vec<u8>, Errno> {
        let db = lock(&self.shared.db);
        let node = self.shared.node(&db, ino)?;
        decode_xattrs(node.xattrs.as_deref())
            .remove(name.as_bytes())
            .ok_or(Errno::NODATA)
    }

    /// Sets an extended attribute (`XATTR_*`).
    ///
    /// # Errors
    /// As `setxattr`; `EOPNOTSUPP` where the server cannot keep it.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn xattr_set(
        &self,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        if !self.shared.can.properties {
            return Err(Errno::OPNOTSUPP);
        }
        if value.len() > MOST_VALUE || name.len() > 255 {
            return Err(Errno::RANGE);
        }
        let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
        Ok(self.shared.xattr_change(ino, |xattrs| {
            let there = xattrs.contains_key(name.as_bytes());
            if there && flags.contains(XattrFlags::CREATE) {
                return Err(Errno::EXIST);
            }
            if !there && flags.contains(XattrFlags::REPLACE) {
                return Err(Errno::NODATA);
            }
            xattrs.insert(name.as_bytes().to_vec(), value.to_vec());
            let all: usize = xattrs
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            if all > 4 * MOST_VALUE {
                return Err(Errno::NOSPC);
            }
            Ok(())
        })?)
    }

    /// Names of the extended attributes, each ended by a NUL.
    ///
    /// # Errors
    /// As `listxattr`.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn xattr_list(&self, ino: Ino) -> Result<Vec<u8>, Errno> {
        let db = lock(&self.shared.db);
        let node = self.shared.node(&db, ino)?;
        let mut names = Vec::new();
        for name in decode_xattrs(node.xattrs.as_deref()).keys() {
            names.extend(name);
            names.push(0);
        }
        Ok(names)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// `ENODATA` when there is none.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn xattr_remove(&self, ino: Ino, name: &OsStr) -> Result<(), Errno> {
        Ok(self.shared.xattr_change(ino, |xattrs| {
            xattrs
                .remove(name.as_bytes())
                .map(drop)
                .ok_or(Errno::NODATA)
        })?)
    }

    /// Somebody without privileges writes to a file: it runs as its owner or group no longer.
    ///
    /// # Errors
    /// `EIO`.
    pub fn drop_privileges(&self, ino: Ino) -> Result<(), Errno> {
        let db = lock(&self.shared.db);
        Ok(db.change(|db| {
            let mut node = self.shared.node(db, ino)?;
            let before = node.mode;
            node.mode &= !0o4000;
            if node.mode & 0o010 != 0 {
                node.mode &= !0o2000;
            }
            if node.mode == before || !node.is_file() {
                return Ok(());
            }
            node.ctime = now_ns();
            self.shared.attributes_changed(db, &mut node, ATTRIBUTES)
        })?)
    }
}

impl<D: Drive> Shared<D> {
    /// The content of a file that need not be open.
    pub(crate) fn open_by_number(&self, ino: Ino) -> Result<Arc<Open>, Fault> {
        let db = lock(&self.db);
        let node = db.node(ino)?.ok_or(Errno::NOENT)?;
        if node.is_folder() {
            return Err(Errno::ISDIR.into());
        }
        if !node.is_file() {
            return Err(Errno::INVAL.into());
        }
        let open = self.use_content(&node)?;
        if !db.has_entry(ino)? {
            // Nothing that is done to it matters to anybody but who has it open.
            open.unlinked.store(true, Ordering::SeqCst);
        }
        Ok(open)
    }
}
