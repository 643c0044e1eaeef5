//! What the mount knows, in one SQLite file.
//!
//! Two trees: `entry` is what this machine sees, `synced` is what the server has as far as we know.
//! Where they differ there is a row in `work`, written by the transaction that made the difference.
//! A change is committed before its caller is answered, so it survives the death of the process;
//! what is fsynced survives that of the machine.

mod leaving;
mod listing;
mod node;
mod sending;
mod tree;
mod work;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::sync::Notify;

use crate::errno::Fault;
use crate::fs::StartError;

use self::leaving::Leaving;
pub(crate) use self::node::{
    AGAIN, ATTRIBUTES, Content, ECHOED, Node, XATTRS, decode_xattrs, encode_xattrs,
};
pub(crate) use self::sending::{Sending, Sent, add_digest, has_digest, mark};
pub(crate) use self::tree::Name;
pub(crate) use self::work::Work;

/// Format of the state that this version reads: the tables below.
pub const VERSION: i64 = 2;

/// Pages of the state.
const PAGE_BYTES: i64 = 1 << 10;
/// So long the log becomes before what is in it is moved into the state.
const LOG_BYTES: i64 = 16 << 20;

/// Each index is one more page, or two, for nearly every change: there is none that another can do the
/// work of. Names lie in the order of their folder, as they are listed.
const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE node (
    ino INTEGER PRIMARY KEY AUTOINCREMENT,
    remote_id TEXT, mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,
    rdev INTEGER NOT NULL, target BLOB, size INTEGER NOT NULL,
    atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
    xattrs BLOB, nlink INTEGER NOT NULL, etag TEXT, sha256 BLOB, base_size INTEGER NOT NULL,
    content INTEGER NOT NULL, attributes_dirty INTEGER NOT NULL,
    generation INTEGER NOT NULL, version INTEGER NOT NULL, pushed INTEGER NOT NULL,
    attribute_version INTEGER NOT NULL, present BLOB, dirty BLOB, cached INTEGER NOT NULL,
    pinned INTEGER NOT NULL, used_at INTEGER NOT NULL,
    listed_at INTEGER NOT NULL, complete INTEGER NOT NULL, sent_sha256 BLOB
);
CREATE INDEX node_remote ON node (remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX node_used ON node (used_at) WHERE cached > 0;
CREATE INDEX node_changed ON node (content) WHERE content <> 0;
CREATE TABLE entry (
    parent INTEGER NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, ino INTEGER NOT NULL,
    PRIMARY KEY (parent, place)
) WITHOUT ROWID;
CREATE UNIQUE INDEX entry_name ON entry (parent, name);
CREATE INDEX entry_ino ON entry (ino);
CREATE TABLE synced (
    parent INTEGER NOT NULL, name TEXT NOT NULL, ino INTEGER NOT NULL, PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE INDEX synced_ino ON synced (ino);
CREATE TABLE sending (
    parent INTEGER NOT NULL, name TEXT NOT NULL, ino INTEGER NOT NULL, what INTEGER NOT NULL,
    from_parent INTEGER, from_name TEXT, mode INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime INTEGER NOT NULL, version INTEGER NOT NULL, sha256 BLOB, remote_id TEXT, etag TEXT,
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE INDEX sending_from ON sending (from_parent, from_name) WHERE from_parent IS NOT NULL;
CREATE TABLE work (
    id INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL, name TEXT NOT NULL, urgent INTEGER NOT NULL, due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, error TEXT, blocked TEXT
);
CREATE UNIQUE INDEX work_name ON work (parent, name);
CREATE INDEX work_due ON work (urgent, due);
";

/// The local state; whoever holds it has the cache for itself.
pub(crate) struct Db {
    sql: Connection,
    wal: PathBuf,
    /// Held for as long as the mount lasts.
    lock: std::fs::File,
    closed: Arc<AtomicBool>,
    cache: PathBuf,
    leaving: RefCell<Leaving>,
    /// Content files wait for the log to be synced.
    pub(crate) waits: Arc<Notify>,
    /// Names were taken from nodes since somebody asked.
    names_taken: Cell<bool>,
    /// Ended without [`Db::end`].
    pub(crate) unclean: bool,
    /// The machine has been started anew since.
    pub(crate) rebooted: bool,
}

impl Db {
    /// Opens or makes the state in a cache folder.
    pub(crate) fn open(cache: &Path) -> Result<Self, StartError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Io { path, source }
        };
        std::fs::create_dir_all(cache).map_err(at(cache))?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(cache, private).map_err(at(cache))?;
        let path = cache.join("lock");
        let lock = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(at(&path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| StartError::InUse {
            cache: cache.to_owned(),
        })?;
        let path = cache.join("state.db");
        let damaged = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StartError::Damaged {
                cache: cache.to_owned(),
                detail: error.to_string(),
            },
            _ => StartError::Io {
                path: path.clone(),
                source: std::io::Error::other(error),
            },
        };
        let sql = Connection::open(&path).map_err(damaged)?;
        let found = prepare(&sql).map_err(damaged)?;
        if found != VERSION {
            return Err(StartError::Version {
                cache: cache.to_owned(),
                found,
                expected: VERSION,
            });
        }
        let mut db = Self {
            sql,
            wal: cache.join("state.db-wal"),
            lock,
            closed: Arc::default(),
            cache: cache.to_owned(),
            leaving: RefCell::default(),
            waits: Arc::default(),
            names_taken: Cell::default(),
            unclean: false,
            rebooted: false,
        };
        db.begin().map_err(damaged)?;
        // A power cut must not take that a mount was running.
        db.sync_log().map_err(|fault| StartError::Io {
            path: db.wal.clone(),
            source: std::io::Error::other(fault),
        })?;
        if db.unclean {
            let check = db.quick_check().map_err(damaged)?;
            if check != "ok" {
                return Err(StartError::Damaged {
                    cache: cache.to_owned(),
                    detail: check,
                });
            }
        }
        Ok(db)
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let running = self.meta("running")?;
        self.unclean = running.is_some();
        self.rebooted = running.is_some_and(|last| last != boot);
        self.set_meta("running", Some(&boot))
    }

    fn quick_check(&self) -> rusqlite::Result<String> {
        self.sql
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
    }

    /// The end in good order: the next start need not look for what a crash left.
    pub(crate) fn end(&self) -> rusqlite::Result<()> {
        self.set_meta("running", None)?;
        self.stop();
        Ok(())
    }

    /// No more changes; another mount may take the cache.
    pub(crate) fn stop(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = flock(&self.lock, FlockOperation::NonBlockingUnlock);
    }

    /// Makes all that `change` does, or nothing.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Errno::NODEV.into());
        }
        self.execute("BEGIN IMMEDIATE")?;
        let result = change(self).and_then(|value| {
            self.execute("COMMIT")?;
            Ok(value)
        });
        if result.is_err() && !self.sql.is_autocommit() {
            self.execute("ROLLBACK")?;
        }
        self.content_leaves(result.is_ok());
        result
    }

    /// Whether a change is being made.
    pub(crate) fn in_change(&self) -> bool {
        !self.sql.is_autocommit()
    }

    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.sql.prepare_cached(statement)?.execute([]).map(drop)
    }

    /// The file which, once synced, makes every change so far survive the machine; none where there
    /// is nothing to be synced.
    pub(crate) fn log(&self) -> Result<Option<std::fs::File>, Fault> {
        // A change is in the file of the log once committed; only the disk does not have it yet.
        match std::fs::File::open(&self.wal) {
            Ok(wal) => Ok(Some(wal)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_log(&self) -> Result<(), Fault> {
        if let Some(log) = self.log()? {
            log.sync_data()?;
        }
        Ok(())
    }

    /// A remembered word.
    pub(crate) fn meta(&self, key: &str) -> rusqlite::Result<Option<String>> {
        self.sql
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()
    }

    /// Remembers a word, or forgets it.
    pub(crate) fn set_meta(&self, key: &str, value: Option<&str>) -> rusqlite::Result<()> {
        match value {
            Some(value) => self
                .sql
                .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
                .execute(params![key, value]),
            None => self
                .sql
                .prepare_cached("DELETE FROM meta WHERE key = ?1")?
                .execute([key]),
        }
        .map(drop)
    }
}

/// Settings and tables; the version of the tables that are there.
fn prepare(sql: &Connection) -> rusqlite::Result<i64> {
    sql.set_prepared_statement_cache_capacity(128);
    // A change touches a row here and there in a dozen pages, and each goes to the log whole.
    sql.pragma_update(None, "page_size", PAGE_BYTES)?;
    sql.pragma_update(None, "journal_mode", "WAL")?;
    sql.pragma_update(None, "synchronous", "NORMAL")?;
    sql.pragma_update(None, "cache_size", -32_768)?;
    sql.pragma_update(None, "temp_store", "MEMORY")?;
    sql.pragma_update(None, "wal_autocheckpoint", LOG_BYTES / PAGE_BYTES)?;
    let found: i64 = sql.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = sql.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if found == 0 && tables == 0 {
        sql.execute_batch(&format!(
            "BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
        return Ok(VERSION);
    }
    Ok(found)
}
