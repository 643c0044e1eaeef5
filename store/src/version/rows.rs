//! SQL of versions.

use super::Version;
use crate::db::{Row, Tx, Value, args};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::give_way::{Kept, What};
use crate::id::{DriveId, NodeId, VersionId};
use crate::node::rows::{Held, body_columns, read_held};
use crate::node::{Body, FileContent, Node};

/// Columns of `version v`, in the order [`read`] takes them.
macro_rules! columns {
    () => {
        "v.id, v.size_bytes, v.tag, v.sha256, v.checksums, v.blob_digest, v.manifest_id, \
         v.modified_ns, v.replaced_at"
    };
}

/// Reads a version from columns that start at `at`.
fn read(row: &Row<'_>, at: usize) -> Result<Version> {
    Ok(Version {
        id: row.get(at)?,
        size_bytes: row.get(at + 1)?,
        content: FileContent {
            tag: row.get(at + 2)?,
            sha256: row.get(at + 3)?,
            kept: row.get(at + 4)?,
            body: read_body(row.get(at + 5)?, row.get(at + 6)?)?,
        },
        modified_ns: row.get(at + 7)?,
        replaced_at: row.get(at + 8)?,
        expires_at: 0,
    })
}

fn read_body(blob: Option<Digest>, manifest: Option<crate::id::ManifestId>) -> Result<Body> {
    match (blob, manifest) {
        (Some(digest), None) => Ok(Body::Blob(digest)),
        (None, Some(manifest)) => Ok(Body::Manifest(manifest)),
        _ => Err(Error::malformed("version without a body")),
    }
}

/// Keeps what a file holds.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: VersionId,
    node: &Node,
    content: &FileContent,
    now_ms: i64,
) -> Result<()> {
    let (blob, manifest) = body_columns(content.body);
    tx.execute(
        "INSERT INTO version (id, node_id, drive_id, size_bytes, tag, sha256, checksums, \
             blob_digest, manifest_id, modified_ns, replaced_at, is_kept) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1)",
        args![
            id,
            node.id,
            node.drive,
            node.size_bytes,
            content.tag,
            content.sha256,
            content.kept,
            blob,
            manifest,
            node.modified_ns,
            now_ms,
        ],
    )?;
    Ok(())
}

/// How many versions of a file are kept, and since when the newest.
pub(super) fn count(tx: &mut Tx<'_>, node: NodeId) -> Result<(u64, Option<i64>)> {
    let found = tx.first(
        "SELECT COUNT(*), MAX(replaced_at) FROM version WHERE node_id = $1 AND is_kept = 1",
        args![node],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(found.unwrap_or((0, None)))
}

/// The versions of a file, the newest first, after one of these.
pub(super) fn list(
    tx: &mut Tx<'_>,
    node: NodeId,
    after: Option<(i64, VersionId)>,
    limit: u32,
) -> Result<Vec<Version>> {
    let (replaced_at, id) = match after {
        Some((replaced_at, id)) => (replaced_at, id.as_bytes().to_vec()),
        None => (i64::MAX, Vec::new()),
    };
    tx.all(LIST, args![node, replaced_at, id, limit], |row| {
        read(row, 0)
    })
}

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM version v WHERE v.node_id = $1 AND v.is_kept = 1 \
         AND (v.replaced_at, v.id) < ($2, $3) \
     ORDER BY v.replaced_at DESC, v.id DESC LIMIT $4"
);

/// A version of a file, and its content.
pub(super) fn find(
    tx: &mut Tx<'_>,
    node: NodeId,
    id: VersionId,
) -> Result<Option<(Version, Held)>> {
    tx.first(
        concat!(
            "SELECT COALESCE(b.size_bytes, m.size_bytes, -1), COALESCE(b.data, m.chunks), ",
            columns!(),
            " FROM version v LEFT JOIN blob b ON b.digest = v.blob_digest \
             LEFT JOIN manifest m ON m.id = v.manifest_id \
             WHERE v.id = $1 AND v.node_id = $2 AND v.is_kept = 1"
        ),
        args![id, node],
        |row| {
            let version = read(row, 2)?;
            let held = read_held(row, version.content.body)?;
            Ok((version, held))
        },
    )
}

/// Takes a version of a file away, whose reference is then the caller's.
pub(super) fn take(tx: &mut Tx<'_>, node: NodeId, id: VersionId) -> Result<Option<Version>> {
    tx.first(
        "DELETE FROM version WHERE id = $1 AND node_id = $2 AND is_kept = 1 \
         RETURNING id, size_bytes, tag, sha256, checksums, blob_digest, manifest_id, \
             modified_ns, replaced_at",
        args![id, node],
        |row| read(row, 0),
    )
}

/// What a drive has kept longest.
pub(crate) fn oldest(tx: &mut Tx<'_>, drive: DriveId, limit: u32) -> Result<Vec<Kept>> {
    tx.all(OLDEST, args![drive, limit], read_kept)
}

const OLDEST: &str = "SELECT id, replaced_at, size_bytes FROM version \
     WHERE drive_id = $1 AND is_kept = 1 ORDER BY replaced_at, id LIMIT $2";

/// What a file has kept longest.
pub(super) fn oldest_of(tx: &mut Tx<'_>, node: NodeId, limit: u64) -> Result<Vec<Kept>> {
    tx.all(
        "SELECT id, replaced_at, size_bytes FROM version \
         WHERE node_id = $1 AND is_kept = 1 ORDER BY replaced_at, id LIMIT $2",
        args![node, limit],
        read_kept,
    )
}

fn read_kept(row: &Row<'_>) -> Result<Kept> {
    Ok(Kept {
        at: row.get(1)?,
        what: What::Version(row.get(0)?, row.get(2)?),
    })
}

/// Which drives have kept something longest, since when, up to an instant, and how large it is; all
/// drives, or all but one.
pub(crate) fn oldest_of_all(
    tx: &mut Tx<'_>,
    until: i64,
    limit: u32,
    beside: Option<DriveId>,
) -> Result<Vec<(i64, DriveId, u64)>> {
    let beside = beside.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    tx.all(OLDEST_OF_ALL, args![until, limit, beside], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
}

const OLDEST_OF_ALL: &str = "SELECT replaced_at, drive_id, size_bytes FROM version \
     WHERE is_kept = 1 AND replaced_at <= $1 AND drive_id <> $3 ORDER BY replaced_at, id LIMIT $2";

/// Marks versions as given up.
pub(crate) fn give_up(tx: &mut Tx<'_>, ids: &[VersionId]) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = ids.iter().map(|id| vec![(*id).into()]).collect();
    tx.execute_many(
        "UPDATE version SET is_kept = 0 WHERE id = $1",
        "UPDATE version SET is_kept = 0 \
         FROM UNNEST($1::bytea[]) AS c (id) WHERE version.id = c.id",
        &rows,
    )?;
    Ok(())
}

/// Whether anything is kept of any of these.
pub(super) fn is_any(tx: &mut Tx<'_>, nodes: &[NodeId]) -> Result<bool> {
    let keys: Vec<Value<'_>> = nodes.iter().map(|node| (*node).into()).collect();
    let found = tx.all_of(
        "SELECT 1 FROM version WHERE node_id = $1 AND is_kept = 1 LIMIT 1",
        "SELECT 1 FROM version WHERE node_id = ANY($1) AND is_kept = 1 LIMIT 1",
        &keys,
        |_| Ok(()),
    )?;
    Ok(!found.is_empty())
}

/// Marks all versions of these as given up; their sizes.
pub(super) fn give_up_of(tx: &mut Tx<'_>, nodes: &[NodeId]) -> Result<Vec<u64>> {
    let keys: Vec<Value<'_>> = nodes.iter().map(|node| (*node).into()).collect();
    tx.all_of(
        "UPDATE version SET is_kept = 0 WHERE node_id = $1 AND is_kept = 1 RETURNING size_bytes",
        "UPDATE version SET is_kept = 0 WHERE node_id = ANY($1) AND is_kept = 1 \
         RETURNING size_bytes",
        &keys,
        |row| row.get(0),
    )
}

/// Leaves the versions of a drive that is gone to the purge.
pub(crate) fn abandon(tx: &mut Tx<'_>, drive: DriveId) -> Result<()> {
    tx.execute(
        "UPDATE version SET is_kept = 0 WHERE drive_id = $1 AND is_kept = 1",
        args![drive],
    )?;
    Ok(())
}

macro_rules! given_up {
    () => {
        "SELECT id, size_bytes, blob_digest, manifest_id FROM version \
         WHERE is_kept = 0 ORDER BY replaced_at, id LIMIT $1"
    };
}

/// Some versions that were given up, which no other daemon purges until the transaction ends.
pub(super) fn given_up(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<(VersionId, u64, Body)>> {
    let sql = if tx.needs_row_locks() {
        concat!(given_up!(), " FOR UPDATE SKIP LOCKED")
    } else {
        given_up!()
    };
    tx.all(sql, args![limit], |row| {
        let body = read_body(row.get(2)?, row.get(3)?)?;
        Ok((row.get(0)?, row.get(1)?, body))
    })
}

pub(super) fn remove(tx: &mut Tx<'_>, ids: impl Iterator<Item = VersionId>) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = ids.map(|id| vec![id.into()]).collect();
    tx.execute_many(
        "DELETE FROM version WHERE id = $1",
        "DELETE FROM version USING UNNEST($1::bytea[]) AS c (id) WHERE version.id = c.id",
        &rows,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_engine, plan};

    #[tokio::test]
    async fn versions_are_found_in_the_order_of_an_index() {
        each_engine(async |store, _| {
            let all = [(LIST, 4), (OLDEST, 2), (OLDEST_OF_ALL, 3), (given_up!(), 1)];
            for (sql, arguments) in all {
                let steps = plan(store, sql, arguments).await;
                assert!(!steps.contains("TEMP B-TREE"), "{sql}: {steps}");
                assert!(!steps.contains("SCAN"), "{sql}: {steps}");
            }
        })
        .await;
    }
}
