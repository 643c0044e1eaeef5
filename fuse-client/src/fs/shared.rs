//! What all clones of a mount and its tasks share.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::io::Errno;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::kept::Kept;
use super::known::Known;
use super::{Course, Handle, Ino, Invalidation, Options};
use crate::cache::Open;
use crate::clock::now_ms;
use crate::drive::{self, Capabilities, Drive, Error};
use crate::errno::Fault;
use crate::state::{Db, Node};
use crate::sync::{Burst, FirstReport, Flight, Unheard};

/// A lock; that somebody panicked while holding it is that thread's trouble.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a handle stands for.
#[derive(Clone)]
pub(crate) enum Held {
    File {
        open: Arc<Open>,
        read: bool,
        write: bool,
        append: bool,
    },
    Folder(Ino),
}

/// Space of the drive as last told, less what was written since.
#[derive(Default)]
pub(crate) struct SpaceLeft {
    pub(crate) total: u64,
    pub(crate) left: Option<u64>,
}

/// Locks are taken in the order of the fields.
pub(crate) struct Shared<D> {
    pub(crate) drive: D,
    pub(crate) can: Capabilities,
    pub(crate) options: Options,
    pub(crate) db: Mutex<Db>,
    pub(crate) open: Mutex<HashMap<Ino, Weak<Open>>>,
    pub(crate) handles: Mutex<HashMap<u64, Held>>,
    pub(crate) next_handle: AtomicU64,
    /// Nodes the kernel has pages of from before it wrote to them by itself.
    pub(crate) stale_pages: Mutex<HashSet<Ino>>,
    pub(crate) known: Mutex<Known>,
    pub(crate) flight: Mutex<Flight>,
    pub(crate) unheard: Mutex<Unheard>,
    pub(crate) space: Mutex<SpaceLeft>,
    /// Bytes of content kept.
    pub(crate) cached: AtomicU64,
    /// The kernel can read and write local files by itself.
    pub(crate) passthrough: AtomicBool,
    /// The server answers.
    pub(crate) online: AtomicBool,
    pub(crate) failures: AtomicU32,
    /// Changes are told, and all told so far are known here.
    pub(crate) live: AtomicBool,
    /// Changes are told, though not all told may be known here yet.
    pub(crate) told_live: AtomicBool,
    /// What has changed is to be asked for without being told.
    pub(crate) asked: AtomicBool,
    pub(crate) pulling: AtomicBool,
    pub(crate) first_report: FirstReport,
    /// So often in a row it was asked in vain what has changed.
    pub(crate) pull_failures: AtomicU32,
    pub(crate) last_error: Mutex<Option<String>>,
    pub(crate) conflicts: Mutex<Vec<String>>,
    pub(crate) uploading: Mutex<HashMap<Ino, Course>>,
    /// There is something to send.
    pub(crate) push: Notify,
    /// When it is looked for in any case, in ms; changed while the state is locked. The least number:
    /// nobody is to be woken for anything; the greatest: for everything.
    pub(crate) push_at: AtomicI64,
    pub(crate) burst: Burst,
    /// There is something to ask for.
    pub(crate) pull: Notify,
    /// There are doubts whether the server answers, or none any more.
    pub(crate) net: Notify,
    /// Counts what the tasks have done.
    pub(crate) progress: watch::Sender<u64>,
    pub(crate) downloads: Semaphore,
    pub(crate) listing: tokio::sync::Mutex<()>,
    pub(crate) kept: Kept,
    pub(crate) tell: mpsc::UnboundedSender<Invalidation>,
    pub(crate) told: Mutex<Option<mpsc::UnboundedReceiver<Invalidation>>>,
}

impl<D: Drive> Shared<D> {
    /// Asks the server, unless it is known to be out of reach.
    pub(crate) async fn ask<T>(
        &self,
        request: impl Future<Output = drive::Result<T>>,
    ) -> drive::Result<T> {
        if !self.online.load(Ordering::Relaxed) {
            return Err(Error::Unreachable {
                reason: "offline".to_owned(),
            });
        }
        let answer = request.await;
        match &answer {
            Err(error @ Error::Unreachable { .. }) => {
                *lock(&self.last_error) = Some(error.to_string());
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= 3 {
                    self.go_offline();
                } else {
                    self.net.notify_one();
                }
            }
            _ => self.failures.store(0, Ordering::Relaxed),
        }
        answer
    }

    pub(crate) fn go_offline(&self) {
        if self.online.swap(false, Ordering::Relaxed) {
            tracing::warn!("the server cannot be reached; working offline");
        }
        self.net.notify_one();
        self.progress.send_modify(|count| *count += 1);
    }

    /// After a change that is to be sent at `due_ms`. Most are due when there is looked for work
    /// anyway, or cannot begin before something else has ended: then nobody is woken for them.
    pub(crate) fn push_by(&self, due_ms: i64) {
        if due_ms > 0 {
            self.burst.goes_on(now_ms());
        }
        let push_at = self.push_at.load(Ordering::SeqCst);
        // The clock may have been set, or the machine have slept: who should have looked has not.
        let overdue = push_at != i64::MIN && push_at < now_ms();
        if due_ms < push_at || overdue {
            self.push.notify_one();
        }
    }

    /// A name as the server can have it.
    pub(crate) fn name(name: &OsStr) -> Result<&str, Errno> {
        let name = name.to_str().ok_or(Errno::ILSEQ)?;
        if name.len() > 255 {
            return Err(Errno::NAMETOOLONG);
        }
        if !drive::is_name(name) {
            return Err(Errno::INVAL);
        }
        Ok(name)
    }

    /// The content of a node, if it is in use.
    pub(crate) fn opened(&self, ino: Ino) -> Option<Arc<Open>> {
        lock(&self.open).get(&ino).and_then(Weak::upgrade)
    }

    /// The content of a node.
    pub(crate) fn use_content(&self, node: &Node) -> Result<Arc<Open>, Fault> {
        let mut all = lock(&self.open);
        if let Some(open) = all.get(&node.ino).and_then(Weak::upgrade) {
            return Ok(open);
        }
        if all.len() > 64 && all.len().is_power_of_two() {
            all.retain(|_, open| open.strong_count() > 0);
        }
        let open = Arc::new(Open::new(&self.options.cache, node)?);
        all.insert(node.ino, Arc::downgrade(&open));
        Ok(open)
    }

    /// A node as it is now.
    pub(crate) fn node(&self, db: &Db, ino: Ino) -> Result<Node, Fault> {
        let mut node = db.node(ino)?.ok_or(Errno::NOENT)?;
        self.overlay(&mut node);
        Ok(node)
    }

    /// What has a name, as it is now.
    pub(crate) fn entry(&self, db: &Db, parent: Ino, name: &str) -> Result<Option<Node>, Fault> {
        let mut node = db.entry_node(parent, name)?;
        if let Some(node) = &mut node {
            self.overlay(node);
        }
        Ok(node)
    }

    pub(super) fn overlay(&self, node: &mut Node) {
        if node.is_file()
            && let Some(open) = self.opened(node.ino)
        {
            open.overlay(node);
        }
    }

    pub(crate) fn hold(&self, held: Held) -> Handle {
        let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
        lock(&self.handles).insert(handle, held);
        Handle(handle)
    }

    pub(crate) fn held(&self, handle: Handle) -> Result<Held, Errno> {
        lock(&self.handles)
            .get(&handle.0)
            .cloned()
            .ok_or(Errno::BADF)
    }

    /// Tells the kernel what not to believe any longer.
    pub(crate) fn invalidate(&self, invalidation: Invalidation) {
        self.kept.changed(&invalidation);
        // Nobody listens in tests and before the kernel is there: then nothing was believed.
        let _ = self.tell.send(invalidation);
    }

    pub(crate) fn invalidate_entry(&self, parent: Ino, name: &str) {
        self.invalidate(Invalidation::Entry {
            parent,
            name: name.into(),
        });
    }

    /// The names in a folder: whoever has it open, and reads it once more, is to be told them anew.
    pub(crate) fn invalidate_names(&self, folder: Ino) {
        self.invalidate_content(folder);
    }

    pub(crate) fn invalidate_content(&self, ino: Ino) {
        self.invalidate(Invalidation::Inode {
            ino,
            offset: 0,
            length: 0,
        });
    }

    pub(crate) fn invalidate_attributes(&self, ino: Ino) {
        self.invalidate(Invalidation::Inode {
            ino,
            offset: -1,
            length: 0,
        });
    }

    /// Whether attributes can be kept on the server at all.
    pub(crate) fn keeps_attributes(&self) -> bool {
        self.can.properties || self.can.attributes_with_content
    }

    /// Removes what has no name on either side, is not in use, and is not known to the kernel.
    pub(crate) fn collect(&self, db: &Db, ino: Ino) -> Result<(), Fault> {
        if !db.entries_of(ino)?.is_empty() || !db.synced_of(ino)?.is_empty() {
            return Ok(());
        }
        if let Some(open) = self.opened(ino) {
            open.unlinked.store(true, Ordering::SeqCst);
            if lock(&open.inner).handles > 0 {
                return Ok(());
            }
        }
        if self.spare(db, ino)? {
            return Ok(());
        }
        if let Some(node) = db.node(ino)? {
            db.remove_node(ino)?;
            if node.is_file() {
                self.give_back(node.cached);
                db.remove_content(&node);
            }
        }
        Ok(())
    }
}
