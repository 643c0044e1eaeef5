//! SQLite: one writer thread with group commit, a few read-only connections.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use parking::Parking;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::{Connection as TxConnection, OnCommit, Tx, migrate, panicked};
use crate::cache::Effect;
use crate::error::{DatabaseError, Error, Result};

/// Mutations that one commit makes durable together, at most.
const BATCH: usize = 256;
/// Read-only connections.
const READERS: usize = 4;
/// Prepared statements each connection keeps.
const STATEMENT_CACHE: usize = 256;

pub(super) struct Sqlite {
    writer: std::sync::Mutex<Option<mpsc::Sender<Job>>>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Parking<Connection>>,
}

/// A mutation on its way to the writer; without a connection it is not tried.
type Job = Box<dyn FnOnce(Option<&Connection>) -> Applied + Send>;

/// A mutation that was applied (or refused) and waits for the commit.
struct Applied {
    keep: bool,
    /// Why the whole transaction is gone, if it is.
    lost: Option<Error>,
    effects: Vec<Effect>,
    /// Tells the caller; `Err` when the commit failed.
    finish: Box<dyn FnOnce(Result<()>) + Send>,
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
            migrate::run(&mut TxConnection::Sqlite(&writer), now_ms)?;
            let mut readers = Vec::new();
            for _ in 0..READERS {
                readers.push(connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?);
            }
            let (sender, jobs) = mpsc::channel();
            let thread = std::thread::Builder::new()
                .name("sqlite-writer".into())
                .spawn(move || write_loop(&writer, &jobs, &on_commit))
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
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let Some(connection) = connection else {
                return Applied {
                    keep: false,
                    lost: None,
                    effects: Vec::new(),
                    finish: Box::new(move |committed| {
                        let error = committed.err().unwrap_or_else(closed);
                        let _ = reply.send((Err(error), 0));
                    }),
                };
            };
            let mut tx = Tx::new(TxConnection::Sqlite(connection));
            let result = catch_unwind(AssertUnwindSafe(|| work(&mut tx)))
                .unwrap_or_else(|_| Err(panicked()));
            let statements = tx.statements;
            // SQLite gives up more than the statement when the disk is full or fails.
            let lost = connection.is_autocommit().then(|| match &result {
                Err(error) => again(error),
                Ok(_) => Error::Database(DatabaseError("the transaction is gone".into())),
            });
            Applied {
                keep: result.is_ok(),
                lost,
                effects: std::mem::take(&mut tx.effects),
                finish: Box::new(move |committed| {
                    let result = committed.and(result);
                    // A caller that went away does not need to know.
                    let _ = reply.send((result, statements));
                }),
            }
        });
        {
            let sender = self.writer.lock().expect("no panic while held");
            sender
                .as_ref()
                .ok_or_else(closed)?
                .send(job)
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

/// Applies whatever waits inside one transaction, commits, then tells everyone.
fn write_loop(connection: &Connection, jobs: &mpsc::Receiver<Job>, on_commit: &OnCommit) {
    let mut poisoned = false;
    while let Ok(first) = jobs.recv() {
        let mut applied = Vec::new();
        let mut outcome = if poisoned {
            Err(after_failed_commit())
        } else {
            begin(connection)
        };
        let mut next = Some(first);
        while let Some(job) = next.take() {
            if outcome.is_err() {
                applied.push(job(None));
            } else {
                let (done, still_open) = apply(connection, job);
                applied.push(done);
                outcome = still_open;
            }
            if applied.len() < BATCH {
                next = jobs.try_recv().ok();
            }
        }
        if outcome.is_ok() {
            outcome = connection.execute_batch("COMMIT").map_err(Error::from);
            // After a failed sync the pages in memory and on disk may differ in
            // ways nobody can know; only a restart, which replays the log from
            // disk, is safe. A full disk is not that: nothing was written.
            if let Err(error) = &outcome
                && !matches!(error, Error::DiskFull)
            {
                tracing::error!(%error, "a commit failed; no more writes until restart");
                poisoned = true;
            }
        } else if let Err(error) = &outcome
            && !poisoned
        {
            tracing::error!(%error, "a transaction was lost before its commit");
        }
        if outcome.is_err() && !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        let committed = outcome.is_ok();
        if committed {
            for done in applied.iter().filter(|done| done.keep) {
                on_commit(&done.effects);
            }
        }
        for done in applied {
            (done.finish)(match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(again(error)),
            });
        }
    }
}

fn begin(connection: &Connection) -> Result<()> {
    Ok(connection.execute_batch("BEGIN IMMEDIATE")?)
}

/// Runs one mutation in a savepoint of its own, so that its failure is its own.
fn apply(connection: &Connection, job: Job) -> (Applied, Result<()>) {
    let run = |sql: &'static str| -> Result<()> {
        connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    if let Err(error) = run("SAVEPOINT mutation") {
        return (job(None), Err(error));
    }
    let mut done = job(Some(connection));
    if let Some(error) = done.lost.take() {
        return (done, Err(error));
    }
    let end = if done.keep {
        run("RELEASE mutation")
    } else {
        run("ROLLBACK TO mutation").and_then(|()| run("RELEASE mutation"))
    };
    (done, end)
}

/// The same error for one more of those whom it concerns.
fn again(error: &Error) -> Error {
    match error {
        Error::DiskFull => Error::DiskFull,
        Error::Database(inner) => Error::Database(DatabaseError(inner.to_string().into())),
        other => Error::Database(DatabaseError(other.to_string().into())),
    }
}

fn after_failed_commit() -> Error {
    Error::Database(DatabaseError(
        "an earlier commit failed; restart the daemon".into(),
    ))
}

mod parking {
    //! A fixed number of connections, lent out one caller at a time.

    use std::sync::{Arc, Mutex};

    use tokio::sync::{OwnedSemaphorePermit, Semaphore};

    use super::closed;
    use crate::error::Result;

    pub(super) struct Parking<C> {
        free: Mutex<Vec<C>>,
        places: Arc<Semaphore>,
    }

    pub(super) struct Place<C> {
        lot: Arc<Parking<C>>,
        connection: Option<C>,
        _permit: OwnedSemaphorePermit,
    }

    impl<C> Parking<C> {
        pub fn new(connections: Vec<C>) -> Self {
            let places = Arc::new(Semaphore::new(connections.len()));
            Self {
                free: Mutex::new(connections),
                places,
            }
        }

        pub async fn take(self: &Arc<Self>) -> Result<Place<C>> {
            let permit = Arc::clone(&self.places)
                .acquire_owned()
                .await
                .map_err(|_| closed())?;
            let connection = self.free.lock().expect("no panic while held").pop();
            Ok(Place {
                lot: Arc::clone(self),
                connection,
                _permit: permit,
            })
        }
    }

    impl<C> Place<C> {
        pub fn get(&self) -> &C {
            self.connection
                .as_ref()
                .expect("a permit stands for a connection")
        }
    }

    impl<C> Drop for Place<C> {
        fn drop(&mut self) {
            if let Some(connection) = self.connection.take() {
                self.lot
                    .free
                    .lock()
                    .expect("no panic while held")
                    .push(connection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    async fn everybody_learns_why_a_transaction_was_lost() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder).await;
        for (cause, told) in [
            (Error::DiskFull, "the server's disk is full"),
            (
                Error::Database(DatabaseError("disk I/O error".into())),
                "database: disk I/O error",
            ),
        ] {
            let (release, released) = mpsc::channel::<()>();
            let first = database.write(move |tx| {
                released.recv().expect("the test releases it");
                // What SQLite does by itself when the disk fails.
                tx.execute("ROLLBACK", args![])?;
                Err::<(), _>(cause)
            });
            let (first, second, ()) = tokio::join!(first, write_one(&database), async move {
                release.send(()).expect("it waits");
            });
            assert_eq!(first.unwrap().0.unwrap_err().to_string(), told);
            assert_eq!(second.unwrap_err().to_string(), told);
            // Nothing was written, so nothing has to be restarted.
            write_one(&database).await.unwrap();
        }
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
