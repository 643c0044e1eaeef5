//! What daemons on one database tell each other, by LISTEN and NOTIFY.
//!
//! Nothing is notified inside a mutation's transaction: PostgreSQL lets such transactions commit
//! only one after the other, each through its own sync (docs/decisions/0005).

use std::time::Duration;

use sqlx::Postgres;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use crate::error::Result;

const NAME: &str = "coffer";
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nothing is lost with it that the next look would not find, so it need not reach the disk.
const SAY: &str = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, said.text) \
    FROM UNNEST($2::text[]) AS said (text)";

/// One daemon's end of it.
pub(crate) struct Channel {
    listener: PgListener,
    /// Our own server process: what it says, everybody here knows.
    process: i32,
}

impl Channel {
    pub(super) async fn open(options: &PgConnectOptions) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(PATIENCE)
            .connect_with(options.clone())
            .await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.ignore_pool_close_event(true);
        // A lost connection is a new channel: what was said meanwhile has to be looked for.
        listener.eager_reconnect(false);
        let process = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut listener)
            .await?;
        listener.listen(NAME).await?;
        Ok(Self { listener, process })
    }

    /// Tells all others.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn say(&mut self, texts: &[String]) -> Result<()> {
        say(&mut self.listener, texts).await
    }

    /// What another one says; `None` when the connection is lost. May be dropped while it waits.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn hear(&mut self) -> Result<Option<String>> {
        loop {
            let Some(said) = self.listener.try_recv().await? else {
                return Ok(None);
            };
            if u32::try_from(self.process) != Ok(said.process_id()) {
                return Ok(Some(said.payload().to_owned()));
            }
        }
    }
}

/// Tells all daemons, by any connection.
pub(super) async fn say<'c>(
    connection: impl sqlx::Executor<'c, Database = Postgres>,
    texts: &[String],
) -> Result<()> {
    sqlx::query(SAY)
        .bind(NAME)
        .bind(texts)
        .execute(connection)
        .await?;
    Ok(())
}
