//! The database: two engines, one text per statement, one shape of transaction.
//!
//! Rules are plain functions over [`Tx`]. On SQLite they run on the writer's own
//! thread, where everything that waits is applied inside one transaction and
//! acknowledged after its commit (group commit). On PostgreSQL each mutation is
//! a transaction of its own on a blocking thread, repeated when the server
//! reports a serialization failure or deadlock. See `docs/decisions/0002`.

mod migrate;
mod postgres;
mod sqlite;
mod value;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use tokio::runtime::Handle;

pub(crate) use self::value::{Row, Value};
use crate::cache::Effect;
use crate::error::{Error, Result};
use crate::id::DriveId;

pub(crate) use self::postgres::Channel;
pub use self::postgres::PoolOptions;

/// Which database holds the metadata.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file of this name; the daemon is its only writer.
    Sqlite(std::path::PathBuf),
    /// A server; several daemons may share it.
    Postgres {
        /// `postgres://user:password@host/database`.
        url: String,
        /// Size and time limits of the connection pool.
        pool: PoolOptions,
    },
}

/// Builds the argument list of a statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::db::Value::from($value)),*] };
}
pub(crate) use args;

tokio::task_local! {
    static STATEMENTS: Arc<AtomicU64>;
}

/// Runs `work`; statements it makes the store execute are added to `counter`.
pub async fn count_statements<F: Future>(counter: Arc<AtomicU64>, work: F) -> F::Output {
    STATEMENTS.scope(counter, work).await
}

/// As [`count_statements`], for work that is polled by hand (a body that streams).
pub fn count_statements_in<T>(counter: &Arc<AtomicU64>, work: impl FnOnce() -> T) -> T {
    STATEMENTS.sync_scope(Arc::clone(counter), work)
}

fn counted(statements: u64) {
    let _ = STATEMENTS.try_with(|counter| counter.fetch_add(statements, Ordering::Relaxed));
}

/// What a transaction changed that caches must hear of, once it is committed.
pub(crate) type OnCommit = Arc<dyn Fn(&[Effect]) + Send + Sync>;

/// The open database.
pub(crate) struct Db {
    engine: Engine,
}

enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Db {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the schema is newer than this program, or the
    /// server older than supported.
    pub async fn open(database: &Database, on_commit: OnCommit, now_ms: i64) -> Result<Self> {
        let engine = match database {
            Database::Sqlite(path) => {
                Engine::Sqlite(sqlite::Sqlite::open(path.clone(), on_commit, now_ms).await?)
            }
            Database::Postgres { url, pool } => {
                Engine::Postgres(postgres::Postgres::open(url, pool, on_commit, now_ms).await?)
            }
        };
        Ok(Self { engine })
    }

    /// Whether this process is the only one that changes the data, so that
    /// caches fed by our own commits are exact.
    pub fn is_exclusive(&self) -> bool {
        matches!(self.engine, Engine::Sqlite(_))
    }

    /// Reads; sees at least everything committed before the call.
    ///
    /// On PostgreSQL each statement sees its own snapshot: for several that have to fit together
    /// there is [`Self::read_snapshot`].
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (result, statements) = match &self.engine {
            Engine::Sqlite(engine) => engine.read(work).await?,
            Engine::Postgres(engine) => Box::pin(engine.read(work)).await?,
        };
        counted(statements);
        result
    }

    /// As [`Self::read`], with one snapshot for all statements.
    pub async fn read_snapshot<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (result, statements) = match &self.engine {
            Engine::Sqlite(engine) => engine.read(work).await?,
            Engine::Postgres(engine) => engine.read_snapshot(work).await?,
        };
        counted(statements);
        result
    }

    /// Changes, all or nothing; when this returns `Ok` the change is durable.
    ///
    /// `work` may run more than once and must depend on nothing but its
    /// captured values and the transaction.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        let (result, statements) = match &self.engine {
            Engine::Sqlite(engine) => engine.write(work).await?,
            Engine::Postgres(engine) => Box::pin(engine.write(work)).await?,
        };
        counted(statements);
        result
    }

    /// Where daemons on this database hear from each other; none where there can be no others.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn channel(&self) -> Result<Option<Channel>> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(engine) => engine.channel().await.map(Some),
        }
    }

    /// Tells other daemons on this database something, once.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn say(&self, texts: &[String]) -> Result<()> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(engine) => engine.say(texts).await,
        }
    }

    /// Closes connections; waits for the writer to finish what it has begun.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(engine) => engine.close().await,
        }
    }
}

/// A transaction, whatever the engine.
pub(crate) struct Tx<'c> {
    connection: Connection<'c>,
    statements: u64,
    effects: Vec<Effect>,
    shortage: Option<Shortage>,
}

/// What a drive lacks of the server's capacity, after all it could give up itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shortage {
    pub drive: DriveId,
    pub bytes: u64,
}

enum Connection<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres {
        connection: &'c mut PgConnection,
        runtime: &'c Handle,
    },
}

impl<'c> Tx<'c> {
    fn new(connection: Connection<'c>) -> Self {
        Self {
            connection,
            statements: 0,
            effects: Vec::new(),
            shortage: None,
        }
    }

    /// Notes what caches must forget once this transaction is committed.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Notes why the transaction is about to be refused.
    pub fn is_short(&mut self, shortage: Shortage) {
        self.shortage = Some(shortage);
    }

    /// Why it was refused, where that was for want of capacity.
    pub fn shortage(&self) -> Option<Shortage> {
        self.shortage
    }

    /// Whether the statement needs `FOR UPDATE` to keep other writers away;
    /// SQLite has one writer, so there nothing is needed.
    pub fn needs_row_locks(&self) -> bool {
        matches!(self.connection, Connection::Postgres { .. })
    }

    /// Whether arguments may be arrays.
    pub fn takes_arrays(&self) -> bool {
        matches!(self.connection, Connection::Postgres { .. })
    }

    /// Counts the statements of `work` as one: each is a prepared one over the same few pages.
    pub fn as_one_statement<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.statements;
        let result = work(self);
        self.statements = before + 1;
        result
    }

    /// Calls `read` for each row, as it arrives.
    pub fn each(
        &mut self,
        sql: &'static str,
        args: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        self.statements += 1;
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sqlite::numbered(sql))?;
                let mut rows = statement.query(rusqlite::params_from_iter(args))?;
                while let Some(row) = rows.next()? {
                    read(&Row::Sqlite(row))?;
                }
                Ok(())
            }
            Connection::Postgres {
                connection,
                runtime,
            } => {
                // One row at a time: a page of them, each with its own bookkeeping, takes megabytes,
                // which the allocator keeps for every thread that ever read one.
                let mut rows = value::bind(sql, args).fetch(&mut **connection);
                runtime.block_on(async {
                    while let Some(row) = rows.try_next().await? {
                        read(&Row::Postgres(&row))?;
                    }
                    Ok(())
                })
            }
        }
    }

    /// All rows.
    pub fn all<T>(
        &mut self,
        sql: &'static str,
        args: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        self.each(sql, args, |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row, if there is one.
    pub fn first<T>(
        &mut self,
        sql: &'static str,
        args: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.statements += 1;
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sqlite::numbered(sql))?;
                let mut rows = statement.query(rusqlite::params_from_iter(args))?;
                rows.next()?.map(|row| read(&Row::Sqlite(row))).transpose()
            }
            Connection::Postgres {
                connection,
                runtime,
            } => runtime
                .block_on(value::bind(sql, args).fetch_optional(&mut **connection))?
                .map(|row| read(&Row::Postgres(&row)))
                .transpose(),
        }
    }

    /// Runs a statement for its effect; the number of rows it touched.
    pub fn execute(&mut self, sql: &'static str, args: &[Value<'_>]) -> Result<u64> {
        self.statements += 1;
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sqlite::numbered(sql))?;
                let changed = statement.execute(rusqlite::params_from_iter(args))?;
                Ok(u64::try_from(changed).unwrap_or(0))
            }
            Connection::Postgres {
                connection,
                runtime,
            } => Ok(runtime
                .block_on(value::bind(sql, args).execute(&mut **connection))?
                .rows_affected()),
        }
    }

    /// Rows for each of many keys: `one_sql` asks for one key (`= $1`),
    /// `many_sql` for an array of them (`= ANY($1)`). Counts as one statement.
    pub fn all_of<T>(
        &mut self,
        one_sql: &'static str,
        many_sql: &'static str,
        keys: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::with_capacity(keys.len());
        if keys.is_empty() {
            return Ok(found);
        }
        self.statements += 1;
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sqlite::numbered(one_sql))?;
                for key in keys {
                    let mut rows = statement.query([key])?;
                    while let Some(row) = rows.next()? {
                        found.push(read(&Row::Sqlite(row))?);
                    }
                }
            }
            Connection::Postgres {
                connection,
                runtime,
            } => {
                let rows: Vec<Vec<Value<'_>>> = keys.iter().map(|key| vec![key.clone()]).collect();
                let rows = runtime
                    .block_on(value::bind_columns(many_sql, &rows).fetch_all(&mut **connection))?;
                for row in &rows {
                    found.push(read(&Row::Postgres(row))?);
                }
            }
        }
        Ok(found)
    }

    /// Runs one statement for each row of arguments; the number of rows touched.
    ///
    /// For the many-row work of copying and purging trees. On SQLite a prepared
    /// statement per row is cheap; PostgreSQL takes them thousands at a time by
    /// `batch_sql`, the same statement over arrays
    /// (`… FROM UNNEST($1::bytea[], $2::bigint[]) …`).
    pub fn execute_many(
        &mut self,
        row_sql: &'static str,
        batch_sql: &'static str,
        rows: &[Vec<Value<'_>>],
    ) -> Result<u64> {
        let mut touched = 0;
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                self.statements += u64::from(!rows.is_empty());
                let mut statement = connection.prepare_cached(sqlite::numbered(row_sql))?;
                for row in rows {
                    let changed = statement.execute(rusqlite::params_from_iter(row))?;
                    touched += u64::try_from(changed).unwrap_or(0);
                }
            }
            Connection::Postgres {
                connection,
                runtime,
            } => {
                for part in rows.chunks(5_000) {
                    self.statements += 1;
                    touched += runtime
                        .block_on(value::bind_columns(batch_sql, part).execute(&mut **connection))?
                        .rows_affected();
                }
            }
        }
        Ok(touched)
    }
}

/// Runs statements that need no arguments (migrations).
fn run_script(connection: &mut Connection<'_>, sql: &'static str) -> Result<()> {
    match connection {
        Connection::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
        Connection::Postgres {
            connection,
            runtime,
        } => {
            runtime.block_on(sqlx::Executor::execute(
                &mut **connection,
                sqlx::raw_sql(sql),
            ))?;
            Ok(())
        }
    }
}

/// The answer to a caller whose work panicked: a bug, contained.
fn panicked() -> Error {
    Error::Database(crate::error::DatabaseError("a transaction panicked".into()))
}

#[cfg(test)]
mod tests;
