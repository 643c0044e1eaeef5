//! Waiting for the server, and telling how far things are.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;

use super::shared::{Held, Shared, lock};
use super::{Blocked, BlockedItem, Course, Fs, Fsync, Handle, Ino, Status};
use crate::drive::{Drive, DrivePath};
use crate::errno::Fault;
use crate::state::{Db, Work};

/// Without any progress for this long, whoever waits for the server is told so.
const PATIENCE: Duration = Duration::from_secs(30);

/// After so many failures in a row nobody waits for what others did.
const TRIES: u32 = 3;

/// What somebody waits for.
#[derive(Clone, Copy)]
enum Goal {
    /// This version of a file's content, and its names.
    File(Ino, i64),
    /// The names in a folder.
    Folder(Ino),
}

impl<D: Drive> Shared<D> {
    /// Waits until the server has something, for as long as anything moves.
    async fn wait_for(&self, goal: Goal) -> Result<(), Fault> {
        let mut progress = self.progress.subscribe();
        let mut hurried = HashSet::new();
        loop {
            let work = {
                let db = lock(&self.db);
                let mut work = left(&db, goal)?;
                // An old failure says nothing about now.
                if let Some(work) = &mut work
                    && hurried.insert((work.parent, work.name.clone()))
                {
                    db.change(|db| Ok(db.try_again(work.parent, &work.name)?))?;
                    *work = db.work(work.parent, &work.name)?.unwrap_or(work.clone());
                }
                work
            };
            let Some(work) = work else { return Ok(()) };
            match work.blocked.as_deref() {
                None => {}
                Some("quota") => return Err(Errno::DQUOT.into()),
                Some("login" | "permission") => return Err(Errno::ACCESS.into()),
                Some("busy" | "unreachable") => return Err(Errno::TIMEDOUT.into()),
                Some("locked") => return Err(Errno::BUSY.into()),
                Some(_) => return Err(Errno::IO.into()),
            }
            if !self.online.load(Ordering::Relaxed) {
                // The journal has it; that is what was promised for then.
                return match self.options.fsync {
                    Fsync::Strict => Err(Errno::NETUNREACH.into()),
                    Fsync::Wait | Fsync::Local => Ok(()),
                };
            }
            {
                let db = lock(&self.db);
                db.change(|db| Ok(hurry(db, &work)?))?;
            }
            self.push.notify_one();
            let moved = tokio::time::timeout(PATIENCE, progress.changed()).await;
            let uploading = !lock(&self.uploading).is_empty();
            if moved.is_err() && !uploading {
                return Err(Errno::TIMEDOUT.into());
            }
        }
    }

    /// Waits until the server has something, and this disk: it may be all there is, should the server
    /// go out of reach meanwhile.
    async fn wait_for_both(
        &self,
        durable: impl Future<Output = Result<(), Fault>>,
        goal: Goal,
    ) -> Result<(), Fault> {
        let sent = self.wait_for(goal);
        tokio::pin!(durable, sent);
        tokio::select! {
            kept = &mut durable => {
                // What this disk did not take need not be waited for.
                kept?;
                sent.await
            }
            sent = &mut sent => durable.await.and(sent),
        }
    }

    /// Until what there was to send at the beginning is sent, or only what cannot be sent for now is
    /// left; the latter.
    async fn drain(&self, pulls: bool) -> Result<Vec<BlockedItem>, Fault> {
        let mut progress = self.progress.subscribe();
        self.try_to_come_back().await;
        let written = {
            let db = lock(&self.db);
            let written = self.persist_all(&db)?;
            db.change(|db| Ok(db.all_due(None)?))?;
            lock(&self.unheard).hurry();
            written
        };
        let mut quiet = true;
        loop {
            {
                let db = lock(&self.db);
                let (names, nodes, stuck) = db.count_work()?;
                let pending = (names + nodes).saturating_sub(stuck + arrived(&db, &written)?);
                let online = self.online.load(Ordering::Relaxed);
                let pulling = pulls && online && self.is_pulling();
                let unheard = Self::unwanted(&db)?;
                let unheard = {
                    let told = lock(&self.unheard);
                    unheard.iter().any(|sending| told.tired(sending).is_none())
                };
                if !online || (pending == 0 && !pulling && !unheard) {
                    let mut items = self.blocked(&db)?;
                    if !online && pending > 0 {
                        items.push(BlockedItem {
                            path: "/".to_owned(),
                            reason: "offline".to_owned(),
                        });
                    }
                    return Ok(items);
                }
                if quiet {
                    db.change(|db| Ok(db.resting_due()?))?;
                }
            }
            self.push.notify_one();
            if quiet {
                self.pull.notify_one();
            }
            // Work that was put off becomes due without anybody telling. Whatever has moved needs no
            // push: two that push each other would never rest.
            let moved = tokio::time::timeout(Duration::from_millis(500), progress.changed());
            quiet = moved.await.is_err();
        }
    }

    /// Paths and reasons of what cannot be sent for now.
    fn blocked(&self, db: &Db) -> Result<Vec<BlockedItem>, Fault> {
        let mut items = Vec::new();
        for work in db.blocked_work()? {
            let path = match work.node() {
                Some(ino) => db.local_path(ino)?,
                None => local_name(db, work.parent, &work.name)?,
            };
            items.push(BlockedItem {
                path: path.map_or(work.name, |path| path.to_string()),
                reason: work.blocked.or(work.error).unwrap_or_default(),
            });
        }
        for sending in Self::unwanted(db)? {
            let reason = lock(&self.unheard).tired(&sending).map(str::to_owned);
            if let Some(reason) = reason {
                let path = local_name(db, sending.parent, &sending.name)?;
                items.push(BlockedItem {
                    path: path.map_or(sending.name, |path| path.to_string()),
                    reason,
                });
            }
        }
        Ok(items)
    }

    /// Whether what others did is being asked for, or will be soon. When that fails again and again,
    /// nobody waits for it.
    fn is_pulling(&self) -> bool {
        let failures = self.pull_failures.load(Ordering::SeqCst);
        failures < TRIES
            && (failures > 0
                || self.pulling.load(Ordering::SeqCst)
                || (self.can.changes && self.asked.load(Ordering::SeqCst))
                || !lock(&self.flight).relist.is_empty())
    }

    /// Puts a content and then every change so far on the disk. Nothing is locked meanwhile, and no
    /// thread of the runtime waits for the disk.
    async fn make_durable(&self, content: Option<Arc<File>>) -> Result<(), Fault> {
        let log = lock(&self.db).log()?;
        let synced = tokio::task::spawn_blocking(move || {
            content.map_or(Ok(()), |content| content.sync_data())?;
            log.map_or(Ok(()), |log| log.sync_data())
        });
        let synced = synced.await.map_err(std::io::Error::other)?;
        Ok(synced?)
    }

    /// What is open is put into the rows, to be sent as it is now; versions of what is being written.
    pub(crate) fn persist_all(&self, db: &Db) -> Result<Vec<(Ino, i64)>, Fault> {
        let open: Vec<_> = lock(&self.open)
            .values()
            .filter_map(std::sync::Weak::upgrade)
            .collect();
        let mut written = Vec::new();
        for open in open {
            self.persist(db, &open, None)?;
            let inner = lock(&open.inner);
            if inner.writers > 0 {
                written.push((open.ino, inner.version));
            }
        }
        Ok(written)
    }
}

impl<D: Drive> Fs<D> {
    /// Waits until content, size and name are safe ([`Fsync`]).
    ///
    /// # Errors
    /// As `fsync`; `ETIMEDOUT` when nothing has moved for long: the data stays here and is sent later.
    pub async fn fsync(&self, handle: Handle) -> Result<(), Errno> {
        let shared = &self.shared;
        let Held::File { open, .. } = shared.held(handle)? else {
            return Err(Errno::BADF);
        };
        let (file, version) = {
            let db = lock(&shared.db);
            let (changed, file) = {
                let mut inner = lock(&open.inner);
                inner.look();
                let changed = inner.content != crate::state::Content::Clean || inner.changed;
                (changed, Arc::clone(&inner.file))
            };
            shared.persist(&db, &open, changed.then_some(0))?;
            let version = lock(&open.inner).version;
            (file, version)
        };
        let durable = shared.make_durable(Some(file));
        if shared.options.fsync == Fsync::Local || open.unlinked.load(Ordering::SeqCst) {
            durable.await?;
            shared.push.notify_one();
            return Ok(());
        }
        Ok(shared
            .wait_for_both(durable, Goal::File(open.ino, version))
            .await?)
    }

    /// Waits until the names in a folder are safe.
    ///
    /// # Errors
    /// As [`Self::fsync`].
    pub async fn fsync_folder(&self, ino: Ino) -> Result<(), Errno> {
        let shared = &self.shared;
        {
            let db = lock(&shared.db);
            db.change(|db| Ok(db.due_in(ino)?))?;
        }
        shared.push.notify_one();
        let durable = shared.make_durable(None);
        if shared.options.fsync == Fsync::Local {
            return Ok(durable.await?);
        }
        Ok(shared.wait_for_both(durable, Goal::Folder(ino)).await?)
    }

    /// Sends everything; until nothing is left, or only what cannot be sent for now.
    ///
    /// # Errors
    /// What is left.
    pub async fn flush_all(&self) -> Result<(), Blocked> {
        let items = self.shared.drain(false).await.unwrap_or_else(|fault| {
            vec![BlockedItem {
                path: "/".to_owned(),
                reason: fault.to_string(),
            }]
        });
        if items.is_empty() {
            Ok(())
        } else {
            Err(Blocked { items })
        }
    }

    /// Waits until there is nothing to be done, on either side.
    pub async fn settle(&self) {
        self.shared.pull_failures.store(0, Ordering::SeqCst);
        self.shared.asked.store(true, Ordering::SeqCst);
        if let Err(fault) = self.shared.drain(true).await {
            tracing::warn!(%fault, "not settled");
        }
    }

    /// State of the mount.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let mut status = Status {
            online: shared.online.load(Ordering::Relaxed),
            notices: shared.live.load(Ordering::Relaxed),
            cache_max_bytes: shared.options.max_bytes,
            ..Status::default()
        };
        {
            let db = lock(&shared.db);
            if let Ok((names, nodes, _)) = db.count_work() {
                status.pending_names = names;
                status.pending_files = nodes;
            }
            if let Ok((cached, unsent, _)) = db.totals() {
                status.cache_bytes = cached;
                status.pending_bytes = unsent;
            }
            status.blocked = shared.blocked(&db).unwrap_or_default();
        }
        status.uploading = lock(&shared.uploading)
            .values()
            .map(Course::uploading)
            .collect();
        status.conflicts.clone_from(&lock(&shared.conflicts));
        status.last_error.clone_from(&lock(&shared.last_error));
        status
    }

    /// Keeps a file or folder here whatever the space (or not any longer).
    ///
    /// # Errors
    /// `ENOENT`, and what fetching the content meets.
    pub async fn pin(&self, path: &str, pinned: bool) -> Result<(), Errno> {
        let shared = &self.shared;
        let names = path.split('/').filter(|name| !name.is_empty());
        let path = DrivePath::new(names.map(str::to_owned).collect()).ok_or(Errno::INVAL)?;
        let mut at = super::ROOT;
        for name in path.names() {
            at = self.lookup(at, name.as_ref()).await?.ino;
        }
        let mut left = vec![at];
        while let Some(ino) = left.pop() {
            let node = {
                let db = lock(&shared.db);
                let mut node = shared.node(&db, ino)?;
                node.pinned = pinned;
                db.change(|db| Ok(db.save(&node)?))?;
                node
            };
            if node.is_folder() {
                shared.know_folder(ino).await?;
                let db = lock(&shared.db);
                let each = |_, _: &str, ino, _| {
                    left.push(ino);
                    false
                };
                db.each_name(ino, 0, each).map_err(|_| Errno::IO)?;
            } else if node.is_file() && pinned {
                let open = shared.open_by_number(ino)?;
                shared.hydrate_all(&open).await?;
            }
        }
        Ok(())
    }
}

/// The work that is left before a goal; `None`: it is reached.
fn left(db: &Db, goal: Goal) -> Result<Option<Work>, Fault> {
    match goal {
        Goal::Folder(ino) => Ok(db.work_in(ino)?.into_iter().next()),
        Goal::File(ino, version) => {
            let Some(node) = db.node(ino)? else {
                return Ok(None);
            };
            for (parent, name) in db.entries_of(ino)? {
                if db.synced(parent, &name)? != Some(ino) {
                    let work = db.work(parent, &name)?;
                    return Ok(Some(work.unwrap_or_else(|| Work::unknown(parent, &name))));
                }
            }
            if node.pushed >= version {
                return Ok(None);
            }
            Ok(db.work(0, &ino.to_string())?)
        }
    }
}

/// How many rows of work are about files whose version is on the server: more is written to them all
/// the time, and nobody waits for that.
fn arrived(db: &Db, written: &[(Ino, i64)]) -> Result<u64, Fault> {
    let mut count = 0;
    for (ino, version) in written {
        let waits = db
            .work(0, &ino.to_string())?
            .is_some_and(|work| work.blocked.is_none());
        if waits && db.node(*ino)?.is_some_and(|node| node.pushed >= *version) {
            count += 1;
        }
    }
    Ok(count)
}

/// Somebody waits for this, and so for the folders that it lies in.
fn hurry(db: &Db, work: &Work) -> rusqlite::Result<()> {
    db.due_at_once(work.parent, &work.name)?;
    let mut folder = work.parent;
    while folder != crate::fs::ROOT
        && let Some((parent, name)) = db.entries_of(folder)?.into_iter().next()
    {
        if db.synced(parent, &name)? != Some(folder) {
            db.due_at_once(parent, &name)?;
        }
        folder = parent;
    }
    Ok(())
}

fn local_name(db: &Db, parent: Ino, name: &str) -> Result<Option<DrivePath>, Fault> {
    Ok(db.local_path(parent)?.and_then(|path| path.join(name)))
}
