//! Rows of work: names and nodes that are not on the server as they are here.

use rusqlite::{Row, params};

use super::Db;
use crate::fs::Ino;

/// A name, or with the parent 0 a node by its number, to be made alike.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) parent: Ino,
    pub(crate) name: String,
    /// In ms; 0: somebody waits for it, or it makes room.
    pub(crate) due: i64,
    pub(crate) attempts: u32,
    pub(crate) blocked: Option<String>,
    pub(crate) error: Option<String>,
}

impl Work {
    /// For a name that differs without anybody having said so.
    pub(crate) fn unknown(parent: Ino, name: &str) -> Self {
        Self {
            parent,
            name: name.to_owned(),
            due: 0,
            attempts: 0,
            blocked: None,
            error: None,
        }
    }

    /// The node, when it is about one.
    pub(crate) fn node(&self) -> Option<Ino> {
        (self.parent == 0).then(|| self.name.parse().unwrap_or(0))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Work> {
    Ok(Work {
        parent: row.get::<_, i64>(0)?.cast_unsigned(),
        name: row.get(1)?,
        due: row.get(2)?,
        attempts: row.get(3)?,
        blocked: row.get(4)?,
        error: row.get(5)?,
    })
}

const COLUMNS: &str = "parent, name, due, attempts, blocked, error";

impl Db {
    /// After a change of a name: to be made alike at `due_ms`, if it differs.
    pub(crate) fn mark_name(&self, parent: Ino, name: &str, due_ms: i64) -> rusqlite::Result<()> {
        let here = self.entry(parent, name)?;
        let there = self.synced(parent, name)?;
        if here == there {
            if self.uncover(parent, name)? && here.is_none() {
                self.set_again(parent)?;
            }
            return self.remove_work(parent, name);
        }
        self.put_work(parent, name, here.is_none(), due_ms)
    }

    /// After a change of a name, which is now what it is on the server.
    pub(crate) fn mark_same(&self, parent: Ino, name: &str) -> rusqlite::Result<()> {
        self.uncover(parent, name)?;
        self.remove_work(parent, name)
    }

    /// Another's file or folder has a name that is taken here by what was not sent yet. The request
    /// would meet it; but should the name become free without one, it has to be asked for.
    pub(crate) fn cover(&self, parent: Ino, name: &str) -> rusqlite::Result<()> {
        self.set_meta(&covered(parent, name), Some(""))
    }

    fn uncover(&self, parent: Ino, name: &str) -> rusqlite::Result<bool> {
        self.sql
            .prepare_cached("DELETE FROM meta WHERE key = ?1")?
            .execute([covered(parent, name)])
            .map(|count| count > 0)
    }

    /// After a change of a node's content or attributes.
    pub(crate) fn mark_node(&self, ino: Ino, due_ms: i64) -> rusqlite::Result<()> {
        let name = ino.to_string();
        let there = !self.synced_of(ino)?.is_empty();
        let node = self.node(ino)?;
        let differs = node
            .as_ref()
            .is_some_and(|node| node.is_changed() || node.attributes_dirty != 0);
        if differs && (there || ino == crate::fs::ROOT) {
            // Shrinking makes room for what waits for it.
            let urgent = node.is_some_and(|node| node.size < node.base_size);
            return self.put_work(0, &name, urgent, due_ms);
        }
        self.remove_work(0, &name)
    }

    /// As [`Self::mark_node`], for its names that are not on the server yet as well.
    pub(crate) fn mark_all(&self, ino: Ino, due_ms: i64) -> rusqlite::Result<()> {
        self.mark_node(ino, due_ms)?;
        for (parent, name) in self.entries_of(ino)? {
            if self.synced(parent, &name)? != Some(ino) {
                self.mark_name(parent, &name, due_ms)?;
            }
        }
        Ok(())
    }

    fn put_work(&self, parent: Ino, name: &str, urgent: bool, due_ms: i64) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "INSERT INTO work (parent, name, urgent, due) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (parent, name) DO UPDATE SET urgent = ?3, due = ?4, attempts = 0, \
                 blocked = NULL",
            )?
            .execute(params![parent.cast_signed(), name, urgent, due_ms])
            .map(drop)
    }

    fn remove_work(&self, parent: Ino, name: &str) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("DELETE FROM work WHERE parent = ?1 AND name = ?2")?
            .execute(params![parent.cast_signed(), name])
            .map(drop)
    }

    /// Work that is due: what makes room first, then what somebody waits for (due at once), then by
    /// the time it is due at. What is not due yet, thousands of files perhaps, is not looked at.
    /// `most_bytes`: without content that is longer.
    pub(crate) fn due_work(
        &self,
        now_ms: i64,
        limit: usize,
        most_bytes: Option<u64>,
    ) -> rusqlite::Result<Vec<Work>> {
        let mut due = Vec::new();
        let most_bytes = most_bytes.map(u64::cast_signed);
        for urgent in [true, false] {
            let mut statement = self.sql.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM work WHERE urgent = ?1 AND due <= ?2 \
                 AND (?4 IS NULL OR NOT EXISTS (SELECT 1 FROM node \
                 WHERE content <> 0 AND size > ?4 AND ino = CASE work.parent WHEN 0 \
                 THEN CAST(work.name AS INTEGER) ELSE (SELECT entry.ino FROM entry \
                 WHERE entry.parent = work.parent AND entry.name = work.name) END)) \
                 ORDER BY due, id LIMIT ?3"
            ))?;
            let left = i64::try_from(limit - due.len()).unwrap_or(i64::MAX);
            let found = statement.query_map(params![urgent, now_ms, left, most_bytes], read)?;
            for work in found {
                due.push(work?);
            }
        }
        Ok(due)
    }

    /// When the next work is due, if that is later than now.
    pub(crate) fn next_due(&self, now_ms: i64) -> rusqlite::Result<Option<i64>> {
        let mut next = None;
        for urgent in [true, false] {
            let due: Option<i64> = self
                .sql
                .prepare_cached("SELECT MIN(due) FROM work WHERE urgent = ?1 AND due > ?2")?
                .query_row(params![urgent, now_ms], |row| row.get(0))?;
            next = [next, due].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// It did not work; to be tried again at `due_ms`.
    pub(crate) fn work_failed(
        &self,
        work: &Work,
        due_ms: i64,
        error: &str,
        blocked: Option<&str>,
    ) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "UPDATE work SET attempts = attempts + 1, due = ?3, error = ?4, blocked = ?5 \
                 WHERE parent = ?1 AND name = ?2",
            )?
            .execute(params![
                work.parent.cast_signed(),
                work.name,
                due_ms,
                error,
                blocked
            ])
            .map(drop)
    }

    /// All work is due now; only what is blocked for a reason, if one is given.
    pub(crate) fn all_due(&self, blocked: Option<&str>) -> rusqlite::Result<()> {
        match blocked {
            Some(reason) => self
                .sql
                .prepare_cached("UPDATE work SET due = 0 WHERE blocked = ?1")?
                .execute([reason]),
            None => self
                .sql
                .prepare_cached("UPDATE work SET due = 0, blocked = NULL, attempts = 0")?
                .execute([]),
        }
        .map(drop)
    }

    /// What failed for a reason that may be over is due now; what somebody has to act on is not.
    pub(crate) fn failed_due(&self) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "UPDATE work SET due = 0, attempts = 0, blocked = NULL WHERE attempts > 0 \
                 AND (blocked IS NULL OR blocked IN ('unreachable', 'busy'))",
            )?
            .execute([])
            .map(drop)
    }

    /// Somebody asks for this: what failed is tried again at once, unless somebody has to act.
    pub(crate) fn try_again(&self, parent: Ino, name: &str) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "UPDATE work SET due = 0, attempts = 0, blocked = NULL \
                 WHERE parent = ?1 AND name = ?2 AND (blocked IS NULL \
                 OR blocked NOT IN ('quota', 'login', 'permission'))",
            )?
            .execute(params![parent.cast_signed(), name])
            .map(drop)
    }

    /// What only rests for a while, lest more comes, is due now.
    pub(crate) fn resting_due(&self) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("UPDATE work SET due = 0 WHERE due > 0 AND attempts = 0")?
            .execute([])
            .map(drop)
    }

    /// What is waited for is due at once, though it has become due later meanwhile: a file that is
    /// open has been sent, but not with all that was written. What has failed keeps its pause.
    pub(crate) fn due_at_once(&self, parent: Ino, name: &str) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached(
                "UPDATE work SET due = 0 WHERE parent = ?1 AND name = ?2 AND due > 0 AND attempts = 0",
            )?
            .execute(params![parent.cast_signed(), name])
            .map(drop)
    }

    /// Work on names in a folder is due now.
    pub(crate) fn due_in(&self, parent: Ino) -> rusqlite::Result<()> {
        self.sql
            .prepare_cached("UPDATE work SET due = 0 WHERE parent = ?1")?
            .execute([parent.cast_signed()])
            .map(drop)
    }

    /// One row of work.
    pub(crate) fn work(&self, parent: Ino, name: &str) -> rusqlite::Result<Option<Work>> {
        use rusqlite::OptionalExtension;
        self.sql
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM work WHERE parent = ?1 AND name = ?2"
            ))?
            .query_row(params![parent.cast_signed(), name], read)
            .optional()
    }

    /// Whether names in a folder are to be sent, and can be.
    pub(crate) fn has_work_in(&self, parent: Ino) -> rusqlite::Result<bool> {
        self.sql
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM work WHERE parent = ?1 AND blocked IS NULL)",
            )?
            .query_row([parent.cast_signed()], |row| row.get(0))
    }

    /// Work on names in a folder.
    pub(crate) fn work_in(&self, parent: Ino) -> rusqlite::Result<Vec<Work>> {
        self.sql
            .prepare_cached(&format!("SELECT {COLUMNS} FROM work WHERE parent = ?1"))?
            .query_map([parent.cast_signed()], read)?
            .collect()
    }

    /// All work that cannot be done for now.
    pub(crate) fn blocked_work(&self) -> rusqlite::Result<Vec<Work>> {
        self.sql
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM work WHERE blocked IS NOT NULL ORDER BY id LIMIT 1000"
            ))?
            .query_map([], read)?
            .collect()
    }

    /// How many (names, nodes, of these blocked) there are to do.
    pub(crate) fn count_work(&self) -> rusqlite::Result<(u64, u64, u64)> {
        self.sql
            .prepare_cached(
                "SELECT COALESCE(SUM(parent <> 0), 0), COALESCE(SUM(parent = 0), 0), \
                 COALESCE(SUM(blocked IS NOT NULL), 0) FROM work",
            )?
            .query_row([], |row| {
                let number = |at| row.get(at).map(i64::cast_unsigned);
                Ok((number(0)?, number(1)?, number(2)?))
            })
    }
}

fn covered(parent: Ino, name: &str) -> String {
    format!("covered {parent} {name}")
}

#[cfg(test)]
mod tests {
    use super::Db;

    #[test]
    fn due_is_what_makes_room_then_what_is_waited_for_then_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path()).unwrap();
        for (name, urgent, due_ms) in [
            ("later", false, 900),
            ("third", false, 700),
            ("second", false, 0),
            ("much later", true, 5_000),
            ("first", true, 800),
        ] {
            db.put_work(1, name, urgent, due_ms).unwrap();
        }
        let due = |limit| -> Vec<String> {
            let due = db.due_work(800, limit, None).unwrap();
            due.into_iter().map(|work| work.name).collect()
        };
        assert_eq!(due(9), ["first", "second", "third"]);
        assert_eq!(due(2), ["first", "second"]);
        assert_eq!(db.next_due(800).unwrap(), Some(900));
        assert_eq!(db.next_due(900).unwrap(), Some(5_000));
        assert_eq!(db.next_due(5_000).unwrap(), None);
    }
}
