//! The digest of large files that were written by ranges, computed afterwards.

use crate::blob::Blobs;
use crate::cache::Effect;
use crate::db::{Tx, args};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::id::{DriveId, ManifestId, NodeId};
use crate::manifest::ChunkRef;
use crate::reference;
use crate::store::Store;

/// Chunks that are read before looking whether the version is still wanted.
const PIECE: usize = 64;

/// A file that lacks its digest.
#[derive(Clone, Copy)]
struct Unhashed {
    node: NodeId,
    drive: DriveId,
    manifest: ManifestId,
}

impl Store {
    /// Computes the SHA-256 of the first large file after `after`, in the order of ids, that has
    /// none; where to go on, or `None` when there was no such file.
    ///
    /// A file that cannot be read is logged and left as it is, and one that is changed meanwhile
    /// is left for the next pass: neither keeps the others waiting.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn hash_pending(&self, after: Option<NodeId>) -> Result<Option<NodeId>> {
        let Some(file) = self.db().read(move |tx| next(tx, after)).await? else {
            return Ok(None);
        };
        let chunks = self
            .db()
            .read(move |tx| reference::rows::find_manifest(tx, file.manifest))
            .await?;
        let Some(chunks) = chunks else {
            return Ok(Some(file.node));
        };
        match self.hash(file, chunks).await {
            Ok(Some(digest)) => self.db().write(move |tx| keep(tx, file, digest)).await?,
            Ok(None) => {}
            Err(error @ Error::Database(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(node.id = %file.node, %error, "a file cannot be hashed");
            }
        }
        Ok(Some(file.node))
    }

    /// The digest of a file's content; `None` when the file holds another version by now.
    async fn hash(&self, file: Unhashed, chunks: Vec<ChunkRef>) -> Result<Option<Digest>> {
        // What is known to be missing costs no reading, however often it is tried.
        let asked = chunks.clone();
        self.with_blobs(move |blobs| {
            for chunk in &asked {
                blobs.open(chunk)?;
            }
            Ok(())
        })
        .await?;
        let mut hasher = Hasher::default();
        for piece in chunks.chunks(PIECE) {
            if !self.db().read(move |tx| is_wanted(tx, file)).await? {
                return Ok(None);
            }
            let piece = piece.to_vec();
            hasher = self
                .with_blobs(move |blobs| {
                    for chunk in &piece {
                        blobs.read_through(chunk, |piece| hasher.update(piece))?;
                    }
                    Ok(hasher)
                })
                .await?;
        }
        Ok(Some(hasher.finish()))
    }

    async fn with_blobs<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Blobs) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let blobs = self.blobs().clone();
        tokio::task::spawn_blocking(move || work(&blobs))
            .await
            .map_err(|_| Error::Busy)?
    }
}

fn next(tx: &mut Tx<'_>, after: Option<NodeId>) -> Result<Option<Unhashed>> {
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    tx.first(
        "SELECT id, drive_id, manifest_id FROM node \
         WHERE sha256 IS NULL AND manifest_id IS NOT NULL AND id > $1 ORDER BY id LIMIT 1",
        args![after],
        |row| {
            Ok(Unhashed {
                node: row.get(0)?,
                drive: row.get(1)?,
                manifest: row.get(2)?,
            })
        },
    )
}

fn is_wanted(tx: &mut Tx<'_>, file: Unhashed) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM node WHERE id = $1 AND manifest_id = $2",
        args![file.node, file.manifest],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

fn keep(tx: &mut Tx<'_>, file: Unhashed, digest: Digest) -> Result<()> {
    // A newer version has a manifest, and a digest, of its own.
    tx.execute(
        "UPDATE node SET sha256 = $3 WHERE id = $1 AND manifest_id = $2",
        args![file.node, file.manifest, digest],
    )?;
    // Paths are not known here; the digest is only shown, never relied upon.
    tx.effect(Effect::Tree(file.drive));
    Ok(())
}
