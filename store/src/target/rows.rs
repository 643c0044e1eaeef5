//! SQL of where a node is.

use crate::db::{Tx, args};
use crate::error::Result;
use crate::id::{DriveId, NodeId};
use crate::path::Name;

/// The folders above a node of this drive up to `root`, nearest first, each with the name that
/// leads down from it. The last one is `root` exactly if the node lies below.
pub(crate) fn way_up(
    tx: &mut Tx<'_>,
    drive: DriveId,
    root: NodeId,
    id: NodeId,
) -> Result<Vec<(NodeId, Name)>> {
    tx.all(
        "WITH RECURSIVE up (level, parent_id, name) AS ( \
             SELECT 0, e.parent_id, e.name FROM node n CROSS JOIN entry e \
                 WHERE n.id = $1 AND n.drive_id = $2 AND e.node_id = n.id \
             UNION ALL \
             SELECT up.level + 1, e.parent_id, e.name FROM up CROSS JOIN entry e \
                 WHERE up.parent_id <> $3 AND e.node_id = up.parent_id) \
         SELECT parent_id, name FROM up ORDER BY level",
        args![id, drive, root],
        |row| Ok((row.get(0)?, Name::new(row.text(1)?)?)),
    )
}
