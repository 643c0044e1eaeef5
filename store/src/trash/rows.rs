//! SQL of the trash.

use super::{Emptied, Trashed};
use crate::db::{Row, Tx, Value, args};
use crate::error::Result;
use crate::give_way::{Kept, What};
use crate::id::{DriveId, NodeId, UserId};
use crate::node;
use crate::tree::rows::Totals;

/// A deleted tree as its row has it.
pub(super) struct Deleted {
    pub path: String,
    pub totals: Totals,
}

/// Keeps a tree.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    node: NodeId,
    drive: DriveId,
    deleted: &Deleted,
    by: UserId,
    now_ms: i64,
) -> Result<()> {
    let totals = &deleted.totals;
    tx.execute(
        "INSERT INTO trash (node_id, drive_id, path, size_bytes, file_count, node_count, \
             property_bytes, deleted_by, deleted_at, is_kept) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)",
        args![
            node,
            drive,
            &deleted.path,
            totals.size_bytes,
            totals.files,
            totals.nodes,
            totals.property_bytes,
            by,
            now_ms,
        ],
    )?;
    Ok(())
}

macro_rules! select_trashed {
    ($rest:literal) => {
        concat!(
            "SELECT t.path, t.size_bytes, t.file_count, t.deleted_by, t.deleted_at, ",
            node::rows::columns!(),
            " FROM trash t CROSS JOIN node n \
             WHERE t.drive_id = $1 AND t.is_kept = 1 AND n.id = t.node_id ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Trashed> {
    Ok(Trashed {
        path: row.get(0)?,
        size_bytes: row.get(1)?,
        files: row.get(2)?,
        deleted_by: row.get(3)?,
        deleted_at: row.get(4)?,
        expires_at: 0,
        node: node::rows::read(row, 5)?,
    })
}

/// What was deleted from a drive, the last first, after one of these.
pub(super) fn list(
    tx: &mut Tx<'_>,
    drive: DriveId,
    after: Option<(i64, NodeId)>,
    limit: u32,
) -> Result<Vec<Trashed>> {
    let (deleted_at, id) = match after {
        Some((deleted_at, id)) => (deleted_at, id.as_bytes().to_vec()),
        None => (i64::MAX, Vec::new()),
    };
    tx.all(LIST, args![drive, deleted_at, id, limit], read)
}

const LIST: &str = select_trashed!(
    "AND (t.deleted_at, t.node_id) < ($2, $3) \
     ORDER BY t.deleted_at DESC, t.node_id DESC LIMIT $4"
);

pub(super) fn find(tx: &mut Tx<'_>, drive: DriveId, node: NodeId) -> Result<Option<Trashed>> {
    tx.first(
        select_trashed!("AND t.node_id = $2"),
        args![drive, node],
        read,
    )
}

/// Takes a tree out of the trash.
pub(super) fn take(tx: &mut Tx<'_>, drive: DriveId, node: NodeId) -> Result<Option<Deleted>> {
    tx.first(
        "DELETE FROM trash WHERE node_id = $1 AND drive_id = $2 AND is_kept = 1 \
         RETURNING path, size_bytes, file_count, node_count, property_bytes",
        args![node, drive],
        |row| {
            Ok(Deleted {
                path: row.get(0)?,
                totals: read_totals(row, 1)?,
            })
        },
    )
}

fn read_totals(row: &Row<'_>, at: usize) -> Result<Totals> {
    Ok(Totals {
        size_bytes: row.get(at)?,
        files: row.get(at + 1)?,
        nodes: row.get(at + 2)?,
        property_bytes: row.get(at + 3)?,
    })
}

/// What a tree in the trash counts for.
pub(super) fn totals(tx: &mut Tx<'_>, drive: DriveId, node: NodeId) -> Result<Option<Totals>> {
    tx.first(
        "SELECT size_bytes, file_count, node_count, property_bytes FROM trash \
         WHERE node_id = $1 AND drive_id = $2 AND is_kept = 1",
        args![node, drive],
        |row| read_totals(row, 0),
    )
}

/// All that is in the trash of a drive.
pub(super) fn sum(tx: &mut Tx<'_>, drive: DriveId) -> Result<Emptied> {
    let sum = tx.first(
        "SELECT COUNT(*), CAST(COALESCE(SUM(file_count), 0) AS BIGINT), \
             CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) \
         FROM trash WHERE drive_id = $1 AND is_kept = 1",
        args![drive],
        |row| {
            Ok(Emptied {
                items: row.get(0)?,
                files: row.get(1)?,
                size_bytes: row.get(2)?,
            })
        },
    )?;
    Ok(sum.unwrap_or_default())
}

/// What a drive has had in the trash longest.
pub(crate) fn oldest(tx: &mut Tx<'_>, drive: DriveId, limit: u32) -> Result<Vec<Kept>> {
    tx.all(OLDEST, args![drive, limit], |row| {
        Ok(Kept {
            at: row.get(1)?,
            what: What::Trash(row.get(0)?, read_totals(row, 2)?),
        })
    })
}

const OLDEST: &str = "SELECT node_id, deleted_at, size_bytes, file_count, node_count, \
         property_bytes FROM trash \
     WHERE drive_id = $1 AND is_kept = 1 ORDER BY deleted_at, node_id LIMIT $2";

/// Which drives have had something in the trash longest, since when, up to an instant, and how
/// large it is; all drives, or all but one.
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

const OLDEST_OF_ALL: &str = "SELECT deleted_at, drive_id, size_bytes FROM trash \
     WHERE is_kept = 1 AND deleted_at <= $1 AND drive_id <> $3 ORDER BY deleted_at, node_id LIMIT $2";

/// Leaves trees to the purge.
pub(crate) fn give_up(tx: &mut Tx<'_>, nodes: &[NodeId]) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = nodes.iter().map(|id| vec![(*id).into()]).collect();
    tx.execute_many(
        "UPDATE trash SET is_kept = 0 WHERE node_id = $1",
        "UPDATE trash SET is_kept = 0 \
         FROM UNNEST($1::bytea[]) AS c (id) WHERE trash.node_id = c.id",
        &rows,
    )?;
    Ok(())
}

/// Leaves all trash of a drive to the purge.
pub(crate) fn abandon(tx: &mut Tx<'_>, drive: DriveId) -> Result<()> {
    tx.execute(
        "UPDATE trash SET is_kept = 0 WHERE drive_id = $1 AND is_kept = 1",
        args![drive],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_engine, plan};

    #[tokio::test]
    async fn trash_is_found_in_the_order_of_an_index() {
        each_engine(async |store, _| {
            for (sql, arguments) in [(LIST, 4), (OLDEST, 2), (OLDEST_OF_ALL, 3)] {
                let steps = plan(store, sql, arguments).await;
                assert!(!steps.contains("TEMP B-TREE"), "{sql}: {steps}");
                assert!(!steps.contains("SCAN"), "{sql}: {steps}");
            }
        })
        .await;
    }
}
