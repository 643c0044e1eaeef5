//! Brings a schema forward, one numbered script at a time, never back.

use super::{Connection, Tx, args, run_script};
use crate::error::{Error, Result};

struct Migration {
    number: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migration {
    ($number:literal, $name:literal) => {
        Migration {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }
    };
}

/// Every schema step, in order. Released ones are never edited.
const MIGRATIONS: &[Migration] = &[migration!(1, "0001_drives")];

const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_version \
     (number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)";

/// Applies what is missing, each script in one transaction.
///
/// # Errors
/// [`Error::Unusable`] when the database was made by a newer program.
pub(super) fn run(connection: &mut Connection<'_>, now_ms: i64) -> Result<()> {
    if matches!(connection, Connection::Postgres { .. }) {
        // Daemons that start together take turns (`IF NOT EXISTS` alone lets both try); the lock
        // ends with the session's unlock below.
        run_script(connection, "SELECT pg_advisory_lock(7233064)")?;
    }
    let result = run_script(connection, CREATE).and_then(|()| apply_missing(connection, now_ms));
    if matches!(connection, Connection::Postgres { .. }) {
        run_script(connection, "SELECT pg_advisory_unlock(7233064)")?;
    }
    result
}

fn apply_missing(connection: &mut Connection<'_>, now_ms: i64) -> Result<()> {
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.number);
    let current = with_tx(connection, |tx| {
        tx.first(
            "SELECT COALESCE(MAX(number), 0) FROM schema_version",
            args![],
            |row| row.get::<i64>(0),
        )
    })?
    .unwrap_or(0);
    if current > newest {
        return Err(Error::Unusable(format!(
            "the database has schema {current}, this program knows schemas up to {newest}: \
             start a newer cofferd, or restore a backup made with this one"
        )));
    }
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.number > current)
    {
        run_script(connection, "BEGIN")?;
        let script = match connection {
            Connection::Sqlite(_) => migration.sqlite,
            Connection::Postgres { .. } => migration.postgres,
        };
        let applied = run_script(connection, script).and_then(|()| {
            with_tx(connection, |tx| {
                tx.execute(
                    "INSERT INTO schema_version (number, name, applied_at) VALUES ($1, $2, $3)",
                    args![migration.number, migration.name, now_ms],
                )
            })
        });
        if let Err(error) = applied {
            let _ = run_script(connection, "ROLLBACK");
            return Err(error);
        }
        run_script(connection, "COMMIT")?;
        tracing::info!(migration = migration.name, "schema brought forward");
    }
    Ok(())
}

fn with_tx<T>(
    connection: &mut Connection<'_>,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T>,
) -> Result<T> {
    let reborrowed = match connection {
        Connection::Sqlite(connection) => Connection::Sqlite(connection),
        Connection::Postgres {
            connection,
            runtime,
        } => Connection::Postgres {
            connection,
            runtime,
        },
    };
    work(&mut Tx::new(reborrowed))
}
