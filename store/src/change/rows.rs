//! SQL of the journal.

use super::{ChangeKind, Line};
use crate::db::{Tx, args};
use crate::drive::Drive;
use crate::error::Result;
use crate::id::{DriveId, NodeId};

pub(crate) fn append(
    tx: &mut Tx<'_>,
    drive: &Drive,
    kind: ChangeKind,
    node: NodeId,
    path: &str,
    now_ms: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO change (drive_id, number, kind, node_id, path, at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        args![
            drive.id,
            drive.change_number,
            kind.code(),
            node,
            path,
            now_ms
        ],
    )?;
    Ok(())
}

pub(crate) fn since(tx: &mut Tx<'_>, drive: DriveId, cursor: i64, limit: u32) -> Result<Vec<Line>> {
    tx.all(
        "SELECT number, kind, node_id, path FROM change \
         WHERE drive_id = $1 AND number > $2 ORDER BY number LIMIT $3",
        args![drive, cursor, limit],
        |row| {
            Ok(Line {
                number: row.get(0)?,
                kind: ChangeKind::from_code(row.get(1)?)?,
                node: row.get(2)?,
                path: row.get(3)?,
            })
        },
    )
}

/// Whether after this line the folder at `path`, or one above it, went away or came there.
pub(crate) fn has_moved(tx: &mut Tx<'_>, drive: DriveId, after: i64, path: &str) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM change WHERE drive_id = $1 AND number > $2 AND kind <> $3 \
             AND (path = $4 OR SUBSTR($4, 1, LENGTH(path) + 1) = path || '/') LIMIT 1",
        args![drive, after, ChangeKind::Changed.code(), path],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Looks for the oldest lines in the order of time, which is what the index knows.
const OLDEST_BY_DRIVE: &str = "SELECT drive_id, MAX(number) FROM ( \
         SELECT drive_id, number FROM change WHERE at < $1 ORDER BY at LIMIT $2) oldest \
     GROUP BY drive_id";

/// Drives of the `limit` oldest lines from before, each with the number of the newest of those.
pub(crate) fn drives_with_older(
    tx: &mut Tx<'_>,
    before_ms: i64,
    limit: u32,
) -> Result<Vec<(DriveId, i64)>> {
    tx.all(OLDEST_BY_DRIVE, args![before_ms, limit], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

pub(crate) fn forget(tx: &mut Tx<'_>, drive: DriveId, up_to: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM change WHERE drive_id = $1 AND number <= $2",
        args![drive, up_to],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_engine, plan};

    #[tokio::test]
    async fn old_lines_are_found_by_their_time() {
        each_engine(async |store, _| {
            let plan = plan(store, OLDEST_BY_DRIVE, 2).await;
            let by_time = plan.is_empty() || plan.contains("change_at (at<?)");
            assert!(by_time, "{plan}");
        })
        .await;
    }
}
