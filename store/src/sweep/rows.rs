//! SQL of purging and sweeping.

use super::Swept;
use crate::db::{Tx, args};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::id::{DriveId, NodeId};
use crate::node::Body;

/// A member of a folder that is being purged.
pub(crate) struct Member {
    pub parent: NodeId,
    pub name_nfc: String,
    pub node: NodeId,
    pub drive: DriveId,
    pub size_bytes: u64,
    /// A file's content.
    pub body: Option<Body>,
    pub is_empty_folder: bool,
    /// Whether it had other names when this was read.
    pub has_links: bool,
}

macro_rules! oldest_trash {
    () => {
        "SELECT node_id, drive_id FROM trash WHERE is_kept = 0 \
         ORDER BY deleted_at, node_id LIMIT 1"
    };
}

/// The tree to purge next, and its drive. Until the transaction ends no other daemon purges it:
/// two that release the same references would count content as gone that is not.
pub(crate) fn oldest_trash(tx: &mut Tx<'_>) -> Result<Option<(NodeId, DriveId)>> {
    let sql = if tx.needs_row_locks() {
        concat!(oldest_trash!(), " FOR UPDATE SKIP LOCKED")
    } else {
        oldest_trash!()
    };
    tx.first(sql, args![], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(crate) fn some_members(tx: &mut Tx<'_>, folder: NodeId, limit: u32) -> Result<Vec<Member>> {
    tx.all(
        "SELECT e.parent_id, e.name_nfc, n.id, n.drive_id, n.kind, n.blob_digest, n.manifest_id, \
             n.size_bytes, CASE WHEN EXISTS (SELECT 1 FROM entry c WHERE c.parent_id = n.id) THEN 0 ELSE 1 END, \
             n.links \
         FROM entry e CROSS JOIN node n WHERE n.id = e.node_id AND e.parent_id = $1 LIMIT $2",
        args![folder, limit],
        |row| {
            let is_file = row.get::<i64>(4)? == 2;
            let body = match (row.get(5)?, row.get(6)?) {
                (Some(digest), _) => Body::Blob(digest),
                (None, Some(manifest)) => Body::Manifest(manifest),
                (None, None) => Body::Empty,
            };
            Ok(Member {
                parent: row.get(0)?,
                name_nfc: row.get(1)?,
                node: row.get(2)?,
                drive: row.get(3)?,
                size_bytes: row.get(7)?,
                body: is_file.then_some(body),
                is_empty_folder: !is_file && row.get(8)?,
                has_links: row.get::<i64>(9)? > 1,
            })
        },
    )
}

pub(crate) fn remove_member(tx: &mut Tx<'_>, member: &Member) -> Result<()> {
    remove_entry(tx, member)?;
    crate::node::rows::remove(tx, member.node)
}

/// Makes a folder the root of a tree of its own to purge.
pub(crate) fn detach(tx: &mut Tx<'_>, member: &Member, now_ms: i64) -> Result<()> {
    remove_entry(tx, member)?;
    crate::tree::rows::insert_trash(tx, member.node, member.drive, now_ms)
}

pub(crate) fn remove_entry(tx: &mut Tx<'_>, member: &Member) -> Result<()> {
    tx.execute(
        "DELETE FROM entry WHERE parent_id = $1 AND name_nfc = $2",
        args![member.parent, &member.name_nfc],
    )?;
    Ok(())
}

pub(crate) fn remove_trash(tx: &mut Tx<'_>, node: NodeId) -> Result<()> {
    tx.execute("DELETE FROM trash WHERE node_id = $1", args![node])?;
    Ok(())
}

/// What a sweep would remove.
pub(crate) fn unreferenced(tx: &mut Tx<'_>, before_ms: i64) -> Result<Swept> {
    let found = tx.first(
        "SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM blob \
         WHERE reference_count = 0 AND unreferenced_at <= $1",
        args![before_ms],
        |row| {
            Ok(Swept {
                blobs: row.get(0)?,
                size_bytes: row.get(1)?,
            })
        },
    )?;
    found.ok_or_else(|| Error::malformed("count"))
}

/// Removes rows of unreferenced blobs; digest and length.
pub(crate) fn take_unreferenced(
    tx: &mut Tx<'_>,
    before_ms: i64,
    limit: u32,
) -> Result<Vec<(Digest, u64)>> {
    tx.all(
        "DELETE FROM blob WHERE reference_count = 0 AND unreferenced_at <= $1 AND digest IN ( \
             SELECT digest FROM blob WHERE unreferenced_at <= $1 AND reference_count = 0 LIMIT $2) \
         RETURNING digest, size_bytes",
        args![before_ms, limit],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::{each_engine, plan};

    #[tokio::test]
    async fn the_oldest_trash_is_found_without_sorting() {
        each_engine(async |store, _| {
            let plan = plan(store, oldest_trash!(), 0).await;
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        })
        .await;
    }
}
