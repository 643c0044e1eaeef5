//! SQL of publications.

use super::Publication;
use crate::db::{Row, Tx, args};
use crate::digest::Digest;
use crate::error::Result;
use crate::id::DriveId;

/// Joins keep their order: from the publications of the digest to whoever they are of. Of an account
/// that is disabled nothing works, so nothing of it is published.
const PUBLISHED_BYTES: &str = "SELECT p.size_bytes FROM publication p \
     CROSS JOIN drive d CROSS JOIN account a \
     WHERE p.digest = $1 AND d.id = p.drive_id AND a.id = d.owner_id \
         AND a.disabled_at IS NULL LIMIT 1";

/// The length of a published content, if somebody has published it.
pub(crate) fn published_bytes(tx: &mut Tx<'_>, digest: Digest) -> Result<Option<u64>> {
    tx.first(PUBLISHED_BYTES, args![digest], |row| row.get(0))
}

fn read(row: &Row<'_>) -> Result<Publication> {
    Ok(Publication {
        digest: row.get(0)?,
        size_bytes: row.get(1)?,
        published_at: row.get(2)?,
    })
}

pub(crate) fn find(tx: &mut Tx<'_>, drive: DriveId, digest: Digest) -> Result<Option<Publication>> {
    tx.first(
        "SELECT digest, size_bytes, published_at FROM publication \
         WHERE digest = $1 AND drive_id = $2",
        args![digest, drive],
        read,
    )
}

const LIST: &str = "SELECT digest, size_bytes, published_at FROM publication \
     WHERE drive_id = $1 AND (published_at, digest) < ($2, $3) \
     ORDER BY published_at DESC, digest DESC LIMIT $4";

/// What was published from a drive, the newest first, after one of these.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    drive: DriveId,
    after: Option<(i64, Digest)>,
    limit: u32,
) -> Result<Vec<Publication>> {
    let (published_at, digest) = after.unwrap_or((i64::MAX, Digest::EMPTY));
    tx.all(LIST, args![drive, published_at, digest, limit], read)
}

pub(crate) fn insert(tx: &mut Tx<'_>, drive: DriveId, publication: &Publication) -> Result<()> {
    tx.execute(
        "INSERT INTO publication (digest, drive_id, size_bytes, published_at) \
         VALUES ($1, $2, $3, $4)",
        args![
            publication.digest,
            drive,
            publication.size_bytes,
            publication.published_at
        ],
    )?;
    Ok(())
}

/// Removes a publication; its length, if it was there.
pub(crate) fn remove(tx: &mut Tx<'_>, drive: DriveId, digest: Digest) -> Result<Option<u64>> {
    tx.first(
        "DELETE FROM publication WHERE digest = $1 AND drive_id = $2 RETURNING size_bytes",
        args![digest, drive],
        |row| row.get(0),
    )
}

/// Some of what was published from a drive, if that is gone.
pub(crate) fn some_left_behind(tx: &mut Tx<'_>, drive: DriveId, limit: u32) -> Result<Vec<Digest>> {
    tx.all(
        "SELECT p.digest FROM publication p WHERE p.drive_id = $1 \
         AND NOT EXISTS (SELECT 1 FROM drive d WHERE d.id = $1) LIMIT $2",
        args![drive, limit],
        |row| row.get(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_engine, plan};

    /// Whether somebody else has the bytes must not be seen in what a look-up costs.
    #[tokio::test]
    async fn a_look_up_begins_with_the_digest_and_asks_for_no_blob() {
        each_engine(async |store, _| {
            let steps = plan(store, PUBLISHED_BYTES, 1).await;
            if !steps.is_empty() {
                assert!(steps.starts_with("SEARCH p USING"), "{steps}");
                assert!(!steps.contains("SCAN"), "{steps}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_part_of_a_list_is_read_in_the_order_of_its_index() {
        each_engine(async |store, _| {
            let steps = plan(store, LIST, 4).await;
            assert!(!steps.contains("TEMP B-TREE"), "{steps}");
        })
        .await;
    }
}
