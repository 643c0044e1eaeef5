//! A look at the local state of a mount, without changing it, be it in use or not.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

pub use crate::state::VERSION as FORMAT;

/// Names of what is waiting that are told.
const MOST_NAMES: i64 = 20;

/// What was found in the folder of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// Format of the state.
    pub format: i64,
    /// What SQLite says of it; `ok`, or what is wrong.
    pub check: String,
    /// How many names have something that is not on the server; `None` where that cannot be told.
    pub waiting: Option<u64>,
    /// Some of them.
    pub names: Vec<String>,
}

/// Looks. `None`: the folder has no state.
///
/// # Errors
/// What SQLite or the file system says; a file that is no database for one.
pub fn examine(cache: &Path) -> Result<Option<Examination>, rusqlite::Error> {
    let path = cache.join("state.db");
    if !path.exists() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = Connection::open_with_flags(path, flags)?;
    let number = |statement: &str| sql.query_row(statement, [], |row| row.get::<_, i64>(0));
    let format = number("PRAGMA user_version")?;
    let check = sql
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .unwrap_or_else(|error| error.to_string());
    // Another format may have no such table, and a damaged one may not be readable.
    let waiting = number("SELECT COUNT(*) FROM work").ok();
    Ok(Some(Examination {
        format,
        check,
        waiting: waiting.and_then(|count| u64::try_from(count).ok()),
        names: names(&sql).unwrap_or_default(),
    }))
}

fn names(sql: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = sql.prepare("SELECT name FROM work ORDER BY id LIMIT ?1")?;
    let rows = statement.query_map([MOST_NAMES], |row| row.get(0))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_state_and_one_with_rubbish() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(examine(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join("state.db"), [7; 8192]).unwrap();
        assert!(examine(folder.path()).is_err());
    }

    #[test]
    fn what_waits_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let sql = Connection::open(folder.path().join("state.db")).unwrap();
        sql.execute_batch(
            "PRAGMA user_version = 7; CREATE TABLE work (id INTEGER PRIMARY KEY, name TEXT);
             INSERT INTO work (name) VALUES ('a'), ('b');",
        )
        .unwrap();
        let found = examine(folder.path()).unwrap().unwrap();
        assert_eq!((found.format, found.waiting), (7, Some(2)));
        assert_eq!((found.check.as_str(), found.names.len()), ("ok", 2));
    }
}
