//! Rows of names: `entry`, as this machine sees them, and `synced`, as the server has them.

use rusqlite::{OptionalExtension, params};

use super::Db;
use crate::clock::now_ns;
use crate::drive::DrivePath;
use crate::fs::{Ino, ROOT};

/// A name in a folder.
pub(crate) type Name = (Ino, String);

impl Db {
    fn find(&self, statement: &str, parent: Ino, name: &str) -> rusqlite::Result<Option<Ino>> {
        self.sql
            .prepare_cached(statement)?
            .query_row(params![parent.cast_signed(), name], |row| {
                row.get(0).map(i64::cast_unsigned)
            })
            .optional()
    }

    fn names(&self, statement: &str, ino: Ino) -> rusqlite::Result<Vec<Name>> {
        self.sql
            .prepare_cached(statement)?
            .query_map([ino.cast_signed()], |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
            })?
            .collect()
    }

    /// What has a name here.
    pub(crate) fn entry(&self, parent: Ino, name: &str) -> rusqlite::Result<Option<Ino>> {
        self.find(
            "SELECT ino FROM entry WHERE parent = ?1 AND name = ?2",
            parent,
            name,
        )
    }

    /// What has a name on the server.
    pub(crate) fn synced(&self, parent: Ino, name: &str) -> rusqlite::Result<Option<Ino>> {
        self.find(
            "SELECT ino FROM synced WHERE parent = ?1 AND name = ?2",
            parent,
            name,
        )
    }

    /// Its names here.
    pub(crate) fn entries_of(&self, ino: Ino) -> rusqlite::Result<Vec<Name>> {
        self.names("SELECT parent, name FROM entry WHERE ino = ?1", ino)
    }

    /// Its names on the server.
    pub(crate) fn synced_of(&self, ino: Ino) -> rusqlite::Result<Vec<Name>> {
        self.names("SELECT parent, name FROM synced WHERE ino = ?1", ino)
    }

    /// Whether it has a name here.
    pub(crate) fn has_entry(&self, ino: Ino) -> rusqlite::Result<bool> {
        self.sql
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM entry WHERE ino = ?1)")?
            .query_row([ino.cast_signed()], |row| row.get(0))
    }

    /// Whether any node has lost a name here since this was asked last: asking forgets it.
    pub(crate) fn forget_names_taken(&self) -> bool {
        self.names_taken.replace(false)
    }

    /// As if a node had lost a name just now.
    pub(crate) fn remember_names_taken(&self) {
        self.names_taken.set(true);
    }

    /// Gives a name here; the name must be free. Its place is behind all that were ever in the folder,
    /// so that who is listing it does not miss a name for its having been given anew meanwhile. The
    /// time makes it so, in µs, or else the last place.
    pub(crate) fn add_entry(&self, parent: Ino, name: &str, ino: Ino) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "INSERT INTO entry (parent, place, name, ino) VALUES (?1, MAX(?4, \
                 (SELECT COALESCE(MAX(place), 0) + 1 FROM entry WHERE parent = ?1)), ?2, ?3)",
            )?
            .execute(params![
                parent.cast_signed(),
                name,
                ino.cast_signed(),
                now_ns() / 1_000
            ])
            .map(drop)
    }

    /// Takes a name here.
    pub(crate) fn remove_entry(&self, parent: Ino, name: &str) -> rusqlite::Result<()> {
        self.names_taken.set(true);
        self.sql
            .prepare_cached("DELETE FROM entry WHERE parent = ?1 AND name = ?2")?
            .execute(params![parent.cast_signed(), name])
            .map(drop)
    }

    /// The server has it under this name.
    pub(crate) fn put_synced(&self, parent: Ino, name: &str, ino: Ino) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "INSERT OR REPLACE INTO synced (parent, name, ino) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![parent.cast_signed(), name, ino.cast_signed()])
            .map(drop)
    }

    /// All names of a node, here and there, become those of another.
    pub(crate) fn hand_over_names(&self, from: Ino, to: Ino) -> rusqlite::Result<()> {
        self.names_taken.set(true);
        for statement in [
            "UPDATE entry SET ino = ?2 WHERE ino = ?1",
            "UPDATE synced SET ino = ?2 WHERE ino = ?1",
        ] {
            self.sql
                .prepare_cached(statement)?
                .execute(params![from.cast_signed(), to.cast_signed()])?;
        }
        Ok(())
    }

    /// The server has nothing under this name.
    pub(crate) fn remove_synced(&self, parent: Ino, name: &str) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("DELETE FROM synced WHERE parent = ?1 AND name = ?2")?
            .execute(params![parent.cast_signed(), name])
            .map(drop)
    }

    /// Whether anything is in a folder here.
    pub(crate) fn has_entries(&self, parent: Ino) -> rusqlite::Result<bool> {
        self.sql
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM entry WHERE parent = ?1)")?
            .query_row([parent.cast_signed()], |row| row.get(0))
    }

    /// What is in a folder on the server.
    pub(crate) fn synced_members(&self, parent: Ino) -> rusqlite::Result<Vec<(String, Ino)>> {
        self.sql
            .prepare_cached("SELECT name, ino FROM synced WHERE parent = ?1")?
            .query_map([parent.cast_signed()], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })?
            .collect()
    }

    /// Whether a node is a folder, or lies in it, by its names here.
    pub(crate) fn lies_in(&self, ino: Ino, folder: Ino) -> rusqlite::Result<bool> {
        let mut at = ino;
        while at != folder {
            let above = self.entries_of(at)?.into_iter().next();
            let Some((parent, _)) = above.filter(|_| at != ROOT) else {
                return Ok(false);
            };
            at = parent;
        }
        Ok(true)
    }

    /// Folders in which anything is on the server.
    pub(crate) fn synced_folders(&self) -> rusqlite::Result<Vec<Ino>> {
        self.sql
            .prepare_cached("SELECT DISTINCT parent FROM synced")?
            .query_map([], |row| row.get(0).map(i64::cast_unsigned))?
            .collect()
    }

    /// Folders, this or below it, with anything in them that was sent there and not told since.
    pub(crate) fn untold_below(&self, folder: Ino) -> rusqlite::Result<Vec<Ino>> {
        self.below(
            folder,
            "SELECT DISTINCT parent FROM below JOIN synced ON parent = below.ino \
             JOIN node ON node.ino = synced.ino WHERE remote_id IS NULL",
        )
    }

    /// Folders of which all names are known, this or below it on the server.
    pub(crate) fn complete_below(&self, folder: Ino) -> rusqlite::Result<Vec<Ino>> {
        self.below(
            folder,
            "SELECT node.ino FROM below JOIN node ON node.ino = below.ino \
             WHERE mode & 61440 = 16384 AND complete",
        )
    }

    /// What `select` finds by the help of `below`: this folder, and all below it on the server.
    fn below(&self, folder: Ino, select: &str) -> rusqlite::Result<Vec<Ino>> {
        self.sql
            .prepare_cached(&format!(
                "WITH RECURSIVE below (ino) AS (SELECT ?1 \
                 UNION SELECT synced.ino FROM below JOIN synced ON parent = below.ino) {select}"
            ))?
            .query_map([folder.cast_signed()], |row| {
                row.get(0).map(i64::cast_unsigned)
            })?
            .collect()
    }

    /// A path of a node on the server.
    pub(crate) fn remote_path(&self, ino: Ino) -> rusqlite::Result<Option<DrivePath>> {
        self.path(ino, Self::synced_of)
    }

    /// A path of a node here.
    pub(crate) fn local_path(&self, ino: Ino) -> rusqlite::Result<Option<DrivePath>> {
        self.path(ino, Self::entries_of)
    }

    /// The path of a name on the server, in a folder that is there.
    pub(crate) fn remote_name(
        &self,
        parent: Ino,
        name: &str,
    ) -> rusqlite::Result<Option<DrivePath>> {
        Ok(self.remote_path(parent)?.and_then(|path| path.join(name)))
    }

    fn path(
        &self,
        ino: Ino,
        names: impl Fn(&Self, Ino) -> rusqlite::Result<Vec<Name>>,
    ) -> rusqlite::Result<Option<DrivePath>> {
        let mut path = Vec::new();
        let mut at = ino;
        while at != ROOT {
            // Deeper than any server goes: a circle, which must not be followed.
            if path.len() > 4096 {
                return Ok(None);
            }
            let Some((parent, name)) = names(self, at)?.into_iter().next() else {
                return Ok(None);
            };
            path.push(name);
            at = parent;
        }
        path.reverse();
        Ok(DrivePath::new(path))
    }
}
