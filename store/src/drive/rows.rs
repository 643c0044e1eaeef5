//! SQL of drives.

use super::{Drive, Usage};
use crate::cache::Effect;
use crate::db::{Row, Tx, Value, args};
use crate::error::{Error, Result};
use crate::id::{DriveId, NodeId, UserId};

macro_rules! select_drive {
    ($rest:literal) => {
        concat!(
            "SELECT id, root_id, limit_bytes, used_bytes, reserved_bytes, file_count, \
                 lock_count, change_number, change_floor, node_count, property_bytes, \
                 publication_count, published_bytes, version_count, versions_bytes, \
                 trash_count, trash_bytes, trash_nodes, trash_property_bytes, asset_bytes, \
                 share_count \
             FROM drive ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Drive> {
    Ok(Drive {
        id: row.get(0)?,
        root: row.get(1)?,
        usage: Usage {
            limit_bytes: row.get(2)?,
            used_bytes: row.get(3)?,
            reserved_bytes: row.get(4)?,
            files: row.get(5)?,
            publications: row.get(11)?,
            published_bytes: row.get(12)?,
            versions: row.get(13)?,
            versions_bytes: row.get(14)?,
            trashed: row.get(15)?,
            trash_bytes: row.get(16)?,
            asset_bytes: row.get(19)?,
        },
        lock_count: row.get(6)?,
        shares: row.get(20)?,
        change_number: row.get(7)?,
        change_floor: row.get(8)?,
        nodes: row.get(9)?,
        property_bytes: row.get(10)?,
        trash_nodes: row.get(17)?,
        trash_property_bytes: row.get(18)?,
    })
}

pub(crate) fn find(tx: &mut Tx<'_>, id: DriveId) -> Result<Option<Drive>> {
    tx.first(select_drive!("WHERE id = $1"), args![id], read)
}

/// The drive, with all other writers to it kept away until the transaction ends.
pub(crate) fn lock(tx: &mut Tx<'_>, id: DriveId) -> Result<Drive> {
    let sql = if tx.needs_row_locks() {
        select_drive!("WHERE id = $1 FOR UPDATE")
    } else {
        select_drive!("WHERE id = $1")
    };
    tx.first(sql, args![id], read)?.ok_or(Error::NotFound)
}

/// Those of many drives that are there.
pub(crate) fn find_many(tx: &mut Tx<'_>, ids: &[DriveId]) -> Result<Vec<Drive>> {
    let keys: Vec<Value<'_>> = ids.iter().map(|id| Value::from(*id)).collect();
    tx.all_of(
        select_drive!("WHERE id = $1"),
        select_drive!("WHERE id = ANY($1)"),
        &keys,
        read,
    )
}

pub(crate) fn insert(
    tx: &mut Tx<'_>,
    id: DriveId,
    owner: UserId,
    root: NodeId,
    limit_bytes: u64,
    now_ms: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO drive (id, owner_id, root_id, limit_bytes, used_bytes, reserved_bytes, \
             file_count, node_count, property_bytes, publication_count, published_bytes, \
             version_count, versions_bytes, trash_count, trash_bytes, trash_nodes, \
             trash_property_bytes, asset_bytes, share_count, lock_count, change_number, \
             change_floor, created_at) \
         VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, $5)",
        args![id, owner, root, limit_bytes, now_ms],
    )?;
    Ok(())
}

/// Writes back the numbers of a drive that this transaction holds by [`lock`].
pub(crate) fn settle(tx: &mut Tx<'_>, drive: &Drive) -> Result<()> {
    tx.execute(
        "UPDATE drive SET used_bytes = $2, reserved_bytes = $3, file_count = $4, lock_count = $5, \
             change_number = $6, change_floor = $7, node_count = $8, property_bytes = $9, \
             publication_count = $10, published_bytes = $11, version_count = $12, \
             versions_bytes = $13, trash_count = $14, trash_bytes = $15, trash_nodes = $16, \
             trash_property_bytes = $17, asset_bytes = $18, share_count = $19 WHERE id = $1",
        args![
            drive.id,
            drive.usage.used_bytes,
            drive.usage.reserved_bytes,
            drive.usage.files,
            drive.lock_count,
            drive.change_number,
            drive.change_floor,
            drive.nodes,
            drive.property_bytes,
            drive.usage.publications,
            drive.usage.published_bytes,
            drive.usage.versions,
            drive.usage.versions_bytes,
            drive.usage.trashed,
            drive.usage.trash_bytes,
            drive.trash_nodes,
            drive.trash_property_bytes,
            drive.usage.asset_bytes,
            drive.shares,
        ],
    )?;
    tx.effect(Effect::Drive(drive.id));
    Ok(())
}

/// Bytes that all drives but this one have kept of the past.
pub(crate) fn kept_beside(tx: &mut Tx<'_>, id: DriveId) -> Result<u64> {
    let kept = tx.first(
        "SELECT CAST(COALESCE(SUM(versions_bytes + trash_bytes), 0) AS BIGINT) FROM drive \
         WHERE id <> $1",
        args![id],
        |row| row.get(0),
    )?;
    Ok(kept.unwrap_or(0))
}

/// Sets the limit; what is stored above it stays, nothing more is taken.
pub(crate) fn set_limit(tx: &mut Tx<'_>, id: DriveId, limit_bytes: u64) -> Result<()> {
    tx.execute(
        "UPDATE drive SET limit_bytes = $2 WHERE id = $1",
        args![id, limit_bytes],
    )?;
    tx.effect(Effect::Drive(id));
    Ok(())
}
