//! PostgreSQL: a pool, one transaction per mutation, repeated on conflict.

mod channel;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub(crate) use self::channel::Channel;
use super::{Connection as TxConnection, OnCommit, Tx, migrate, panicked};
use crate::clock::{Random as _, SystemRandom};
use crate::error::{DatabaseError, Error, Result};

/// The oldest server major version we run on.
const OLDEST: i64 = 10;
/// What each session begins with. Whatever the server's default, our 2xx means kept (P1); and
/// compiling (from version 11 on) never pays: how long a walk through a tree takes is guessed
/// thousands of times too high.
const SESSION: &str = "SET synchronous_commit = on; SET client_min_messages = warning; \
    SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'jit'";
/// How often a mutation that lost a race is tried again.
const ATTEMPTS: u32 = 10;
/// Pause before a server that is not up yet is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Size and time limits of the connection pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Connections kept open at most.
    pub size: u32,
    /// How long a request waits for a free connection before it is [`Error::Busy`].
    pub acquire_timeout: Duration,
    /// A connection is replaced after this long.
    pub recycle_after: Option<Duration>,
    /// Whether a connection is tested before each use.
    pub pre_ping: bool,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            size: 16,
            acquire_timeout: Duration::from_secs(30),
            recycle_after: Some(Duration::from_mins(30)),
            pre_ping: true,
        }
    }
}

pub(super) struct Postgres {
    pool: PgPool,
    places: Arc<Semaphore>,
    acquire_timeout: Duration,
    on_commit: OnCommit,
    connect: Box<PgConnectOptions>,
}

/// Whether the server is there, lets us in and is new enough. A pool would only say that it timed
/// out. A server that is not up yet is waited for.
async fn check_server(options: &PgConnectOptions, patience: Duration) -> Result<()> {
    let deadline = tokio::time::Instant::now() + patience;
    let mut last = "no answer".to_owned();
    let mut connection = loop {
        match tokio::time::timeout_at(deadline, PgConnection::connect_with(options)).await {
            Ok(Ok(connection)) => break connection,
            Ok(Err(error)) if is_not_up(&error) => last = error.to_string(),
            Ok(Err(error)) => return Err(unreachable(&error.to_string())),
            Err(_) => return Err(unreachable(&last)),
        }
        if tokio::time::Instant::now() + RETRY_AFTER > deadline {
            return Err(unreachable(&last));
        }
        tokio::time::sleep(RETRY_AFTER).await;
    };
    let version: String = sqlx::query_scalar("SHOW server_version_num")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    let major = version.parse::<i64>().unwrap_or(0) / 10_000;
    if major < OLDEST {
        return Err(Error::Unusable(format!(
            "PostgreSQL {major} is too old: version {OLDEST} or newer is needed"
        )));
    }
    Ok(())
}

/// Nobody listens, or the server is starting up (`cannot_connect_now`).
fn is_not_up(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

fn unreachable(reason: &str) -> Error {
    Error::Unusable(format!("cannot reach PostgreSQL: {reason}"))
}

impl Postgres {
    pub async fn open(
        url: &str,
        options: &PoolOptions,
        on_commit: OnCommit,
        now_ms: i64,
    ) -> Result<Self> {
        let connect: PgConnectOptions = url
            .parse()
            .map_err(|_| Error::Unusable("the database URL is not a PostgreSQL URL".into()))?;
        check_server(&connect, options.acquire_timeout).await?;
        let pool = PgPoolOptions::new()
            .max_connections(options.size)
            .acquire_timeout(options.acquire_timeout)
            .max_lifetime(options.recycle_after)
            .test_before_acquire(options.pre_ping)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::Executor::execute(connection, SESSION).await?;
                    Ok(())
                })
            })
            .connect_with(connect.clone())
            .await
            .map_err(|error| unreachable(&error.to_string()))?;
        let engine = Self {
            pool,
            acquire_timeout: options.acquire_timeout,
            places: Arc::new(Semaphore::new(options.size as usize)),
            on_commit,
            connect: Box::new(connect),
        };
        engine
            .on_connection(move |connection, runtime| {
                migrate::run(
                    &mut TxConnection::Postgres {
                        connection,
                        runtime,
                    },
                    now_ms,
                )
            })
            .await??;
        Ok(engine)
    }

    /// Runs blocking work on a connection of its own.
    async fn on_connection<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection, &Handle) -> T + Send + 'static,
    {
        // Never more blocking threads than connections they could use.
        let place = Arc::clone(&self.places).acquire_owned();
        let permit = tokio::time::timeout(self.acquire_timeout, place)
            .await
            .map_err(|_| Error::Busy)?
            .map_err(|_| closed())?;
        let mut connection = match self.pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) => return Err(Error::Busy),
            connection => connection?,
        };
        tokio::task::spawn_blocking(move || {
            let result = work(&mut connection, &Handle::current());
            drop(connection);
            drop(permit);
            result
        })
        .await
        .map_err(|_| panicked())
    }

    pub async fn read<T, F>(&self, work: F) -> Result<(Result<T>, u64)>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.on_connection(move |connection, runtime| look(connection, runtime, work))
            .await
    }

    /// As [`Self::read`], all statements seeing one snapshot.
    pub async fn read_snapshot<T, F>(&self, work: F) -> Result<(Result<T>, u64)>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.on_connection(move |connection, runtime| {
            let mut transaction = runtime.block_on(sqlx::Connection::begin_with(
                connection,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            ))?;
            let answer = look(&mut transaction, runtime, work);
            runtime.block_on(transaction.rollback())?;
            Ok(answer)
        })
        .await?
    }

    pub async fn write<T, F>(&self, work: F) -> Result<(Result<T>, u64)>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        let on_commit = Arc::clone(&self.on_commit);
        self.on_connection(move |connection, runtime| {
            let mut statements = 0;
            for attempt in 1.. {
                match attempt_write(connection, runtime, &work, &mut statements, &on_commit) {
                    Err(error) if attempt < ATTEMPTS && lost_a_race(&error) => pause(attempt),
                    result => return (result, statements),
                }
            }
            unreachable!("the last attempt returns")
        })
        .await
    }

    /// A connection of its own, beside the pool.
    pub async fn channel(&self) -> Result<Channel> {
        Channel::open(&self.connect).await
    }

    pub async fn say(&self, texts: &[String]) -> Result<()> {
        channel::say(&self.pool, texts).await
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Runs a reader; its answer and how many statements it took.
fn look<T>(
    connection: &mut PgConnection,
    runtime: &Handle,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T>,
) -> (Result<T>, u64) {
    let mut tx = Tx::new(TxConnection::Postgres {
        connection,
        runtime,
    });
    let result =
        catch_unwind(AssertUnwindSafe(|| work(&mut tx))).unwrap_or_else(|_| Err(panicked()));
    (result, tx.statements)
}

fn attempt_write<T>(
    connection: &mut PgConnection,
    runtime: &Handle,
    work: &impl Fn(&mut Tx<'_>) -> Result<T>,
    statements: &mut u64,
    on_commit: &OnCommit,
) -> Result<T> {
    let mut transaction = runtime.block_on(sqlx::Connection::begin(connection))?;
    let mut tx = Tx::new(TxConnection::Postgres {
        connection: &mut transaction,
        runtime,
    });
    let result =
        catch_unwind(AssertUnwindSafe(|| work(&mut tx))).unwrap_or_else(|_| Err(panicked()));
    *statements += tx.statements;
    let effects = std::mem::take(&mut tx.effects);
    match result {
        Ok(value) => {
            runtime.block_on(transaction.commit())?;
            on_commit(&effects);
            Ok(value)
        }
        Err(error) => {
            runtime.block_on(transaction.rollback())?;
            Err(error)
        }
    }
}

/// Serialization failure or deadlock: trying again is the cure.
fn lost_a_race(error: &Error) -> bool {
    let Error::Database(error) = error else {
        return false;
    };
    error
        .0
        .downcast_ref::<sqlx::Error>()
        .and_then(sqlx::Error::as_database_error)
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| matches!(&*code, "40001" | "40P01"))
}

/// Lets the others of a race go ahead; all of them waiting equally long would meet again.
fn pause(attempt: u32) {
    let mut dice = [0];
    SystemRandom::default().fill(&mut dice);
    // Up to 1 ms for the first attempt, 256 ms for the ninth.
    let most_us = 1000u64 << attempt.saturating_sub(1).min(8);
    std::thread::sleep(Duration::from_micros(most_us * u64::from(dice[0]) / 255));
}

fn closed() -> Error {
    Error::Database(DatabaseError("the database is closed".into()))
}
