//! What unit tests start from: a store on each engine, with a clock they turn.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::{Clock, SystemRandom, World};
use crate::content::VerifyReads;
use crate::db::{Database, PoolOptions, Tx, Value};
use crate::error::Result;
use crate::id::NodeId;
use crate::store::{AccountOptions, Limits, Options, Store, TrashOptions, VersionOptions};

/// Names the server; each test makes and drops a database of its own on it.
const POSTGRES: &str = "COFFER_TEST_POSTGRES_URL";

/// A clock that stands still until it is told to go on.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance_ms(&self, millis: i64) {
        self.0.fetch_add(millis * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ns(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Options for a store in this folder. It keeps nothing of what is overwritten or deleted: tests of
/// that turn it on.
pub(crate) fn test_options(data: &Path, database: Database, world: World) -> Options {
    Options {
        database,
        data: data.to_owned(),
        blobs: None,
        small_limit_bytes: 16 << 10,
        verify_reads: VerifyReads::Daily,
        limits: Limits::default(),
        accounts: AccountOptions::default(),
        versions: VersionOptions {
            most: 0,
            ..VersionOptions::default()
        },
        trash: TrashOptions {
            most: 0,
            ..TrashOptions::default()
        },
        capacity_bytes: None,
        overcommit: true,
        reserve_bytes: 0,
        sweep_grace: Duration::ZERO,
        world,
    }
}

/// Runs the test on SQLite, and on PostgreSQL when the environment names a server.
#[expect(
    clippy::future_not_send,
    reason = "each test awaits it on its own thread"
)]
pub(crate) async fn each_engine(test: impl AsyncFn(&Store, &TestClock)) {
    each_engine_with(|_| (), test).await;
}

/// Likewise, with options changed by the test.
#[expect(
    clippy::future_not_send,
    reason = "each test awaits it on its own thread"
)]
pub(crate) async fn each_engine_with(
    change: impl Fn(&mut Options),
    test: impl AsyncFn(&Store, &TestClock),
) {
    each_engine_on(async |database| {
        let data = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000_000_000_000)));
        let world = World {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(SystemRandom::default()),
        };
        let mut options = test_options(data.path(), database, world);
        change(&mut options);
        let store = Store::open(options).await.unwrap();
        test(&store, &clock).await;
        store.close().await;
    })
    .await;
}

/// Runs the test on an empty database of each engine.
pub(crate) async fn each_engine_on(test: impl AsyncFn(Database)) {
    let folder = tempfile::tempdir().unwrap();
    test(Database::Sqlite(folder.path().join("coffer.db"))).await;
    if let Some((url, drop_database)) = fresh_postgres().await {
        let pool = PoolOptions {
            size: 8,
            ..PoolOptions::default()
        };
        test(Database::Postgres { url, pool }).await;
        administer(&drop_database).await;
    }
}

/// How SQLite would run a statement of so many arguments, a line for each step; empty on
/// PostgreSQL, which decides by what the tables hold.
pub(crate) async fn plan(store: &Store, sql: &'static str, arguments: usize) -> String {
    if !store.db().is_exclusive() {
        return String::new();
    }
    let explain: &'static str = format!("EXPLAIN QUERY PLAN {sql}").leak();
    let steps = store.db().read(move |tx| {
        let blanks = vec![Value::from(""); arguments];
        tx.all(explain, &blanks, |row| row.get::<String>(3))
    });
    steps.await.unwrap().join("\n")
}

/// What `second` answers, which has to wait for `first`: that changes something while it holds it.
/// SQLite has one writer, so there everything waits.
pub(crate) async fn after_waiting<T: Send + 'static>(
    store: &Store,
    first: impl Fn(&mut Tx<'_>) -> Result<()> + Send + Sync + 'static,
    second: impl Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
) -> T {
    let (began, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let (began, may_go_on) = (Mutex::new(began), Mutex::new(may_go_on));
    let (one, other) = (store.clone(), store.clone());
    let first = tokio::spawn(async move {
        let held = one.db().write(move |tx| {
            first(tx)?;
            began.lock().unwrap().send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
            Ok(())
        });
        held.await.unwrap();
    });
    let held = tokio::task::spawn_blocking(move || has_begun.recv());
    held.await.unwrap().unwrap();
    let second = tokio::spawn(async move { other.db().write(second).await.unwrap() });
    let waiting = "SELECT 1 FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while !store.db().is_exclusive() {
        let found = store.db().read(|tx| tx.first(waiting, &[], |_| Ok(())));
        if found.await.unwrap().is_some() {
            break;
        }
    }
    go_on.send(()).unwrap();
    first.await.unwrap();
    second.await.unwrap()
}

/// Purges, after which no such row is left: `rows` follows FROM.
pub(crate) async fn purge_to_none(store: &Store, rows: &str) {
    while store.purge_trash().await.unwrap() {}
    let count: &'static str = format!("SELECT COUNT(*) FROM {rows}").leak();
    let left = store
        .db()
        .read(move |tx| tx.first(count, &[], |row| row.get::<i64>(0)));
    assert_eq!(left.await.unwrap(), Some(0), "{rows}");
}

/// The URL of a new database on the server that the environment names, and the statement
/// that drops it.
pub(crate) async fn fresh_postgres() -> Option<(String, String)> {
    let server = std::env::var(POSTGRES).ok()?;
    let name = format!("coffer_unit_{}", NodeId::new(&World::default()).simple());
    administer(&format!("CREATE DATABASE {name}")).await;
    let url = with_database(&server, &name);
    Some((url, format!("DROP DATABASE {name}")))
}

async fn administer(statement: &str) {
    use sqlx::{Connection as _, Executor as _};
    let server = std::env::var(POSTGRES).unwrap();
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    connection
        .execute(sqlx::AssertSqlSafe(statement.to_owned()))
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// The server's URL with another database in its path.
fn with_database(server: &str, name: &str) -> String {
    let (address, query) = server
        .split_once('?')
        .map_or((server, None), |(a, q)| (a, Some(q)));
    let host = address.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    query.map_or_else(
        || format!("{host}/{name}"),
        |query| format!("{host}/{name}?{query}"),
    )
}
