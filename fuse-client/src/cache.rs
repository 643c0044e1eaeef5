//! Content files: where the bytes of files are on this machine.
//!
//! Each is sparse, as long as its file, and belongs to one generation of one node. While a file is
//! open, [`Inner`] is what is true of its content; the row follows when it is closed or fsynced, and
//! before the first byte of a block is changed.

mod blocks;
mod fetch;
mod room;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};

use crate::clock::now_ns;
use crate::errno::Fault;
use crate::fs::Ino;
use crate::fs::shared::lock;
use crate::state::{Content, Node};

pub(crate) use self::blocks::{BLOCK, Blocks, touched};
pub(crate) use self::fetch::ReadAhead;

/// The content of a node that is in use.
pub(crate) struct Open {
    pub(crate) ino: Ino,
    pub(crate) inner: Mutex<Inner>,
    /// Held by whoever fetches.
    pub(crate) fetch: tokio::sync::Mutex<ReadAhead>,
    /// When its use was written down last; ms.
    pub(crate) used_at: AtomicI64,
    /// Has no name left here; goes with the last handle.
    pub(crate) unlinked: AtomicBool,
    /// The server has another version; it is taken when the kernel has closed this one.
    pub(crate) outdated: AtomicBool,
}

/// What is true of it now.
pub(crate) struct Inner {
    pub(crate) file: Arc<File>,
    pub(crate) generation: i64,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) ctime: i64,
    pub(crate) present: Blocks,
    pub(crate) dirty: Blocks,
    pub(crate) content: Content,
    pub(crate) version: i64,
    /// Length of the version on the server.
    pub(crate) base_size: u64,
    /// Differs from the row.
    pub(crate) changed: bool,
    /// Counts how often blocks became like the server's: fetched, or sent.
    filled: u64,
    /// Of these, those whose bytes are on the disk.
    synced: u64,
    pub(crate) handles: u32,
    pub(crate) writers: u32,
    /// The kernel reads and writes the file by itself: (size, mtime, ctime) of it when that began.
    pub(crate) passthrough: Option<(u64, i128, i128)>,
}

/// Size, mtime and ctime of a local file, times in ns.
pub(crate) fn fingerprint(file: &File) -> Result<(u64, i128, i128), Fault> {
    use std::os::unix::fs::MetadataExt;
    let meta = file.metadata()?;
    let ns = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
    Ok((
        meta.len(),
        ns(meta.mtime(), meta.mtime_nsec()),
        ns(meta.ctime(), meta.ctime_nsec()),
    ))
}

/// Sets the mtime of a local file, so that a crash does not lose one that was set.
pub(crate) fn set_file_time(file: &File, mtime_ns: i64) -> Result<(), Fault> {
    let at = rustix::fs::Timespec {
        tv_sec: mtime_ns.div_euclid(1_000_000_000),
        tv_nsec: mtime_ns.rem_euclid(1_000_000_000),
    };
    let times = rustix::fs::Timestamps {
        last_access: at,
        last_modification: at,
    };
    rustix::fs::futimens(file, &times)?;
    Ok(())
}

/// The content file of a generation of a node.
pub(crate) fn content_path(cache: &Path, ino: Ino, generation: i64) -> PathBuf {
    cache
        .join("content")
        .join(format!("{:02x}", ino % 256))
        .join(format!("{ino}.{generation}"))
}

/// Opens it, making it if need be.
pub(crate) fn open_file(cache: &Path, ino: Ino, generation: i64) -> Result<File, Fault> {
    let path = content_path(cache, ino, generation);
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
    };
    match open() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            Ok(open()?)
        }
        opened => Ok(opened?),
    }
}

/// Removes it; that it is not there is fine.
pub(crate) fn remove_file(cache: &Path, ino: Ino, generation: i64) {
    let path = content_path(cache, ino, generation);
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "a content file cannot be removed");
    }
}

impl Open {
    /// Opens the content of a node.
    pub(crate) fn new(cache: &Path, node: &Node) -> Result<Self, Fault> {
        let file = open_file(cache, node.ino, node.generation)?;
        let mut present = Blocks(node.present.clone());
        let mut dirty = Blocks(node.dirty.clone());
        let (mut size, mut version, mut changed) = (node.size, node.version, false);
        let length = file.metadata()?.len();
        if length != size && node.content == Content::Open {
            // It was written to, and its row could not follow: the file tells.
            present.add(touched(&(size.min(length)..length)));
            dirty = Blocks::ALL;
            (size, version, changed) = (length, version + 1, true);
        } else if length < size && node.content == Content::Clean && !present.is_empty() {
            // Somebody has emptied the cache's folder: nothing of the file is here. It becomes as long
            // as it was only when its row says so: it would be taken for zeros.
            (present, changed) = (Blocks::none(), true);
        } else if length != size {
            file.set_len(size)?;
        }
        let inner = Inner {
            file: Arc::new(file),
            generation: node.generation,
            size,
            mtime: node.mtime,
            ctime: node.ctime,
            present,
            dirty,
            content: node.content,
            version,
            base_size: node.base_size,
            changed,
            filled: 1,
            synced: 0,
            handles: 0,
            writers: 0,
            passthrough: None,
        };
        Ok(Self {
            ino: node.ino,
            inner: Mutex::new(inner),
            fetch: tokio::sync::Mutex::default(),
            used_at: AtomicI64::new(node.used_at),
            unlinked: AtomicBool::new(false),
            outdated: AtomicBool::new(false),
        })
    }

    /// Length of the content, with what the kernel has written by itself.
    pub(crate) fn size(&self) -> u64 {
        let mut inner = lock(&self.inner);
        inner.look();
        inner.size
    }

    /// Puts what is true of the content into a row.
    pub(crate) fn overlay(&self, node: &mut Node) {
        lock(&self.inner).overlay(node);
    }

    /// Puts on the disk what is to be in blocks beside what will be written into them ([`Inner::rests`]);
    /// the version that was so. After a power cut a block that differs is believed, and sent.
    pub(crate) async fn settle(&self, blocks: &Range<u64>) -> Result<Option<i64>, Fault> {
        let (file, filled, version) = {
            let inner = lock(&self.inner);
            if inner.rests(blocks) {
                return Ok(None);
            }
            (Arc::clone(&inner.file), inner.filled, inner.version)
        };
        let synced = {
            let file = Arc::clone(&file);
            tokio::task::spawn_blocking(move || file.sync_data()).await
        };
        synced.map_err(|error| Fault::Local(std::io::Error::other(error)))??;
        let mut inner = lock(&self.inner);
        if Arc::ptr_eq(&inner.file, &file) {
            inner.synced = inner.synced.max(filled);
        }
        Ok(Some(version))
    }
}

/// What a change of the content changes, to be put back should it fail.
pub(crate) struct Before {
    size: u64,
    times: (i64, i64),
    present: Blocks,
    dirty: Blocks,
    content: Content,
    version: i64,
    changed: bool,
}

impl Inner {
    /// As it is now.
    pub(crate) fn before(&self) -> Before {
        Before {
            size: self.size,
            times: (self.mtime, self.ctime),
            present: self.present.clone(),
            dirty: self.dirty.clone(),
            content: self.content,
            version: self.version,
            changed: self.changed,
        }
    }

    /// As it was.
    pub(crate) fn put_back(&mut self, before: Before) {
        self.size = before.size;
        (self.mtime, self.ctime) = before.times;
        self.present = before.present;
        self.dirty = before.dirty;
        self.content = before.content;
        self.version = before.version;
        self.changed = before.changed;
    }

    pub(crate) fn overlay(&mut self, node: &mut Node) {
        self.look();
        node.size = self.size;
        node.mtime = self.mtime;
        node.ctime = node.ctime.max(self.ctime);
        node.present.clone_from(&self.present.0);
        node.dirty.clone_from(&self.dirty.0);
        node.content = self.content;
        node.version = self.version;
        node.generation = self.generation;
        node.cached = self.present.bytes(self.size);
    }

    /// What the kernel has done to the file by itself.
    pub(crate) fn look(&mut self) {
        let Some(before) = self.passthrough else {
            return;
        };
        if self.content == Content::Clean {
            return;
        }
        match fingerprint(&self.file) {
            Ok(now) if now != before => {
                self.passthrough = Some(now);
                self.size = now.0;
                self.mtime = i64::try_from(now.1).unwrap_or_else(|_| now_ns());
                self.ctime = self.mtime;
                self.version += 1;
                self.dirty = Blocks::ALL;
                self.changed = true;
            }
            _ => {}
        }
    }

    /// The row must follow: the content has changed.
    pub(crate) fn touch(&mut self, now: i64) {
        self.mtime = now;
        self.ctime = now;
        self.version += 1;
        self.changed = true;
    }

    /// Blocks have become like the server's.
    pub(crate) fn filled(&mut self) {
        self.filled += 1;
    }

    /// Whether whatever is in blocks and like the server's is on the disk.
    pub(crate) fn rests(&self, blocks: &Range<u64>) -> bool {
        let end = blocks.end.min(self.base_size.div_ceil(BLOCK));
        let alike = |block| self.present.has(block) && !self.dirty.has(block);
        self.synced == self.filled || !(blocks.start..end).any(alike)
    }

    /// Blocks of a range that have to be fetched.
    pub(crate) fn absent(&self, range: &Range<u64>) -> bool {
        let end = range.end.min(self.size);
        range.start < end && !self.present.has_all(touched(&(range.start..end)))
    }
}
