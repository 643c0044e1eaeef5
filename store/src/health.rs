//! How the things the store stands on are doing, and the slow work that keeps
//! its promises complete.

use std::time::{Duration, Instant};

use crate::db::args;
use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::node::{self, Body, Node};
use crate::reference;
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

    /// Computes the SHA-256 of one large file that was written by ranges, if
    /// there is one without; whether there was.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and those of the database and blob store.
    pub async fn hash_pending(&self) -> Result<bool> {
        let Some(node) = self
            .db()
            .read(|tx| {
                let id: Option<NodeId> = tx.first(
                    "SELECT id FROM node WHERE sha256 IS NULL AND manifest_id IS NOT NULL LIMIT 1",
                    args![],
                    |row| row.get(0),
                )?;
                id.map_or(Ok(None), |id| node::rows::find(tx, id))
            })
            .await?
        else {
            return Ok(false);
        };
        let Some(Body::Manifest(manifest)) = node.content().map(|content| content.body) else {
            return Ok(false);
        };
        let chunks = self
            .db()
            .read(move |tx| reference::rows::find_manifest(tx, manifest))
            .await?
            .unwrap_or_default();
        let blobs = self.blobs().clone();
        let digest = tokio::task::spawn_blocking(move || -> Result<_> {
            let mut hasher = Hasher::default();
            for chunk in &chunks {
                hasher.update(&blobs.read_all(chunk)?);
            }
            Ok(hasher.finish())
        })
        .await
        .map_err(|_| Error::Busy)??;
        let Node { id, .. } = node;
        self.db()
            .write(move |tx| {
                // A newer version has a manifest, and a digest, of its own.
                tx.execute(
                    "UPDATE node SET sha256 = $3 WHERE id = $1 AND manifest_id = $2",
                    args![id, manifest, digest],
                )?;
                // Paths are not known here; the digest is only shown, never relied upon.
                tx.effect(crate::cache::Effect::Tree(node.drive));
                Ok(())
            })
            .await?;
        Ok(true)
    }
}
