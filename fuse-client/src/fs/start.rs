//! The beginning and the end of a mount, and what a crash has left between them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

use super::kept::Kept;
use super::shared::{Shared, SpaceLeft, lock};
use super::{Fs, Invalidation, Options, ROOT, StartError};
use crate::cache::{Blocks, fingerprint, open_file};
use crate::clock::{now_ms, now_ns};
use crate::drive::Drive;
use crate::errno::Fault;
use crate::state::{Content, Db, Node};
use crate::sync::{Burst, FirstReport, Flight, Unheard};

/// Ends the tasks when the last clone of a mount goes.
pub(super) struct Guard {
    tasks: Vec<AbortHandle>,
    stop: Box<dyn Fn() + Send + Sync>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        (self.stop)();
    }
}

impl<D: Drive> Fs<D> {
    /// Opens or makes the cache, puts right what a crash has left, and begins to keep it and the
    /// server alike.
    ///
    /// # Errors
    /// [`StartError`]: the cache cannot be used.
    #[expect(
        clippy::unused_async,
        reason = "the tasks need the runtime of whoever awaits this"
    )]
    pub async fn open(options: Options, drive: D) -> Result<Self, StartError> {
        let cache = options.cache.clone();
        let db = Db::open(&cache)?;
        let trouble = |fault: Fault| StartError::Io {
            path: cache.clone(),
            source: std::io::Error::other(fault),
        };
        std::fs::create_dir_all(cache.join("content")).map_err(|error| trouble(error.into()))?;
        recover(&db, &options).map_err(trouble)?;
        let (cached, _, _) = db.totals().map_err(|error| trouble(error.into()))?;
        let again = db.folders_again().map_err(|error| trouble(error.into()))?;
        let sending = db.all_sending().map_err(|error| trouble(error.into()))?;
        let mut flight = Flight::default();
        flight.relist.extend(again);
        let (tell, told) = mpsc::unbounded_channel();
        let can = drive.capabilities();
        let first_report = FirstReport::new(can.changes && !options.offline);
        let shared = Arc::new(Shared {
            can,
            drive,
            db: Mutex::new(db),
            open: Mutex::new(HashMap::new()),
            handles: Mutex::new(HashMap::new()),
            next_handle: AtomicU64::new(1),
            stale_pages: Mutex::new(HashSet::new()),
            known: Mutex::default(),
            flight: Mutex::new(flight),
            unheard: Mutex::new(Unheard::of(&sending)),
            space: Mutex::new(SpaceLeft::default()),
            cached: AtomicU64::new(cached),
            passthrough: AtomicBool::new(false),
            online: AtomicBool::new(!options.offline),
            options,
            failures: AtomicU32::new(0),
            live: AtomicBool::new(false),
            told_live: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            pulling: AtomicBool::new(false),
            first_report,
            pull_failures: AtomicU32::new(0),
            last_error: Mutex::new(None),
            conflicts: Mutex::new(Vec::new()),
            uploading: Mutex::new(HashMap::new()),
            push: Notify::new(),
            push_at: AtomicI64::new(i64::MAX),
            burst: Burst::default(),
            pull: Notify::new(),
            net: Notify::new(),
            progress: watch::Sender::new(0),
            downloads: Semaphore::new(16),
            listing: tokio::sync::Mutex::new(()),
            kept: Kept::default(),
            tell,
            told: Mutex::new(Some(told)),
        });
        let tasks = vec![
            tokio::spawn(Arc::clone(&shared).run_push()).abort_handle(),
            tokio::spawn(Arc::clone(&shared).run_pull()).abort_handle(),
            tokio::spawn(Arc::clone(&shared).run_net()).abort_handle(),
            tokio::spawn(Arc::clone(&shared).run_removals()).abort_handle(),
        ];
        let ended = Arc::downgrade(&shared);
        let stop = Box::new(move || {
            if let Some(shared) = ended.upgrade() {
                lock(&shared.db).stop();
            }
        });
        let guard = Arc::new(Guard { tasks, stop });
        Ok(Self { shared, guard })
    }

    /// Whether opens may be answered with [`super::Io::Passthrough`], once it is known what the kernel
    /// can: no before, whatever [`Options::passthrough`] says, and no if that says so.
    pub fn allow_passthrough(&self, allowed: bool) {
        let allowed = allowed && self.shared.options.passthrough;
        self.shared.passthrough.store(allowed, Ordering::Relaxed);
    }

    /// How long the kernel may believe names and attributes.
    pub fn ttl(&self) -> Duration {
        if self.shared.live.load(Ordering::Relaxed) {
            Duration::from_mins(1)
        } else {
            self.shared.options.attribute_ttl
        }
    }

    /// What the kernel is to be told, for a thread that serves no requests. Once; later calls get one
    /// that tells nothing.
    pub fn take_invalidations(&self) -> mpsc::UnboundedReceiver<Invalidation> {
        lock(&self.shared.told)
            .take()
            .unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    /// Takes no more requests, commits, stops the tasks. Does not wait for what is to be sent.
    #[expect(
        clippy::unused_async,
        reason = "the end of a mount is awaited like its beginning"
    )]
    pub async fn close(self) {
        for task in &self.guard.tasks {
            task.abort();
        }
        let db = lock(&self.shared.db);
        let kept = self
            .shared
            .persist_all(&db)
            .and_then(|_| {
                // What is still open stays marked so: its file tells more than its row.
                rustix::fs::syncfs(std::fs::File::open(&self.shared.options.cache)?)?;
                Ok(())
            })
            .and_then(|()| {
                db.remove_leaving()?;
                Ok(db.end()?)
            });
        if let Err(fault) = kept {
            tracing::error!(%fault, "not ended in good order; the next start looks for what is left");
        }
        db.stop();
    }
}

/// Puts right what the last end has left.
fn recover(db: &Db, options: &Options) -> Result<(), Fault> {
    db.change(|db| {
        if db.node(ROOT)?.is_none() {
            let mut root = Node::new(0o040_755, options.uid, options.gid, now_ns());
            root.ino = ROOT;
            root.attributes_dirty = 0;
            root.complete = false;
            db.insert(&root)?;
        }
        for node in db.changed_nodes()? {
            if node.content == Content::Open {
                recover_open(db, options, node)?;
            } else {
                db.mark_all(node.ino, 0)?;
            }
        }
        for ino in db.nameless()? {
            if let Some(node) = db.node(ino)? {
                db.remove_node(ino)?;
                db.remove_content(&node);
            }
        }
        if db.unclean && db.rebooted {
            // Rows are written in order; bytes are not: what can be had again is had again.
            for node in db.with_content()? {
                distrust(db, node)?;
            }
        }
        Ok(())
    })?;
    if db.unclean {
        db.sweep()?;
    }
    Ok(())
}

/// A file that was being written, perhaps by the kernel alone, perhaps after the mount's death.
fn recover_open(db: &Db, options: &Options, mut node: Node) -> Result<(), Fault> {
    let file = open_file(&options.cache, node.ino, node.generation)?;
    let (found, mtime, _) = fingerprint(&file)?;
    let mtime = i64::try_from(mtime).unwrap_or(node.mtime);
    let size = found.min(longest(&node));
    if size < found {
        file.set_len(size)?;
    }
    let mut dirty = Blocks(node.dirty.clone());
    let untouched = dirty.is_empty() && size == node.size && mtime == node.mtime;
    if untouched && size == node.base_size {
        node.content = Content::Clean;
    } else {
        let mut present = Blocks(node.present.clone());
        if dirty.is_empty() && present.is_all() {
            // The kernel says of no write where it was, also of one that made the file longer.
            dirty = Blocks::ALL;
        }
        if size > node.size {
            // Growth is written in marked blocks, or by the kernel, which has the file whole.
            let grown = crate::cache::touched(&(node.size..size));
            dirty.add(grown.clone());
            present.add(grown);
        }
        node.content = Content::Dirty;
        // The row says when it was cut.
        node.mtime = if size < found { node.mtime } else { mtime };
        node.size = size;
        node.version += 1;
        node.dirty = dirty.0;
        node.present = present.0;
    }
    db.save(&node)?;
    db.mark_all(node.ino, now_ms())?;
    Ok(())
}

/// So long a file can have become that was this long in its row: a file that is not whole here grows in
/// marked blocks only. What is longer was to be cut.
fn longest(node: &Node) -> u64 {
    if node.present.is_none() {
        return u64::MAX;
    }
    Blocks(node.dirty.clone()).end().max(node.size)
}

/// After the machine went down: of a clean file nothing is believed, of a changed one what was changed.
fn distrust(db: &Db, mut node: Node) -> Result<(), Fault> {
    if node.etag.is_none() || node.size == 0 {
        return Ok(());
    }
    if node.content == Content::Clean {
        db.remove_content(&node);
        node.generation += 1;
        node.present = Blocks::none().0;
        node.cached = 0;
    } else if node.dirty.is_some() {
        node.present.clone_from(&node.dirty);
    }
    Ok(db.save(&node)?)
}
