//! What others did comes here.
//!
//! Only what is the same here and there is changed. Where something is waiting to be sent, nothing is
//! taken over: the request will meet the other's change, and both are kept.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use super::Key;
use super::supersede::Usage;
use crate::cache::{BLOCK, Blocks, open_file};
use crate::clock::{now_ms, now_ns};
use crate::drive::{Drive, Listed};
use crate::errno::Fault;
use crate::fs::shared::{Shared, lock};
use crate::fs::{Ino, Invalidation, Stat};
use crate::state::{ATTRIBUTES, Content, Db, Node, XATTRS, encode_xattrs};

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const SECOND: i64 = 1_000_000_000;

pub(super) fn id(listed: &Listed) -> Option<String> {
    listed.id.as_ref().map(|id| id.0.clone())
}

/// SHA-256 of a local file.
pub(super) fn digest(file: &File) -> Result<[u8; 32], Fault> {
    let mut sha256 = Sha256::new();
    let mut bytes = vec![0; usize::try_from(BLOCK).unwrap_or(0)];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut bytes, at)?;
        if read == 0 {
            return Ok(sha256.finalize().into());
        }
        sha256.update(&bytes[..read]);
        at += read as u64;
    }
}

/// Whether what the server has under a name is what it had there.
pub(super) fn is_same(node: &Node, listed: &Listed) -> bool {
    let same_id = match (&node.remote_id, &listed.id) {
        (Some(known), Some(told)) => *known == told.0,
        _ => true,
    };
    node.is_folder() == listed.is_folder && same_id
}

/// Whether what is new about a file is not its bytes.
fn has_bytes(node: &Node, listed: &Listed) -> bool {
    let digest = listed.sha256.as_ref().map(<[u8; 32]>::as_slice);
    digest.is_some() && digest == node.sha256.as_deref() && listed.size_bytes == node.base_size
}

/// The time the content changed: ours, while nobody else has written since.
pub(super) fn mtime(listed: &Listed) -> i64 {
    listed
        .attributes
        .mtime_ns
        .filter(|ns| ns.div_euclid(SECOND) == listed.modified_ns.div_euclid(SECOND))
        .unwrap_or(listed.modified_ns)
}

fn mode(listed: &Listed, before: u32) -> u32 {
    let told = listed.attributes.mode;
    if listed.is_folder {
        return S_IFDIR | (told.unwrap_or(before) & 0o7777);
    }
    match told {
        Some(mode) if !matches!(mode & S_IFMT, 0 | S_IFDIR) => mode,
        Some(mode) => S_IFREG | (mode & 0o7777),
        None => before,
    }
}

/// What programs see of a node, but for the times that follow from it.
fn visible(node: &Node) -> (Stat, Option<&[u8]>, Option<&[u8]>) {
    let stat = Stat {
        ctime_ns: 0,
        ..node.stat()
    };
    (stat, node.target.as_deref(), node.xattrs.as_deref())
}

impl<D: Drive> Shared<D> {
    /// A node for what is new on the server.
    pub(super) fn node_for(&self, listed: &Listed) -> Node {
        let kind = if listed.is_folder {
            S_IFDIR | 0o755
        } else {
            S_IFREG | 0o644
        };
        let mut node = Node::new(kind, self.options.uid, self.options.gid, now_ns());
        node.attributes_dirty = 0;
        node.complete = false;
        node.remote_id = id(listed);
        node.etag = listed.etag.as_ref().map(|etag| etag.0.clone());
        node.sha256 = listed.sha256.map(Vec::from);
        node.size = if listed.is_folder {
            0
        } else {
            listed.size_bytes
        };
        node.base_size = node.size;
        node.mtime = mtime(listed);
        node.ctime = node.mtime;
        node.atime = listed.attributes.atime_ns.unwrap_or(node.mtime);
        if node.size > 0 {
            node.present = Blocks::none().0;
        }
        take_attributes(&mut node, listed);
        node.xattrs = encode_xattrs(&listed.xattrs);
        if !listed.is_folder {
            node.nlink = 1;
        }
        node
    }

    /// A node that is on the server still, perhaps different; the node that has its names then.
    pub(super) fn update(&self, db: &Db, mut node: Node, listed: &Listed) -> Result<Ino, Fault> {
        let mut before = node.clone();
        let etag = listed.etag.as_ref().map(|etag| etag.0.clone());
        let size = listed.size_bytes;
        let changed = !node.is_folder()
            && match (&etag, &node.etag) {
                (Some(told), Some(known)) => told != known,
                _ => size != node.base_size || node.mtime / SECOND != mtime(listed) / SECOND,
            };
        node.remote_id = id(listed).or(node.remote_id);
        let renewed = changed && node.content == Content::Clean && has_bytes(&node, listed);
        if node.is_folder() || renewed {
            node.etag = etag;
        } else if changed && node.content == Content::Clean {
            match self.usage(node.ino) {
                Usage::Unused => self.take_content(db, &mut node, listed)?,
                Usage::Read => {
                    node = self.supersede(db, &node, listed)?;
                    before = node.clone();
                }
                Usage::Written => {
                    self.take_later(node.ino);
                    return Ok(node.ino);
                }
            }
            node.etag = etag;
        } else if changed {
            // If nothing was written to it after all, it is taken then.
            self.take_later(node.ino);
        } else if !changed && node.sha256.is_none() && node.content == Content::Clean {
            node.sha256 = listed.sha256.map(Vec::from);
        }
        if node.attributes_dirty & ATTRIBUTES == 0 {
            take_attributes(&mut node, listed);
            let told = mtime(listed);
            // The time of a folder follows from names that the server does not have yet.
            if node.content == Content::Clean
                && !(node.is_folder() && db.has_work_in(node.ino)?)
                && (changed || listed.attributes.mtime_ns == Some(told))
            {
                node.mtime = told;
            }
        }
        if node.attributes_dirty & XATTRS == 0 {
            node.xattrs = encode_xattrs(&listed.xattrs);
        }
        if !node.is_folder() {
            node.listed_at = now_ms();
        }
        let told = Node {
            listed_at: before.listed_at,
            ..node.clone()
        };
        if told != before {
            if let Some(open) = self.opened(node.ino).filter(|_| node.is_file()) {
                lock(&open.inner).mtime = node.mtime;
            }
            // What only the server and we know, as the tag of our own change, changes no time.
            if changed || visible(&node) != visible(&before) {
                node.ctime = now_ns();
            }
            if changed {
                self.invalidate_content(node.ino);
            } else {
                self.invalidate_attributes(node.ino);
            }
        } else if node.is_folder() || self.live.load(Ordering::Relaxed) {
            return Ok(node.ino);
        }
        db.save(&node)?;
        Ok(node.ino)
    }

    /// The content here is that of an older version, and not in use: none of it is any good. What is
    /// being fetched of it still goes to the old file, which nobody reads any more.
    fn take_content(&self, db: &Db, node: &mut Node, listed: &Listed) -> Result<(), Fault> {
        let size = listed.size_bytes;
        let present = if size == 0 {
            Blocks::ALL
        } else {
            Blocks::none()
        };
        db.remove_content(node);
        node.generation += 1;
        if let Some(open) = self.opened(node.ino).filter(|_| node.is_file()) {
            let file = open_file(&self.options.cache, node.ino, node.generation)?;
            file.set_len(size)?;
            let mut inner = lock(&open.inner);
            inner.file = Arc::new(file);
            inner.generation = node.generation;
            inner.present = present.clone();
            inner.dirty = Blocks::none();
            inner.size = size;
            inner.base_size = size;
            inner.mtime = mtime(listed);
        }
        // Before the kernel is told, and has forgotten its pages, somebody may open it.
        lock(&self.stale_pages).insert(node.ino);
        self.give_back(node.cached);
        node.present = present.0;
        node.dirty = Blocks::none().0;
        node.cached = 0;
        node.size = size;
        node.base_size = size;
        node.sha256 = listed.sha256.map(Vec::from);
        Ok(())
    }

    /// Takes over what the server has under a name. `false`: not now, it is being changed by us.
    pub(super) fn merge(
        &self,
        db: &Db,
        parent: Ino,
        listed: &Listed,
        tick: u64,
    ) -> Result<bool, Fault> {
        let name = &listed.name;
        let there = db.synced(parent, name)?;
        let here = db.entry(parent, name)?;
        {
            let flight = lock(&self.flight);
            let at = Key::Name((parent, name.clone()));
            let nodes = [there, here].into_iter().flatten();
            if !flight.holds(&at, tick)
                || nodes
                    .into_iter()
                    .any(|ino| !flight.holds(&Key::Node(ino), tick))
            {
                drop(flight);
                return self.tells_nothing(db, there, listed);
            }
        }
        if let Some(sending) = db.sending(parent, name)?
            && Self::is_unwanted(db, &sending)?
        {
            // It may be ours: that is found out before anything else.
            return Ok(true);
        }
        if let Some(known) = there {
            let node = self.node(db, known)?;
            if is_same(&node, listed) {
                // What was removed here keeps the tag it had: the request finds out that it changed.
                if !db.entries_of(known)?.is_empty() {
                    self.update(db, node, listed)?;
                }
                return Ok(true);
            }
            if self.is_being_written(known) || here != there || node.content != Content::Clean {
                // The request meets it; but it may be told next that what is here has moved.
                db.cover(parent, name)?;
                return Ok(true);
            }
            self.gone(db, parent, name, None)?;
        }
        if here.is_some() && db.entry(parent, name)?.is_some() {
            db.cover(parent, name)?;
            return Ok(true);
        }
        if let Some(known) = id(listed)
            .map(|id| db.node_by_remote_id(&id))
            .transpose()?
            .flatten()
            && known.is_folder() == listed.is_folder
            && !db.synced_of(known.ino)?.is_empty()
            && !self.may_be_another(db, &known)?
        {
            return self.other_name(db, parent, known.ino, listed, tick);
        }
        let node = self.node_for(listed);
        let ino = db.insert(&node)?;
        db.put_synced(parent, name, ino)?;
        self.show(db, parent, name, ino, listed.is_folder)?;
        Ok(true)
    }

    /// Whether what was told of a name is what is known of it: the answer to a request of ours, or what
    /// one that is under way is about to change.
    fn tells_nothing(&self, db: &Db, there: Option<Ino>, listed: &Listed) -> Result<bool, Fault> {
        let Some(ino) = there else {
            return Ok(false);
        };
        let node = self.node(db, ino)?;
        let mut told = node.clone();
        told.remote_id = id(listed).or(told.remote_id);
        if node.attributes_dirty & ATTRIBUTES == 0 {
            take_attributes(&mut told, listed);
            if node.content == Content::Clean {
                told.mtime = mtime(listed);
            }
        }
        if node.attributes_dirty & XATTRS == 0 {
            told.xattrs = encode_xattrs(&listed.xattrs);
        }
        let etag = listed.etag.as_ref().map(|etag| &etag.0);
        Ok(is_same(&node, listed) && etag.is_some() && etag == node.etag.as_ref() && told == node)
    }

    /// Whether a new name of what has lost all its names here may be one more, that nobody here has
    /// removed: then it comes as something new.
    fn may_be_another(&self, db: &Db, known: &Node) -> Result<bool, Fault> {
        Ok(self.can.bind && !known.is_folder() && db.entries_of(known.ino)?.is_empty())
    }

    /// A name that comes here because it is on the server.
    fn show(
        &self,
        db: &Db,
        parent: Ino,
        name: &str,
        ino: Ino,
        is_folder: bool,
    ) -> Result<(), Fault> {
        db.add_entry(parent, name, ino)?;
        if is_folder {
            self.count_folders(db, parent, 1)?;
        }
        db.mark_same(parent, name)?;
        // The kernel keeps no names that are not there: it need not be told of this one.
        self.invalidate_names(parent);
        Ok(())
    }

    /// A node that is known has a name it did not have: it has moved, or has one more.
    fn other_name(
        &self,
        db: &Db,
        parent: Ino,
        ino: Ino,
        listed: &Listed,
        tick: u64,
    ) -> Result<bool, Fault> {
        if !lock(&self.flight).holds(&Key::Node(ino), tick) {
            return Ok(false);
        }
        let more = self.can.bind && listed.links.is_some_and(|links| links > 1);
        // Into something that was moved into it here: it goes back, or both would be nowhere.
        let circle = listed.is_folder && db.lies_in(parent, ino)?;
        let mut wanted = !db.entries_of(ino)?.is_empty() && !circle;
        if listed.is_folder || !more {
            for (old_parent, old_name) in db.synced_of(ino)? {
                db.remove_synced(old_parent, &old_name)?;
                if db.entry(old_parent, &old_name)? == Some(ino) && !circle {
                    db.remove_entry(old_parent, &old_name)?;
                    if listed.is_folder {
                        self.count_folders(db, old_parent, -1)?;
                    }
                    self.invalidate(Invalidation::Gone {
                        parent: old_parent,
                        child: ino,
                        name: old_name.clone().into(),
                    });
                    self.invalidate_names(old_parent);
                } else if !db.entries_of(ino)?.is_empty() {
                    // Renamed here as well: this machine's name goes to the server.
                    wanted = false;
                }
                db.mark_name(old_parent, &old_name, 0)?;
            }
        }
        db.put_synced(parent, &listed.name, ino)?;
        if wanted {
            self.show(db, parent, &listed.name, ino, listed.is_folder)?;
        }
        self.invalidate_entry(parent, &listed.name);
        db.mark_name(parent, &listed.name, 0)?;
        for (other_parent, name) in db.entries_of(ino)? {
            db.mark_name(other_parent, &name, 0)?;
        }
        self.count_names(db, ino)?;
        if listed.is_folder {
            // `..` is another.
            self.kept.forget(ino);
            // What was sent by the path that it had may be in what has that path now.
            lock(&self.flight).moved += 1;
            self.look_again_at(db, &db.untold_below(ino)?)?;
        }
        let node = self.node(db, ino)?;
        self.update(db, node, listed)?;
        Ok(true)
    }

    /// What has gained or lost names because the server says so counts those that it has.
    fn count_names(&self, db: &Db, ino: Ino) -> Result<(), Fault> {
        let mut node = self.node(db, ino)?;
        if node.is_folder() {
            return Ok(());
        }
        let names = u32::try_from(db.entries_of(ino)?.len()).unwrap_or(u32::MAX);
        if node.nlink != names {
            node.nlink = names;
            node.ctime = now_ns();
            db.save(&node)?;
            self.invalidate_attributes(ino);
        }
        Ok(())
    }

    /// A name is gone from the server. What was changed here stays, and goes there again. `false`: not
    /// now, it is being changed by us.
    pub(super) fn gone(
        &self,
        db: &Db,
        parent: Ino,
        name: &str,
        tick: Option<u64>,
    ) -> Result<bool, Fault> {
        let Some(ino) = db.synced(parent, name)? else {
            return Ok(true);
        };
        if let Some(tick) = tick {
            let flight = lock(&self.flight);
            if !flight.holds(&Key::Name((parent, name.to_owned())), tick)
                || !flight.holds(&Key::Node(ino), tick)
            {
                return Ok(false);
            }
            if db.is_sent_from(parent, name)? {
                // We may have moved it ourselves: that is found out before anything else.
                return Ok(true);
            }
        }
        let node = self.node(db, ino)?;
        let mut all = true;
        if node.is_folder() {
            for (child, _) in db.synced_members(ino)? {
                all &= self.gone(db, ino, &child, tick)?;
            }
            if !all {
                return Ok(false);
            }
        }
        db.remove_synced(parent, name)?;
        let last = db.synced_of(ino)?.is_empty();
        let changed = node.content != Content::Clean || self.is_being_written(ino);
        let stays = if node.is_folder() {
            db.has_entries(ino)?
        } else {
            last && changed
        };
        if db.entry(parent, name)? == Some(ino) && !stays {
            self.hide(db, parent, name, ino)?;
        }
        if node.is_folder() && stays {
            // It is made again, without what is being sent into the one that was there.
            lock(&self.flight).moved += 1;
        }
        if last && !db.entries_of(ino)?.is_empty() {
            self.keep_or_drop(db, &node)?;
        }
        db.mark_name(parent, name, 0)?;
        self.collect(db, ino)?;
        Ok(true)
    }

    /// Something that is not on the server any more still has names here.
    fn keep_or_drop(&self, db: &Db, node: &Node) -> Result<(), Fault> {
        let whole = node.is_folder() || node.content != Content::Clean || node.present.is_none();
        if whole {
            if node.is_folder() {
                let mut node = self.node(db, node.ino)?;
                node.complete = true;
                db.save(&node)?;
            }
            return self.disown(db, node.ino);
        }
        for (parent, name) in db.entries_of(node.ino)? {
            self.hide(db, parent, &name, node.ino)?;
            db.mark_name(parent, &name, 0)?;
        }
        Ok(())
    }

    /// A name goes here because it has gone on the server.
    fn hide(&self, db: &Db, parent: Ino, name: &str, ino: Ino) -> Result<(), Fault> {
        db.remove_entry(parent, name)?;
        self.left_elsewhere(ino);
        if self.node(db, ino)?.is_folder() {
            self.count_folders(db, parent, -1)?;
        }
        self.count_names(db, ino)?;
        self.invalidate(Invalidation::Gone {
            parent,
            child: ino,
            name: name.into(),
        });
        self.invalidate_names(parent);
        Ok(())
    }
}

fn take_attributes(node: &mut Node, listed: &Listed) {
    let told = &listed.attributes;
    node.mode = mode(listed, node.mode);
    node.uid = told.uid.unwrap_or(node.uid);
    node.gid = told.gid.unwrap_or(node.gid);
    node.rdev = told.rdev.unwrap_or(node.rdev);
    if told.target.is_some() {
        node.target.clone_from(&told.target);
    }
}
