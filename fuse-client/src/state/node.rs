//! Rows of nodes.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params};

use super::Db;
use crate::drive::{Attributes, ETag, ExtendedAttributes};
use crate::fs::{Ino, Stat};

/// [`Node::attributes_dirty`]: mode, owner, times and the like.
pub(crate) const ATTRIBUTES: i64 = 1;
/// [`Node::attributes_dirty`]: extended attributes.
pub(crate) const XATTRS: i64 = 2;

/// [`Node::listed_at`]: to be listed again, while what is known of it is still the best there is.
pub(crate) const AGAIN: i64 = -1;
/// [`Node::listed_at`]: the same, but only about names that were being changed by us, which are here as
/// they are to be.
pub(crate) const ECHOED: i64 = -2;

const S_IFMT: u32 = 0o170_000;

/// Whether the bytes here are those of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// They are.
    Clean,
    /// Being written: size and time are those of the content file.
    Open,
    /// Not yet.
    Dirty,
}

impl Content {
    fn number(self) -> i64 {
        match self {
            Self::Clean => 0,
            Self::Open => 1,
            Self::Dirty => 2,
        }
    }
}

/// A file, folder or other thing with attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) ino: Ino,
    pub(crate) remote_id: Option<String>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) rdev: u64,
    pub(crate) target: Option<Vec<u8>>,
    pub(crate) size: u64,
    pub(crate) atime: i64,
    pub(crate) mtime: i64,
    pub(crate) ctime: i64,
    pub(crate) xattrs: Option<Vec<u8>>,
    pub(crate) nlink: u32,
    pub(crate) etag: Option<String>,
    pub(crate) sha256: Option<Vec<u8>>,
    /// Length of the version on the server.
    pub(crate) base_size: u64,
    pub(crate) content: Content,
    pub(crate) attributes_dirty: i64,
    /// Which content file; counted up when another takes its place.
    pub(crate) generation: i64,
    /// Counts changes of the content.
    pub(crate) version: i64,
    /// Of these, what the server has.
    pub(crate) pushed: i64,
    /// Counts changes of the attributes.
    pub(crate) attribute_version: i64,
    /// Blocks that are in the content file; `None`: all.
    pub(crate) present: Option<Vec<u8>>,
    /// Blocks that differ from the server's; `None`: all.
    pub(crate) dirty: Option<Vec<u8>>,
    /// Bytes of the content file that are in use.
    pub(crate) cached: u64,
    pub(crate) pinned: bool,
    pub(crate) used_at: i64,
    /// When a folder was listed, or a file's attributes were confirmed; ms. [`AGAIN`]: something
    /// read of the folder could not be believed.
    pub(crate) listed_at: i64,
    /// All names in the folder are known.
    pub(crate) complete: bool,
    /// Digests of versions that were sent without an answer ([`super::add_digest`]).
    pub(crate) sent_sha256: Option<Vec<u8>>,
}

impl Node {
    /// With nothing in it and nothing on the server.
    pub(crate) fn new(mode: u32, uid: u32, gid: u32, now: i64) -> Self {
        let folder = mode & S_IFMT == 0o040_000;
        Self {
            ino: 0,
            remote_id: None,
            mode,
            uid,
            gid,
            rdev: 0,
            target: None,
            size: 0,
            atime: now,
            mtime: now,
            ctime: now,
            xattrs: None,
            nlink: if folder { 2 } else { 1 },
            etag: None,
            sha256: None,
            base_size: 0,
            content: Content::Clean,
            attributes_dirty: ATTRIBUTES,
            generation: 0,
            version: 0,
            pushed: 0,
            attribute_version: 0,
            present: None,
            dirty: Some(Vec::new()),
            cached: 0,
            pinned: false,
            used_at: now / 1_000_000,
            listed_at: now / 1_000_000,
            complete: folder,
            sent_sha256: None,
        }
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.mode & S_IFMT == 0o040_000
    }

    /// Of a folder: something read of it could not be believed.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.listed_at == AGAIN || self.listed_at == ECHOED
    }

    pub(crate) fn is_file(&self) -> bool {
        self.mode & S_IFMT == 0o100_000
    }

    pub(crate) fn is_symlink(&self) -> bool {
        self.mode & S_IFMT == 0o120_000
    }

    /// Its content differs from the server's, or may: it is as it was, but something else was sent since
    /// the last answer. What the kernel may write by itself is open, and the same until it does.
    pub(crate) fn is_changed(&self) -> bool {
        let untouched = self
            .dirty
            .as_ref()
            .is_some_and(|bits| bits.iter().all(|byte| *byte == 0))
            && self.size == self.base_size
            && self.sent_sha256.is_none();
        self.content != Content::Clean && !untouched
    }

    pub(crate) fn etag(&self) -> Option<ETag> {
        self.etag.clone().map(ETag)
    }

    pub(crate) fn stat(&self) -> Stat {
        let size = match &self.target {
            Some(target) => target.len() as u64,
            None => self.size,
        };
        Stat {
            ino: self.ino,
            mode: self.mode,
            nlink: self.nlink,
            uid: self.uid,
            gid: self.gid,
            rdev: self.rdev,
            size,
            blocks: size.div_ceil(512),
            atime_ns: self.atime,
            mtime_ns: self.mtime,
            ctime_ns: self.ctime,
        }
    }

    /// As the server keeps them.
    pub(crate) fn attributes(&self) -> Attributes {
        Attributes {
            mode: Some(self.mode),
            uid: Some(self.uid),
            gid: Some(self.gid),
            mtime_ns: Some(self.mtime),
            atime_ns: None,
            rdev: (self.rdev != 0).then_some(self.rdev),
            target: self.target.clone(),
        }
    }
}

const COLUMNS: &str = "node.ino, remote_id, mode, uid, gid, rdev, target, size, atime, mtime, \
    ctime, xattrs, nlink, etag, sha256, base_size, content, attributes_dirty, generation, version, \
    pushed, attribute_version, present, dirty, cached, pinned, used_at, listed_at, complete, \
    sent_sha256";

fn read(row: &Row<'_>) -> rusqlite::Result<Node> {
    Ok(Node {
        ino: row.get::<_, i64>(0)?.cast_unsigned(),
        remote_id: row.get(1)?,
        mode: row.get(2)?,
        uid: row.get(3)?,
        gid: row.get(4)?,
        rdev: row.get::<_, i64>(5)?.cast_unsigned(),
        target: row.get(6)?,
        size: row.get::<_, i64>(7)?.cast_unsigned(),
        atime: row.get(8)?,
        mtime: row.get(9)?,
        ctime: row.get(10)?,
        xattrs: row.get(11)?,
        nlink: row.get(12)?,
        etag: row.get(13)?,
        sha256: row.get(14)?,
        base_size: row.get::<_, i64>(15)?.cast_unsigned(),
        content: match row.get(16)? {
            0 => Content::Clean,
            1 => Content::Open,
            _ => Content::Dirty,
        },
        attributes_dirty: row.get(17)?,
        generation: row.get(18)?,
        version: row.get(19)?,
        pushed: row.get(20)?,
        attribute_version: row.get(21)?,
        present: row.get(22)?,
        dirty: row.get(23)?,
        cached: row.get::<_, i64>(24)?.cast_unsigned(),
        pinned: row.get(25)?,
        used_at: row.get(26)?,
        listed_at: row.get(27)?,
        complete: row.get(28)?,
        sent_sha256: row.get(29)?,
    })
}

impl Db {
    /// A node by number.
    pub(crate) fn node(&self, ino: Ino) -> rusqlite::Result<Option<Node>> {
        self.sql
            .prepare_cached(&format!("SELECT {COLUMNS} FROM node WHERE ino = ?1"))?
            .query_row([ino.cast_signed()], read)
            .optional()
    }

    /// What has a name here.
    pub(crate) fn entry_node(&self, parent: Ino, name: &str) -> rusqlite::Result<Option<Node>> {
        self.sql
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM entry JOIN node ON node.ino = entry.ino \
                 WHERE parent = ?1 AND name = ?2"
            ))?
            .query_row(params![parent.cast_signed(), name], read)
            .optional()
    }

    /// A node by what the server calls it; one that has a name here, if any has.
    pub(crate) fn node_by_remote_id(&self, id: &str) -> rusqlite::Result<Option<Node>> {
        self.sql
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM node WHERE remote_id = ?1 \
                 ORDER BY EXISTS (SELECT 1 FROM entry WHERE entry.ino = node.ino) DESC LIMIT 1"
            ))?
            .query_row([id], read)
            .optional()
    }

    /// Nodes whose content was changed here.
    pub(crate) fn changed_nodes(&self) -> rusqlite::Result<Vec<Node>> {
        self.sql
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM node WHERE content <> 0 ORDER BY ino"
            ))?
            .query_map([], read)?
            .collect()
    }

    /// Files of which something is here.
    pub(crate) fn with_content(&self) -> rusqlite::Result<Vec<Node>> {
        self.sql
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM node WHERE cached > 0 OR content <> 0"
            ))?
            .query_map([], read)?
            .collect()
    }

    /// Content that could be given up, the longest unused first.
    pub(crate) fn evictable(&self, limit: u32) -> rusqlite::Result<Vec<Node>> {
        self.sql
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM node WHERE cached > 0 AND content = 0 AND pinned = 0 \
                 AND etag IS NOT NULL ORDER BY used_at LIMIT ?1"
            ))?
            .query_map([limit], read)?
            .collect()
    }

    /// A new node (or [`crate::fs::ROOT`]); its number.
    pub(crate) fn insert(&self, node: &Node) -> rusqlite::Result<Ino> {
        self.sql
            .prepare_cached(
                "INSERT INTO node (ino, remote_id, mode, uid, gid, rdev, target, size, atime, \
                 mtime, ctime, xattrs, nlink, etag, sha256, base_size, content, attributes_dirty, \
                 generation, version, pushed, attribute_version, present, dirty, cached, pinned, \
                 used_at, listed_at, complete, sent_sha256) VALUES (NULLIF(?1, 0), ?2, ?3, ?4, ?5, \
                 ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
                 ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)",
            )?
            .insert(rusqlite::params_from_iter(values(node)))
            .map(i64::cast_unsigned)
    }

    /// Keeps a node as it is now.
    pub(crate) fn save(&self, node: &Node) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "UPDATE node SET remote_id = ?2, mode = ?3, uid = ?4, gid = ?5, rdev = ?6, \
                 target = ?7, size = ?8, atime = ?9, mtime = ?10, ctime = ?11, xattrs = ?12, \
                 nlink = ?13, etag = ?14, sha256 = ?15, base_size = ?16, content = ?17, \
                 attributes_dirty = ?18, generation = ?19, version = ?20, pushed = ?21, \
                 attribute_version = ?22, present = ?23, dirty = ?24, cached = ?25, pinned = ?26, \
                 used_at = ?27, listed_at = ?28, complete = ?29, sent_sha256 = ?30 WHERE ino = ?1",
            )?
            .execute(rusqlite::params_from_iter(values(node)))
            .map(drop)
    }

    /// Keeps what [`crate::cache::Inner`] says of a node, and when it was used.
    pub(crate) fn save_content(&self, node: &Node) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "UPDATE node SET size = ?2, mtime = ?3, ctime = ?4, present = ?5, dirty = ?6, \
                 content = ?7, version = ?8, generation = ?9, cached = ?10, used_at = ?11 \
                 WHERE ino = ?1",
            )?
            .execute(params![
                node.ino.cast_signed(),
                node.size.cast_signed(),
                node.mtime,
                node.ctime,
                node.present,
                node.dirty,
                node.content.number(),
                node.version,
                node.generation,
                node.cached.cast_signed(),
                node.used_at,
            ])
            .map(drop)
    }

    /// When its content was used.
    pub(crate) fn set_used(&self, ino: Ino, now_ms: i64) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("UPDATE node SET used_at = ?2 WHERE ino = ?1")?
            .execute(params![ino.cast_signed(), now_ms])
            .map(drop)
    }

    /// Keeps a folder's times and number of links, which every name made or removed in it changes.
    pub(crate) fn save_folder(&self, folder: &Node) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("UPDATE node SET mtime = ?2, ctime = ?3, nlink = ?4 WHERE ino = ?1")?
            .execute(params![
                folder.ino.cast_signed(),
                folder.mtime,
                folder.ctime,
                folder.nlink
            ])
            .map(drop)
    }

    /// Forgets a node.
    pub(crate) fn remove_node(&self, ino: Ino) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("DELETE FROM node WHERE ino = ?1")?
            .execute([ino.cast_signed()])?;
        self.sql
            .prepare_cached("DELETE FROM work WHERE parent = 0 AND name = ?1")?
            .execute([ino.to_string()])
            .map(drop)
    }

    /// Nodes without any name.
    pub(crate) fn nameless(&self) -> rusqlite::Result<Vec<Ino>> {
        self.sql
            .prepare_cached(
                "SELECT ino FROM node WHERE ino <> 1 \
                 AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.ino = node.ino) \
                 AND NOT EXISTS (SELECT 1 FROM synced WHERE synced.ino = node.ino)",
            )?
            .query_map([], |row| row.get(0).map(i64::cast_unsigned))?
            .collect()
    }

    /// After the whole drive has been told: nothing in any folder is unknown.
    pub(crate) fn set_all_complete(&self, now_ms: i64) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "UPDATE node SET complete = 1, listed_at = ?1 WHERE mode & 61440 = 16384 \
                 AND (ino = 1 OR EXISTS (SELECT 1 FROM synced WHERE synced.ino = node.ino))",
            )?
            .execute([now_ms])
            .map(drop)
    }

    /// Folders of which all names are known.
    pub(crate) fn complete_folders(&self) -> rusqlite::Result<Vec<Ino>> {
        self.sql
            .prepare_cached("SELECT ino FROM node WHERE mode & 61440 = 16384 AND complete")?
            .query_map([], |row| row.get(0).map(i64::cast_unsigned))?
            .collect()
    }

    /// Nobody can tell what has changed: every folder is to be listed again.
    pub(crate) fn set_all_again(&self) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("UPDATE node SET listed_at = ?1 WHERE mode & 61440 = 16384")?
            .execute([AGAIN])
            .map(drop)
    }

    /// A folder is to be listed again.
    pub(crate) fn set_again(&self, folder: Ino) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("UPDATE node SET listed_at = ?2 WHERE ino = ?1")?
            .execute(params![folder.cast_signed(), AGAIN])
            .map(drop)
    }

    /// Folders to be listed again.
    pub(crate) fn folders_again(&self) -> rusqlite::Result<Vec<Ino>> {
        self.sql
            .prepare_cached(
                "SELECT ino FROM node WHERE listed_at IN (?1, ?2) AND mode & 61440 = 16384",
            )?
            .query_map([AGAIN, ECHOED], |row| row.get(0).map(i64::cast_unsigned))?
            .collect()
    }

    /// Bytes kept; bytes not sent yet; nodes.
    pub(crate) fn totals(&self) -> rusqlite::Result<(u64, u64, u64)> {
        let count = |statement| -> rusqlite::Result<u64> {
            self.sql
                .prepare_cached(statement)?
                .query_row([], |row| row.get(0).map(i64::cast_unsigned))
        };
        Ok((
            count("SELECT COALESCE(SUM(cached), 0) FROM node WHERE cached > 0")?,
            count("SELECT COALESCE(SUM(size), 0) FROM node WHERE content <> 0")?,
            count("SELECT COUNT(*) FROM node")?,
        ))
    }
}

/// The columns of a row, in order.
fn values(node: &Node) -> Vec<rusqlite::types::Value> {
    use rusqlite::types::Value;
    let number = |number: u64| Value::Integer(number.cast_signed());
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
    let blob = |blob: &Option<Vec<u8>>| blob.clone().map_or(Value::Null, Value::Blob);
    vec![
        number(node.ino),
        text(&node.remote_id),
        node.mode.into(),
        node.uid.into(),
        node.gid.into(),
        number(node.rdev),
        blob(&node.target),
        number(node.size),
        node.atime.into(),
        node.mtime.into(),
        node.ctime.into(),
        blob(&node.xattrs),
        node.nlink.into(),
        text(&node.etag),
        blob(&node.sha256),
        number(node.base_size),
        node.content.number().into(),
        node.attributes_dirty.into(),
        node.generation.into(),
        node.version.into(),
        node.pushed.into(),
        node.attribute_version.into(),
        blob(&node.present),
        blob(&node.dirty),
        number(node.cached),
        node.pinned.into(),
        node.used_at.into(),
        node.listed_at.into(),
        node.complete.into(),
        blob(&node.sent_sha256),
    ]
}

/// Extended attributes as one blob: length and bytes of each name and value.
pub(crate) fn encode_xattrs(xattrs: &ExtendedAttributes) -> Option<Vec<u8>> {
    if xattrs.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    for word in xattrs.iter().flat_map(|(name, value)| [name, value]) {
        out.extend(u32::try_from(word.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(word);
    }
    Some(out)
}

/// The reverse of [`encode_xattrs`].
pub(crate) fn decode_xattrs(blob: Option<&[u8]>) -> ExtendedAttributes {
    let mut left = blob.unwrap_or_default();
    let mut word = || -> Option<Vec<u8>> {
        let (length, rest) = left.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (word, rest) = rest.split_at_checked(length)?;
        left = rest;
        Some(word.to_vec())
    };
    let mut xattrs = BTreeMap::new();
    while let (Some(name), Some(value)) = (word(), word()) {
        xattrs.insert(name, value);
    }
    xattrs
}
