//! Names: looking them up, making, removing and renaming.

use std::ffi::OsStr;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::shared::{Shared, lock};
use super::{Caller, Fs, Ino, ROOT, RenameFlags, Stat};
use crate::cache::remove_file;
use crate::clock::{now_ms, now_ns};
use crate::drive::{Drive, Error};
use crate::errno::Fault;
use crate::state::{AGAIN, Content, Db, Node};

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_ISGID: u32 = 0o2_000;
/// Where Coffer shows what others share.
const SHARED: &str = "Shared with me";

impl<D: Drive> Shared<D> {
    /// Makes sure that it is known what is in a folder, asking the server where need be.
    pub(crate) async fn know_folder(&self, ino: Ino) -> Result<(), Fault> {
        if self.folder_is_known(ino)? {
            return Ok(());
        }
        self.first_report.wait().await;
        let listed = self.at_its_path(async || {
            // Held for one question, and not while a folder moves: others are listed meanwhile.
            let _one = self.listing.lock().await;
            if self.folder_is_known(ino)? {
                return Ok(());
            }
            self.list_once(ino).await
        });
        match listed.await {
            // What is here is as good as it gets.
            Err(Fault::Drive(Error::Unreachable { .. } | Error::Busy { .. }))
                if lock(&self.db)
                    .node(ino)?
                    .is_some_and(|folder| folder.complete) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    fn folder_is_known(&self, ino: Ino) -> Result<bool, Fault> {
        let db = lock(&self.db);
        let node = db.node(ino)?.ok_or(Errno::NOENT)?;
        if !node.is_folder() {
            return Err(Errno::NOTDIR.into());
        }
        Ok(self.is_believed(&node) || (ino != ROOT && db.synced_of(ino)?.is_empty()))
    }

    /// Whether what is known of the names in a folder is fresh enough.
    fn is_believed(&self, folder: &Node) -> bool {
        let ttl = i64::try_from(self.options.folder_ttl.as_millis()).unwrap_or(i64::MAX);
        let is_fresh = || {
            folder.listed_at != AGAIN
                && (self.live.load(Ordering::Relaxed)
                    || now_ms().saturating_sub(folder.listed_at) < ttl)
        };
        folder.complete && (!self.online.load(Ordering::Relaxed) || is_fresh())
    }

    /// As [`Self::know_folder`], but one name that is there already is enough while changes are told.
    async fn know_name(&self, parent: Ino, name: &str) -> Result<(), Fault> {
        if self.live.load(Ordering::Relaxed) {
            let db = lock(&self.db);
            if db.entry(parent, name)?.is_some() {
                return Ok(());
            }
        }
        self.know_folder(parent).await
    }

    /// The folder something is to be made in.
    fn parent(&self, db: &Db, parent: Ino) -> Result<Node, Fault> {
        let node = self.node(db, parent)?;
        if !node.is_folder() {
            return Err(Errno::NOTDIR.into());
        }
        if parent != ROOT && db.entries_of(parent)?.is_empty() {
            return Err(Errno::NOENT.into());
        }
        Ok(node)
    }

    /// Makes a node and its name in one change. `prepare` may add to the node.
    pub(crate) async fn make(
        &self,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        prepare: impl FnOnce(&mut Node),
        due_ms: i64,
    ) -> Result<Node, Fault> {
        let name = Self::name(name)?;
        self.know_name(parent, name).await?;
        let db = lock(&self.db);
        let now = now_ns();
        db.change(|db| {
            let mut folder = self.parent(db, parent)?;
            if db.entry(parent, name)?.is_some() {
                return Err(Errno::EXIST.into());
            }
            let mut node = Node::new(mode, caller.uid, caller.gid, now);
            if folder.mode & S_ISGID != 0 {
                node.gid = folder.gid;
                if node.is_folder() {
                    node.mode |= S_ISGID;
                }
            }
            prepare(&mut node);
            node.ino = db.insert(&node)?;
            if node.is_file() {
                // A power cut may have taken the rows of whom the number was given to before.
                remove_file(&self.options.cache, node.ino, node.generation);
            }
            db.add_entry(parent, name, node.ino)?;
            if node.is_folder() {
                folder.nlink += 1;
            }
            touch_folder(db, &mut folder, now)?;
            db.mark_name(parent, name, due_ms)?;
            Ok(node)
        })
        .inspect(|node| {
            self.remember(node.ino);
            self.push_by(due_ms);
        })
    }

    /// Takes a name from a node, in a change.
    fn take_name(&self, db: &Db, parent: Ino, name: &str, node: &mut Node) -> Result<(), Fault> {
        db.remove_entry(parent, name)?;
        node.nlink = node
            .nlink
            .saturating_sub(if node.is_folder() { 2 } else { 1 });
        node.ctime = now_ns();
        db.save(node)?;
        if db.entries_of(node.ino)?.is_empty() {
            if let Some(open) = self.opened(node.ino) {
                open.unlinked.store(true, Ordering::SeqCst);
            }
            if lock(&self.uploading).contains_key(&node.ino) {
                // It is not wanted any more.
                self.push.notify_one();
            }
            self.collect(db, node.ino)?;
        }
        Ok(())
    }

    async fn take(&self, parent: Ino, name: &OsStr, folder: bool) -> Result<(), Fault> {
        let name = Self::name(name)?;
        self.know_name(parent, name).await?;
        let target = {
            let db = lock(&self.db);
            let node = self.entry(&db, parent, name)?.ok_or(Errno::NOENT)?;
            match (folder, node.is_folder()) {
                (true, false) => return Err(Errno::NOTDIR.into()),
                (false, true) => return Err(Errno::ISDIR.into()),
                _ => node.ino,
            }
        };
        if folder {
            self.know_folder(target).await?;
        }
        // At once, but one of many comes after the last of them.
        let due_ms = now_ms();
        let db = lock(&self.db);
        db.change(|db| {
            let mut node = self.entry(db, parent, name)?.ok_or(Errno::NOENT)?;
            if node.ino != target {
                return Err(Errno::AGAIN.into());
            }
            if folder && db.has_entries(node.ino)? {
                return Err(Errno::NOTEMPTY.into());
            }
            self.take_name(db, parent, name, &mut node)?;
            let mut above = self.node(db, parent)?;
            if folder {
                above.nlink = above.nlink.saturating_sub(1);
            }
            touch_folder(db, &mut above, now_ns())?;
            db.mark_name(parent, name, due_ms)?;
            Ok(())
        })?;
        self.uncovered(&db, parent)?;
        self.push_by(due_ms);
        Ok(())
    }

    /// A name has become free, and another's may have been behind it: that is asked for.
    fn uncovered(&self, db: &Db, folder: Ino) -> Result<(), Fault> {
        if db
            .node(folder)?
            .is_some_and(|folder| folder.listed_at == AGAIN)
        {
            lock(&self.flight).relist.insert(folder);
            self.pull.notify_one();
        }
        Ok(())
    }
}

/// A folder's times, after a change of what is in it.
fn touch_folder(db: &Db, folder: &mut Node, now: i64) -> Result<(), Fault> {
    folder.mtime = now;
    folder.ctime = now;
    Ok(db.save_folder(folder)?)
}

/// With the caller's mask; of the bits below the type.
fn masked(kind: u32, mode: u32, umask: u32) -> u32 {
    kind | (mode & 0o7777 & !(umask & 0o777))
}

impl<D: Drive> Fs<D> {
    /// What has a name.
    ///
    /// # Errors
    /// As `stat`.
    pub async fn lookup(&self, parent: Ino, name: &OsStr) -> Result<Stat, Errno> {
        let shared = &self.shared;
        let name = Shared::<D>::name(name)?;
        if shared.live.load(Ordering::Relaxed) {
            let db = lock(&shared.db);
            if let Some(node) = shared.entry(&db, parent, name)? {
                shared.remember(node.ino);
                return Ok(node.stat());
            }
        }
        let known = shared.know_folder(parent).await;
        let db = lock(&shared.db);
        match (shared.entry(&db, parent, name)?, known) {
            (Some(node), _) => {
                shared.remember(node.ino);
                Ok(node.stat())
            }
            (None, Err(fault)) => Err(fault.errno()),
            (None, Ok(())) => Err(Errno::NOENT),
        }
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// As `mkdir`.
    pub async fn make_folder(
        &self,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        umask: u32,
    ) -> Result<Stat, Errno> {
        let mode = masked(S_IFDIR, mode & 0o1777, umask);
        let node = self
            .shared
            .make(caller, parent, name, mode, |_| (), 0)
            .await?;
        Ok(node.stat())
    }

    /// Makes a file, fifo, device or socket.
    ///
    /// # Errors
    /// As `mknod`; `EPERM` where the server cannot keep what it is.
    pub async fn make_node(
        &self,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u64,
    ) -> Result<Stat, Errno> {
        let kind = match mode & S_IFMT {
            0 => 0o100_000,
            S_IFDIR | 0o120_000 => return Err(Errno::INVAL),
            kind => kind,
        };
        let file = kind == 0o100_000;
        if !file && !self.shared.keeps_attributes() {
            return Err(Errno::PERM);
        }
        let prepare = |node: &mut Node| {
            node.rdev = rdev;
            if file {
                node.content = Content::Dirty;
                node.dirty = None;
            }
        };
        let mode = masked(kind, mode, umask);
        let node = self
            .shared
            .make(caller, parent, name, mode, prepare, 0)
            .await?;
        Ok(node.stat())
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// As `symlink`; `EPERM` where the server cannot keep it.
    pub async fn symlink(
        &self,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        target: &[u8],
    ) -> Result<Stat, Errno> {
        if !self.shared.keeps_attributes() {
            return Err(Errno::PERM);
        }
        if target.is_empty() {
            return Err(Errno::NOENT);
        }
        if target.len() > 4095 {
            return Err(Errno::NAMETOOLONG);
        }
        let prepare = |node: &mut Node| node.target = Some(target.to_vec());
        let node = self
            .shared
            .make(caller, parent, name, 0o120_777, prepare, 0)
            .await?;
        Ok(node.stat())
    }

    /// Gives a node one more name.
    ///
    /// # Errors
    /// As `link`; `EPERM` for folders, where the server cannot, and in what others share.
    pub async fn link(&self, ino: Ino, parent: Ino, name: &OsStr) -> Result<Stat, Errno> {
        let shared = &self.shared;
        let name = Shared::<D>::name(name)?;
        shared.know_name(parent, name).await?;
        let db = lock(&shared.db);
        let now = now_ns();
        let node = db.change(|db| {
            let mut node = shared.node(db, ino)?;
            if node.is_folder() || !shared.can.bind {
                return Err(Errno::PERM.into());
            }
            let mut folder = shared.parent(db, parent)?;
            if db.entry(parent, name)?.is_some() {
                return Err(Errno::EXIST.into());
            }
            if db.entries_of(ino)?.is_empty() {
                return Err(Errno::NOENT.into());
            }
            if is_shared(db, ino)? || is_shared(db, parent)? {
                return Err(Errno::PERM.into());
            }
            node.nlink += 1;
            node.ctime = now;
            db.save(&node)?;
            db.add_entry(parent, name, ino)?;
            touch_folder(db, &mut folder, now)?;
            db.mark_name(parent, name, 0)?;
            Ok(node)
        })?;
        shared.remember(ino);
        shared.push_by(0);
        Ok(node.stat())
    }

    /// Removes a name of what is not a folder.
    ///
    /// # Errors
    /// As `unlink`.
    pub async fn unlink(&self, parent: Ino, name: &OsStr) -> Result<(), Errno> {
        Ok(self.shared.take(parent, name, false).await?)
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// As `rmdir`.
    pub async fn remove_folder(&self, parent: Ino, name: &OsStr) -> Result<(), Errno> {
        Ok(self.shared.take(parent, name, true).await?)
    }

    /// Renames.
    ///
    /// # Errors
    /// As `renameat2`.
    pub async fn rename(
        &self,
        parent: Ino,
        name: &OsStr,
        new_parent: Ino,
        new_name: &OsStr,
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let shared = &self.shared;
        let name = Shared::<D>::name(name)?;
        let new_name = Shared::<D>::name(new_name)?;
        if flags.no_replace && flags.exchange {
            return Err(Errno::INVAL);
        }
        shared.know_name(parent, name).await?;
        shared.know_name(new_parent, new_name).await?;
        let replaced = {
            let db = lock(&shared.db);
            shared.entry(&db, new_parent, new_name)?
        };
        if let Some(folder) = replaced.filter(|node| node.is_folder() && !flags.exchange) {
            shared.know_folder(folder.ino).await?;
        }
        let from = (parent, name);
        let to = (new_parent, new_name);
        let db = lock(&shared.db);
        db.change(|db| {
            if flags.exchange {
                shared.exchange(db, from, to)
            } else {
                shared.move_entry(db, from, to, flags.no_replace)
            }
        })?;
        shared.uncovered(&db, parent)?;
        shared.push_by(0);
        Ok(())
    }
}

impl<D: Drive> Shared<D> {
    fn move_entry(
        &self,
        db: &Db,
        from: (Ino, &str),
        to: (Ino, &str),
        no_replace: bool,
    ) -> Result<(), Fault> {
        let mut node = self.entry(db, from.0, from.1)?.ok_or(Errno::NOENT)?;
        self.parent(db, to.0)?;
        let target = self.entry(db, to.0, to.1)?;
        if target.is_some() && no_replace {
            return Err(Errno::EXIST.into());
        }
        if node.is_folder() {
            refuse_descent(db, node.ino, to.0)?;
        }
        let now = now_ns();
        if let Some(mut target) = target {
            if target.ino == node.ino {
                return Ok(());
            }
            match (node.is_folder(), target.is_folder()) {
                (true, false) => return Err(Errno::NOTDIR.into()),
                (false, true) => return Err(Errno::ISDIR.into()),
                (true, true) if db.has_entries(target.ino)? => return Err(Errno::NOTEMPTY.into()),
                _ => {}
            }
            self.take_name(db, to.0, to.1, &mut target)?;
            if target.is_folder() {
                self.count_folders(db, to.0, -1)?;
            }
        }
        db.remove_entry(from.0, from.1)?;
        db.add_entry(to.0, to.1, node.ino)?;
        node.ctime = now;
        db.save(&node)?;
        if node.is_folder() && from.0 != to.0 {
            // `..` is another.
            self.kept.forget(node.ino);
            self.count_folders(db, from.0, -1)?;
            self.count_folders(db, to.0, 1)?;
        }
        for parent in [from.0, to.0] {
            touch_folder(db, &mut self.node(db, parent)?, now)?;
        }
        db.mark_name(from.0, from.1, 0)?;
        // What is still to be sent waits no longer, unless it is still being written: its name has
        // become the one that counts.
        let writing = node.content == Content::Open && db.synced_of(node.ino)?.is_empty();
        db.mark_name(to.0, to.1, if writing { self.late() } else { 0 })?;
        Ok(())
    }

    fn exchange(&self, db: &Db, from: (Ino, &str), to: (Ino, &str)) -> Result<(), Fault> {
        let mut one = self.entry(db, from.0, from.1)?.ok_or(Errno::NOENT)?;
        let mut other = self.entry(db, to.0, to.1)?.ok_or(Errno::NOENT)?;
        if one.ino == other.ino {
            return Ok(());
        }
        if one.is_folder() {
            refuse_descent(db, one.ino, to.0)?;
        }
        if other.is_folder() {
            refuse_descent(db, other.ino, from.0)?;
        }
        db.remove_entry(from.0, from.1)?;
        db.remove_entry(to.0, to.1)?;
        db.add_entry(from.0, from.1, other.ino)?;
        db.add_entry(to.0, to.1, one.ino)?;
        let now = now_ns();
        for node in [&mut one, &mut other] {
            node.ctime = now;
            db.save(node)?;
        }
        if from.0 != to.0 {
            self.kept.forget(one.ino);
            self.kept.forget(other.ino);
        }
        if from.0 != to.0 && one.is_folder() != other.is_folder() {
            let by = if one.is_folder() { 1 } else { -1 };
            self.count_folders(db, to.0, by)?;
            self.count_folders(db, from.0, -by)?;
        }
        for parent in [from.0, to.0] {
            touch_folder(db, &mut self.node(db, parent)?, now)?;
        }
        db.mark_name(from.0, from.1, 0)?;
        db.mark_name(to.0, to.1, 0)?;
        Ok(())
    }

    /// A folder has gained or lost a folder in it.
    pub(crate) fn count_folders(&self, db: &Db, ino: Ino, by: i32) -> Result<(), Fault> {
        let mut node = self.node(db, ino)?;
        node.nlink = node.nlink.saturating_add_signed(by);
        Ok(db.save_folder(&node)?)
    }
}

/// Whether something lies in what others share: files there get their names from their owners.
fn is_shared(db: &Db, ino: Ino) -> Result<bool, Fault> {
    let path = db.local_path(ino)?;
    Ok(path.is_some_and(|path| path.names().first().is_some_and(|name| name == SHARED)))
}

/// `EINVAL` when a folder would come to lie in itself.
fn refuse_descent(db: &Db, folder: Ino, into: Ino) -> Result<(), Fault> {
    if db.lies_in(into, folder)? {
        return Err(Errno::INVAL.into());
    }
    Ok(())
}
