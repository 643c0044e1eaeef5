//! Comparing what the rows say with each other and with the blobs.

pub(crate) mod rows;

use crate::error::{Error, Result};
use crate::manifest::ChunkRef;
use crate::store::Store;

/// What `check` found; nothing is changed by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blobs that rows refer to and that were looked at.
    pub blobs: u64,
    /// One sentence for each fault, blob or count.
    pub faults: Vec<String>,
}

impl Store {
    /// Compares reference counts, usage and capacity with what they should be.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn check_references(&self) -> Result<Vec<String>> {
        self.db().read_snapshot(rows::wrong_counts).await
    }

    /// Compares the database with itself and with the blobs on disk: counts,
    /// usage, and that every blob is there with its length (with its digest,
    /// when `read_bytes`). `progress` hears how many blobs were looked at.
    ///
    /// # Errors
    /// Those of the database and of a blob store that cannot be asked.
    pub async fn check(&self, read_bytes: bool, progress: impl Fn(u64) + Send) -> Result<Checked> {
        let mut checked = Checked {
            blobs: 0,
            faults: self.check_references().await?,
        };
        let mut after: Vec<u8> = Vec::new();
        loop {
            let from = after.clone();
            let page = self
                .db()
                .read(move |tx| rows::stored_blobs(tx, &from))
                .await?;
            let Some(last) = page.last() else { break };
            after = last.digest.as_bytes().to_vec();
            checked.blobs += page.len() as u64;
            let blobs = self.blobs().clone();
            let faults = tokio::task::spawn_blocking(move || {
                page.iter()
                    .filter_map(|blob| fault(&blobs, blob, read_bytes))
                    .collect::<Vec<_>>()
            })
            .await
            .map_err(|_| Error::Busy)?;
            checked.faults.extend(faults);
            progress(checked.blobs);
        }
        checked.faults.extend(self.unknown_blobs().await?);
        Ok(checked)
    }

    /// Blobs that lie in the store although no row knows them, as after the
    /// restoration of an older database.
    async fn unknown_blobs(&self) -> Result<Vec<String>> {
        let blobs = self.blobs().clone();
        let mut listed = tokio::task::spawn_blocking(move || {
            blobs
                .list()?
                .map(|blob| blob.map(|(digest, _)| digest))
                .collect::<Result<Vec<_>, _>>()
        })
        .await
        .map_err(|_| Error::Busy)??;
        listed.sort_unstable();
        let mut unknown = Vec::new();
        for page in listed.chunks(1000) {
            let asked = page.to_vec();
            let known = self
                .db()
                .read(move |tx| rows::known_blobs(tx, &asked))
                .await?;
            unknown.extend(
                page.iter()
                    .filter(|digest| !known.contains(digest))
                    .map(|digest| {
                        format!(
                            "blob {digest} lies in the store, but the database does not know it"
                        )
                    }),
            );
        }
        Ok(unknown)
    }
}

fn fault(blobs: &crate::blob::Blobs, blob: &ChunkRef, read_bytes: bool) -> Option<String> {
    let outcome = if read_bytes {
        blobs.read_through(blob, |_| ()).map(drop)
    } else {
        blobs.open(blob).map(|_| ())
    };
    outcome
        .err()
        .map(|error| format!("blob {}: {error}", blob.digest))
}
