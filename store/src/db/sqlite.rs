//! SQLite: one writer thread with group commit, a few read-only connections.

mod parking;
mod writer;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use self::parking::Parking;
use self::writer::{Mutation, Pending};
use super::{Connection as TxConnection, OnCommit, Tx, migrate, panicked};
use crate::error::{DatabaseError, Error, Result};

/// Read-only connections.
const READERS: usize = 4;
/// Prepared statements each connection keeps.
const STATEMENT_CACHE: usize = 256;
/// Pages of the log after which a commit moves them into the database file. SQLite's own 1000 are
/// reached every few hundred small files; what is written often is then moved as often.
const CHECKPOINT_PAGES: u32 = 16_000;

pub(super) struct Sqlite {
    writer: std::sync::Mutex<Option<mpsc::Sender<Box<dyn Mutation>>>>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Parking<Connection>>,
}

impl Sqlite {
    pub async fn open(path: PathBuf, on_commit: OnCommit, now_ms: i64) -> Result<Self> {
        let opened = tokio::task::spawn_blocking(move || -> Result<Self> {
            let writer = connect(
                &path,
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            )?;
            writer.pragma_update(None, "journal_mode", "WAL")?;
            // FULL: a commit is on stable storage before it is acknowledged (P1).
            writer.pragma_update(None, "synchronous", "FULL")?;
            writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            migrate::run(&mut TxConnection::Sqlite(&writer), now_ms)?;
            let mut readers = Vec::new();
            for _ in 0..READERS {
                readers.push(connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?);
            }
            let (sender, jobs) = mpsc::channel();
            let thread = std::thread::Builder::new()
                .name("sqlite-writer".into())
                .spawn(move || writer::run(&writer, &jobs, &on_commit))
                .map_err(Error::io("starting the database writer"))?;
            Ok(Self {
                writer: std::sync::Mutex::new(Some(sender)),
                thread: std::sync::Mutex::new(Some(thread)),
                readers: Arc::new(Parking::new(readers)),
            })
        });
        opened.await.map_err(|_| panicked())?
    }

    pub async fn read<T, F>(&self, work: F) -> Result<(Result<T>, u64)>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let place = self.readers.take().await?;
        tokio::task::spawn_blocking(move || {
            let connection = place.get();
            // One snapshot for all statements of the read.
            connection.execute_batch("BEGIN")?;
            let mut tx = Tx::new(TxConnection::Sqlite(connection));
            let result = catch_unwind(AssertUnwindSafe(|| work(&mut tx)))
                .unwrap_or_else(|_| Err(panicked()));
            let statements = tx.statements;
            if connection.execute_batch("COMMIT").is_err() {
                connection.execute_batch("ROLLBACK")?;
            }
            Ok((result, statements))
        })
        .await
        .map_err(|_| panicked())?
    }

    pub async fn write<T, F>(&self, work: F) -> Result<(Result<T>, u64)>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let mutation = Box::new(Pending::new(work, reply));
        {
            let sender = self.writer.lock().expect("no panic while held");
            sender
                .as_ref()
                .ok_or_else(closed)?
                .send(mutation)
                .map_err(|_| closed())?;
        }
        answer.await.map_err(|_| closed())
    }

    pub async fn close(&self) {
        drop(self.writer.lock().expect("no panic while held").take());
        let thread = self.thread.lock().expect("no panic while held").take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn closed() -> Error {
    Error::Database(DatabaseError("the database is closed".into()))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -32_000)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

/// The same statement with SQLite's own spelling of numbered parameters.
///
/// SQLite takes `$1` for a name and numbers names in the order in which they
/// appear; only `?1` means the first argument wherever it stands.
pub(super) fn numbered(sql: &'static str) -> &'static str {
    static SPELLINGS: RwLock<Option<HashMap<(usize, usize), &'static str>>> = RwLock::new(None);
    // A statement's text is never freed, so its address stands for it.
    let key = (sql.as_ptr() as usize, sql.len());
    if let Some(spelling) = SPELLINGS
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .and_then(|spellings| spellings.get(&key))
    {
        return spelling;
    }
    let spelling: &'static str = Box::leak(sql.replace('$', "?").into_boxed_str());
    let mut spellings = SPELLINGS.write().unwrap_or_else(PoisonError::into_inner);
    spellings.get_or_insert_default().insert(key, spelling);
    spelling
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Effect;
    use crate::db::args;

    async fn open(folder: &tempfile::TempDir) -> Sqlite {
        let path = folder.path().join("coffer.db");
        Sqlite::open(path, Arc::new(|_: &[Effect]| ()), 0)
            .await
            .unwrap()
    }

    async fn write_one(database: &Sqlite) -> Result<()> {
        let one = |tx: &mut Tx<'_>| tx.execute("DELETE FROM setting WHERE name = ''", args![]);
        database.write(one).await?.0.map(|_| ())
    }

    #[tokio::test]
    async fn a_database_that_somebody_else_writes_to_is_busy_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder).await;
        let other = Connection::open(folder.path().join("coffer.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = write_one(&database).await.unwrap_err();
        assert_eq!(error.to_string(), "database: database is locked");
        other.execute_batch("ROLLBACK").unwrap();
        write_one(&database).await.unwrap();
    }
}
