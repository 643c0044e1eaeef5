//! Listings of folders, as this machine sees them. Only as many rows are read as are asked for, and of
//! each no more than is told: a long listing has nothing else to wait for.

use rusqlite::params;

use super::Db;
use crate::fs::{Ino, Stat};

impl Db {
    /// Tells the names in a folder that come after a place in their order, with their attributes as they
    /// were kept last, until `each` answers `true`.
    pub(crate) fn each_member(
        &self,
        parent: Ino,
        after: u64,
        mut each: impl FnMut(u64, &str, Stat) -> bool,
    ) -> rusqlite::Result<()> {
        let mut statement = self.sql.prepare_cached(
            "SELECT place, name, node.ino, mode, nlink, uid, gid, rdev, \
             COALESCE(LENGTH(target), size), atime, mtime, ctime \
             FROM entry JOIN node ON node.ino = entry.ino \
             WHERE parent = ?1 AND place > ?2 ORDER BY place",
        )?;
        let mut rows = statement.query(params![parent.cast_signed(), after.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let number = |column| row.get(column).map(i64::cast_unsigned);
            let size = number(8)?;
            let stat = Stat {
                ino: number(2)?,
                mode: row.get(3)?,
                nlink: row.get(4)?,
                uid: row.get(5)?,
                gid: row.get(6)?,
                rdev: number(7)?,
                size,
                blocks: size.div_ceil(512),
                atime_ns: row.get(9)?,
                mtime_ns: row.get(10)?,
                ctime_ns: row.get(11)?,
            };
            if each(number(0)?, row.get_ref(1)?.as_str()?, stat) {
                break;
            }
        }
        Ok(())
    }

    /// As [`Self::each_member`], with no more of each than its number and mode.
    pub(crate) fn each_name(
        &self,
        parent: Ino,
        after: u64,
        mut each: impl FnMut(u64, &str, Ino, u32) -> bool,
    ) -> rusqlite::Result<()> {
        let mut statement = self.sql.prepare_cached(
            "SELECT place, name, node.ino, mode FROM entry JOIN node ON node.ino = entry.ino \
             WHERE parent = ?1 AND place > ?2 ORDER BY place",
        )?;
        let mut rows = statement.query(params![parent.cast_signed(), after.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let number = |column| row.get(column).map(i64::cast_unsigned);
            let name = row.get_ref(1)?.as_str()?;
            if each(number(0)?, name, number(2)?, row.get(3)?) {
                break;
            }
        }
        Ok(())
    }
}
