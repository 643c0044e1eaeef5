//! How the things the store stands on are doing.

use std::time::{Duration, Instant};

use crate::db::args;
use crate::error::{Error, Result};
use crate::store::Store;

/// Response time of each dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// A statement, there and back.
    pub database: Duration,
    /// A small write, synced and read back.
    pub blobs: Duration,
}

/// The server's capacity; sizes are charged (logical) bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// The most that all drives together may be charged.
    pub limit_bytes: u64,
    /// What they are charged.
    pub used_bytes: u64,
    /// What is promised to running uploads.
    pub reserved_bytes: u64,
}

impl Store {
    /// Asks every dependency for an answer.
    ///
    /// # Errors
    /// That of the first one that does not give it.
    pub async fn ping(&self) -> Result<Ping> {
        let start = Instant::now();
        self.db()
            .read(|tx| tx.first("SELECT 1", args![], |_| Ok(())))
            .await?;
        let database = start.elapsed();
        let (start, blobs) = (Instant::now(), self.blobs().clone());
        tokio::task::spawn_blocking(move || blobs.ping())
            .await
            .map_err(|_| Error::Busy)??;
        Ok(Ping {
            database,
            blobs: start.elapsed(),
        })
    }

    /// Whether the database answers; cheap enough to be asked every second.
    ///
    /// # Errors
    /// That of the database.
    pub async fn ready(&self) -> Result<()> {
        self.db()
            .read(|tx| tx.first("SELECT 1", args![], |_| Ok(())))
            .await?;
        Ok(())
    }

    /// How full the server is.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn capacity(&self) -> Result<Capacity> {
        let found = self
            .db()
            .read(|tx| {
                tx.first(
                    "SELECT limit_bytes, used_bytes, reserved_bytes FROM capacity WHERE id = 1",
                    args![],
                    |row| {
                        Ok(Capacity {
                            limit_bytes: row.get(0)?,
                            used_bytes: row.get(1)?,
                            reserved_bytes: row.get(2)?,
                        })
                    },
                )
            })
            .await?;
        found.ok_or_else(|| Error::malformed("capacity"))
    }
}
