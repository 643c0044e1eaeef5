//! Rows of requests that make or replace something under a name and whose answer has not been written
//! down: it may get lost, or we may be killed before. Without them, what arrived and is not wanted
//! under that name any more would be taken for another's.

use rusqlite::{OptionalExtension, Row, params};

use super::{Db, Name};
use crate::fs::Ino;

/// What a request does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// PUT or PATCH.
    Content,
    /// MKCOL.
    Folder,
    /// MOVE from a name.
    Move(Name),
    /// BIND.
    Bind,
}

/// One such request.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    pub(crate) parent: Ino,
    pub(crate) name: String,
    pub(crate) ino: Ino,
    pub(crate) what: Sent,
    pub(crate) mode: u32,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    /// Version of the content.
    pub(crate) version: i64,
    /// Digests of the versions that were sent, the newest last ([`add_digest`]).
    pub(crate) sha256: Option<Vec<u8>>,
    pub(crate) remote_id: Option<String>,
    pub(crate) etag: Option<String>,
}

const COLUMNS: &str = "parent, name, ino, what, from_parent, from_name, mode, size, mtime, version, \
    sha256, remote_id, etag";

fn read(row: &Row<'_>) -> rusqlite::Result<Sending> {
    Ok(Sending {
        parent: row.get::<_, i64>(0)?.cast_unsigned(),
        name: row.get(1)?,
        ino: row.get::<_, i64>(2)?.cast_unsigned(),
        what: match row.get(3)? {
            0 => Sent::Content,
            1 => Sent::Folder,
            2 => Sent::Move((row.get::<_, i64>(4)?.cast_unsigned(), row.get(5)?)),
            _ => Sent::Bind,
        },
        mode: row.get(6)?,
        size: row.get::<_, i64>(7)?.cast_unsigned(),
        mtime: row.get(8)?,
        version: row.get(9)?,
        sha256: row.get(10)?,
        remote_id: row.get(11)?,
        etag: row.get(12)?,
    })
}

impl Db {
    /// Before a request is sent.
    pub(crate) fn put_sending(&self, sending: &Sending) -> rusqlite::Result<()> {
        let (what, from) = match &sending.what {
            Sent::Content => (0, None),
            Sent::Folder => (1, None),
            Sent::Move(from) => (2, Some(from)),
            Sent::Bind => (3, None),
        };
        self.sql
            .prepare_cached(&format!(
                "INSERT OR REPLACE INTO sending ({COLUMNS}) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
            ))?
            .execute(params![
                sending.parent.cast_signed(),
                sending.name,
                sending.ino.cast_signed(),
                what,
                from.map(|(parent, _)| parent.cast_signed()),
                from.map(|(_, name)| name),
                sending.mode,
                sending.size.cast_signed(),
                sending.mtime,
                sending.version,
                sending.sha256,
                sending.remote_id,
                sending.etag,
            ])
            .map(drop)
    }

    /// Its answer is written down.
    pub(crate) fn remove_sending(&self, parent: Ino, name: &str) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("DELETE FROM sending WHERE parent = ?1 AND name = ?2")?
            .execute(params![parent.cast_signed(), name])
            .map(drop)
    }

    /// Whether what was under a name may have been moved by us.
    pub(crate) fn is_sent_from(&self, parent: Ino, name: &str) -> rusqlite::Result<bool> {
        self.sql
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM sending WHERE from_parent = ?1 AND from_name = ?2)",
            )?
            .query_row(params![parent.cast_signed(), name], |row| row.get(0))
    }

    /// One of them.
    pub(crate) fn sending(&self, parent: Ino, name: &str) -> rusqlite::Result<Option<Sending>> {
        self.sql
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM sending WHERE parent = ?1 AND name = ?2"
            ))?
            .query_row(params![parent.cast_signed(), name], read)
            .optional()
    }

    /// All of them: as many as there are requests at a time.
    pub(crate) fn all_sending(&self) -> rusqlite::Result<Vec<Sending>> {
        self.sql
            .prepare_cached(&format!("SELECT {COLUMNS} FROM sending"))?
            .query_map([], read)?
            .collect()
    }
}

const DIGEST: usize = 32;
/// Versions that are remembered: so many in a row are hardly sent without any answer.
const VERSIONS: usize = 16;

/// Adds a digest to some, as the newest of them.
pub(crate) fn add_digest(all: &mut Option<Vec<u8>>, digest: &[u8]) {
    let mut known = all.take().unwrap_or_default();
    let mut kept: Vec<&[u8]> = known.chunks(DIGEST).filter(|it| *it != digest).collect();
    kept.push(digest);
    let first = kept.len().saturating_sub(VERSIONS);
    known = kept[first..].concat();
    *all = Some(known);
}

/// Stands among digests for a version of which none is known, as it is sent in parts or is long: by its
/// length and its time in ns no other version is taken for it.
pub(crate) fn mark(size: u64, mtime_ns: i64) -> [u8; DIGEST] {
    let mut mark = [0; DIGEST];
    mark[..8].copy_from_slice(&size.to_le_bytes());
    mark[8..16].copy_from_slice(&mtime_ns.to_le_bytes());
    mark
}

/// Whether a digest is among some.
pub(crate) fn has_digest(all: Option<&[u8]>, digest: &[u8]) -> bool {
    all.is_some_and(|all| all.chunks(DIGEST).any(|it| it == digest))
}

#[cfg(test)]
mod tests {
    use super::{VERSIONS, add_digest, has_digest};

    #[test]
    fn the_newest_digests_are_kept_and_the_newest_is_the_last() {
        let mut all = None;
        for number in 0..=16 {
            add_digest(&mut all, &[number; 32]);
        }
        add_digest(&mut all, &[7; 32]);
        assert_eq!(all.as_ref().map(Vec::len), Some(VERSIONS * 32));
        assert!(all.as_ref().is_some_and(|all| all.ends_with(&[7; 32])));
        let known = |number: u8| has_digest(all.as_deref(), &[number; 32]);
        assert_eq!((known(0), known(1), known(16)), (false, true, true));
    }
}
