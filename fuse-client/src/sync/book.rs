//! Writing down what the server has done, and the requests that are about names only.

use rustix::io::Errno;

use super::content::{DIGEST, Job};
use super::pull;
use crate::cache::Blocks;
use crate::drive::{Condition, Drive, DrivePath, Error, Listed, Stored};
use crate::errno::Fault;
use crate::fs::Ino;
use crate::fs::shared::{Shared, lock};
use crate::state::{self, AGAIN, ATTRIBUTES, Content, Db, Name, Node, Sending, XATTRS};

/// What the server has of a node now.
pub(super) struct Sent {
    /// The name it is new under.
    pub(super) at: Option<Name>,
    pub(super) replaces: Option<Ino>,
    pub(super) stored: Stored,
}

impl<D: Drive> Shared<D> {
    /// Content has arrived.
    pub(super) fn book_sent(&self, job: &Job, sent: &Sent) -> Result<(), Fault> {
        let ino = job.node.ino;
        let db = lock(&self.db);
        db.change(|db| {
            let replaced = sent.replaces.map(|old| db.node(old)).transpose()?.flatten();
            let is_there = db.node(ino)?.is_some();
            let mut node = self.still(db, &job.node)?;
            let open = self.opened(ino).filter(|_| is_there && node.is_file());
            // Whoever writes waits until it is said what the server has: it would not be sent.
            let mut inner = open.as_ref().map(|open| lock(&open.inner));
            if let Some(inner) = &mut inner {
                inner.overlay(&mut node);
            }
            node.etag = sent.stored.etag.as_ref().map(|etag| etag.0.clone());
            let id = sent.stored.id.as_ref().map(|id| id.0.clone());
            let inherited = || replaced.as_ref().and_then(|old| old.remote_id.clone());
            node.remote_id = id.or_else(inherited).or(node.remote_id);
            node.base_size = job.node.size;
            node.sha256.clone_from(&job.sha256);
            node.sent_sha256 = None;
            node.pushed = job.node.version;
            let same = node.version == job.node.version;
            if same {
                node.content = Content::Clean;
                node.dirty = Blocks::none().0;
            }
            let carried = self.can.attributes_with_content || !self.can.properties;
            if carried && node.attribute_version == job.node.attribute_version {
                node.attributes_dirty &= !ATTRIBUTES;
            }
            if let Some(old) = &replaced
                && old.xattrs.is_some()
            {
                // The server has kept those of what was replaced.
                node.attributes_dirty |= XATTRS;
            }
            if !self.keeps_attributes() {
                node.attributes_dirty = 0;
            }
            if let Some(inner) = &mut inner {
                inner.base_size = node.base_size;
                if same {
                    inner.content = Content::Clean;
                    inner.dirty = Blocks::none();
                    inner.filled();
                    if inner.passthrough.is_some() && inner.writers > 0 {
                        // The kernel may go on writing: what is open for that stays so.
                        inner.content = Content::Open;
                        node.content = Content::Open;
                    }
                }
            }
            db.save(&node)?;
            drop(inner);
            for (parent, name) in db.synced_of(ino)?.iter().chain(&sent.at) {
                db.remove_sending(*parent, name)?;
            }
            if let Some((parent, name)) = &sent.at {
                db.put_synced(*parent, name, ino)?;
                db.mark_name(*parent, name, 0)?;
                self.keep_time(db, *parent)?;
            }
            if let Some(mut old) = replaced {
                old.remote_id = None;
                db.save(&old)?;
                self.collect(db, old.ino)?;
            }
            let written = node.content == Content::Open;
            db.mark_node(ino, if written { self.late() } else { 0 })?;
            Ok(())
        })?;
        self.keep_bounds(&db);
        self.push.notify_one();
        Ok(())
    }

    /// The row of a node; made again when it was removed while its content was on its way, so that
    /// what arrived can be removed as well.
    fn still(&self, db: &Db, was: &Node) -> Result<Node, Fault> {
        match self.node(db, was.ino) {
            Err(Fault::Rule(Errno::NOENT)) => {
                let mut node = was.clone();
                node.present = Blocks::none().0;
                node.cached = 0;
                db.insert(&node)?;
                Ok(node)
            }
            other => other,
        }
    }

    /// By the change of a name the server has given a folder another time. One that was set here by
    /// hand is sent after that, once more.
    fn keep_time(&self, db: &Db, folder: Ino) -> Result<(), Fault> {
        if !self.keeps_attributes() {
            return Ok(());
        }
        match db.node(folder)? {
            // What changes names here sets both times.
            Some(mut node) if node.mtime != node.ctime => {
                node.attributes_dirty |= ATTRIBUTES;
                node.attribute_version += 1;
                db.save(&node)?;
                Ok(db.mark_node(folder, self.soon())?)
            }
            _ => Ok(()),
        }
    }

    /// Attributes have arrived.
    pub(super) fn book_attributes(&self, was: &Node, which: i64) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            let Ok(mut node) = self.node(db, was.ino) else {
                return Ok(());
            };
            if node.attribute_version == was.attribute_version {
                node.attributes_dirty &= !which;
            }
            db.save(&node)?;
            Ok(db.mark_node(was.ino, 0)?)
        })
    }

    /// Something is under another name. `there`: as it is there, which may be as another has made it
    /// before it was moved.
    pub(super) fn book_move(
        &self,
        from: &Name,
        to: &Name,
        ino: Ino,
        replaces: Option<Ino>,
        there: Option<&Listed>,
    ) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            if db.synced(from.0, &from.1)? == Some(ino) {
                db.remove_synced(from.0, &from.1)?;
            }
            db.put_synced(to.0, &to.1, ino)?;
            db.remove_sending(to.0, &to.1)?;
            db.mark_name(from.0, &from.1, 0)?;
            db.mark_name(to.0, &to.1, 0)?;
            for (parent, name) in db.entries_of(ino)? {
                db.mark_name(parent, &name, 0)?;
            }
            self.keep_time(db, from.0)?;
            self.keep_time(db, to.0)?;
            self.look_below_later(db, ino)?;
            if let Some(mut old) = replaces.map(|old| db.node(old)).transpose()?.flatten() {
                old.remote_id = None;
                db.save(&old)?;
                self.collect(db, old.ino)?;
            }
            // What was removed here keeps the tag it had: the request finds out that it changed.
            if let Some(there) = there
                && let Ok(node) = self.node(db, ino)
                && !db.entries_of(ino)?.is_empty()
            {
                self.update(db, node, there)?;
            }
            Ok(())
        })?;
        self.push.notify_one();
        Ok(())
    }

    /// A name is gone from the server.
    pub(super) fn book_removed(&self, at: &Name, ino: Ino) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            if db.synced(at.0, &at.1)? == Some(ino) {
                db.remove_synced(at.0, &at.1)?;
            }
            db.mark_name(at.0, &at.1, 0)?;
            self.keep_time(db, at.0)?;
            self.collect(db, ino)
        })?;
        self.push.notify_one();
        Ok(())
    }

    /// A folder is on the server; `mine`: made by us, and so with nothing in it.
    pub(super) fn book_folder(
        &self,
        at: &Name,
        was: &Node,
        stored: &Stored,
        mine: bool,
    ) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            let mut node = if let Some(node) = db.node(was.ino)? {
                node
            } else {
                db.insert(was)?;
                was.clone()
            };
            node.etag = stored.etag.as_ref().map(|etag| etag.0.clone());
            node.remote_id = stored.id.as_ref().map(|id| id.0.clone());
            if mine {
                if node.is_doubtful() {
                    lock(&self.flight).relist.insert(was.ino);
                }
                let carried = self.can.attributes_with_content || !self.can.properties;
                if carried && node.attribute_version == was.attribute_version {
                    node.attributes_dirty &= !ATTRIBUTES;
                }
            } else {
                // What is in it there is not known yet; what is made here goes on being so.
                node.listed_at = AGAIN;
                if !db.entries_of(was.ino)?.is_empty() {
                    lock(&self.flight).relist.insert(was.ino);
                }
            }
            if !self.keeps_attributes() {
                node.attributes_dirty = 0;
            }
            db.save(&node)?;
            db.put_synced(at.0, &at.1, was.ino)?;
            db.remove_sending(at.0, &at.1)?;
            db.mark_name(at.0, &at.1, 0)?;
            self.keep_time(db, at.0)?;
            db.mark_node(was.ino, 0)?;
            Ok(())
        })?;
        self.push.notify_one();
        Ok(())
    }

    pub(super) async fn make_remote_folder(&self, at: &Name, ino: Ino) -> Result<(), Fault> {
        let path = self.path_of(at)?;
        let node = lock(&self.db).node(ino)?.ok_or(Errno::STALE)?;
        let attributes = node.attributes();
        let intent = self.intend(Sending::of(&node, at, state::Sent::Folder))?;
        match self
            .send(intent, self.drive.make_folder(&path, &attributes))
            .await
        {
            Ok(stored) => self.book_folder(at, &node, &stored, true),
            Err(Error::Conflict { .. }) => self.resolve_folder(at, &node).await,
            Err(Error::NoParent { .. } | Error::NotFound { .. }) => self.check_folder(at.0).await,
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn move_remote(
        &self,
        from: &Name,
        to: &Name,
        ino: Ino,
        replaces: Option<Ino>,
    ) -> Result<(), Fault> {
        let (source, target) = (self.path_of(from)?, self.path_of(to)?);
        if let Some(old) = replaces {
            self.keep_for_readers(old).await?;
        }
        let condition = match replaces.map(|old| lock(&self.db).node(old)).transpose()? {
            None => Condition::Absent,
            Some(old) => match old.as_ref().and_then(Node::etag) {
                Some(etag) => Condition::Unchanged(etag),
                None => Condition::Any,
            },
        };
        let node = lock(&self.db).node(ino)?.ok_or(Errno::STALE)?;
        let intent = self.intend(Sending::of(&node, to, state::Sent::Move(from.clone())))?;
        let sending = self.drive.rename(&source, &target, None, &condition);
        match self.send(intent, sending).await {
            Ok(()) => {
                // Without ids nobody tells of a change made just before; and some servers make tags
                // of what a MOVE changes.
                let mut there = None;
                if !self.can.ids && self.can.strong_etags {
                    there = self.look(&target).await.ok().flatten();
                }
                if there
                    .as_ref()
                    .is_some_and(|there| !pull::is_same(&node, there))
                {
                    return self.another_moved(from, to);
                }
                if let Some(there) = &there {
                    self.retag(&target, ino, there).await?;
                }
                self.book_move(from, to, ino, replaces, there.as_ref())
            }
            Err(Error::Conflict { .. } | Error::NotFound { .. } | Error::NoParent { .. }) => {
                self.resolve_move(from, to, ino, replaces).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What another had put in place of something was moved instead of it.
    fn another_moved(&self, from: &Name, to: &Name) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            db.remove_sending(to.0, &to.1)?;
            db.mark_name(to.0, &to.1, 0)?;
            self.gone(db, from.0, &from.1, None).map(drop)
        })?;
        lock(&self.flight).relist.extend([from.0, to.0]);
        self.push.notify_one();
        Ok(())
    }

    /// A file that was moved has another tag. What was changed here meanwhile, or removed, is sent to
    /// replace that version, or to remove it, only if it has the bytes of the one that was known.
    async fn retag(&self, path: &DrivePath, ino: Ino, there: &Listed) -> Result<(), Fault> {
        let (node, is_removed) = {
            let db = lock(&self.db);
            (self.node(&db, ino)?, db.entries_of(ino)?.is_empty())
        };
        let as_it_was = node.content == Content::Clean && !is_removed;
        if node.is_folder() || as_it_was || there.etag == node.etag() {
            return Ok(());
        }
        let known = node.sha256.is_some() && there.size_bytes == node.base_size;
        if !known || there.size_bytes > DIGEST {
            return Ok(());
        }
        let digest = self.digest_there(path, there).await?;
        if digest.map(Vec::from) != node.sha256 {
            return Ok(());
        }
        let db = lock(&self.db);
        db.change(|db| {
            let mut node = self.node(db, ino)?;
            node.etag = there.etag.as_ref().map(|etag| etag.0.clone());
            Ok(db.save(&node)?)
        })
    }

    pub(super) async fn bind(&self, existing: &Name, at: &Name, ino: Ino) -> Result<(), Fault> {
        let (source, target) = (self.path_of(existing)?, self.path_of(at)?);
        let node = lock(&self.db).node(ino)?.ok_or(Errno::STALE)?;
        let intent = self.intend(Sending::of(&node, at, state::Sent::Bind))?;
        let etag = node.etag();
        let sending = self.drive.bind(&source, &target, etag.as_ref());
        match self.send(intent, sending).await {
            Ok(()) => self.book_bound(at, ino),
            Err(Error::Conflict { .. } | Error::NotFound { .. } | Error::NoParent { .. }) => {
                self.resolve_bind(existing, at, ino).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Something has one more name on the server.
    pub(super) fn book_bound(&self, at: &Name, ino: Ino) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            db.put_synced(at.0, &at.1, ino)?;
            db.remove_sending(at.0, &at.1)?;
            db.mark_name(at.0, &at.1, 0)?;
            self.keep_time(db, at.0)
        })?;
        self.push.notify_one();
        Ok(())
    }

    pub(super) async fn remove(&self, at: &Name, ino: Ino, folder: bool) -> Result<(), Fault> {
        let path = self.path_of(at)?;
        let node = lock(&self.db).node(ino)?.ok_or(Errno::STALE)?;
        let removed = if folder {
            self.ask(self.drive.remove_folder(&path)).await
        } else {
            // Whoever has it open goes on reading after its bytes are gone from the server.
            if node.is_file() {
                self.keep_for_readers(ino).await?;
            }
            let node = lock(&self.db).node(ino)?.ok_or(Errno::STALE)?;
            let etag = node.etag();
            self.ask(self.drive.remove_file(&path, etag.as_ref())).await
        };
        match removed {
            Ok(()) | Err(Error::NotFound { .. }) => self.book_removed(at, ino),
            Err(Error::Conflict { .. } | Error::NotEmpty { .. }) => {
                self.resolve_remove(at, ino).await
            }
            Err(error) => Err(error.into()),
        }
    }
}
