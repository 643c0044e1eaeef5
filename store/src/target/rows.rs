//! SQL of where a node is.

use crate::db::{Tx, args};
use crate::error::Result;
use crate::id::{DriveId, NodeId};
use crate::path::Name;

/// For each name of a node of this drive the folders above it up to `root`, nearest first, each with
/// the name that leads down from it; always in the same order. The last one is `root` exactly if
/// that name lies below.
pub(crate) fn ways_up(
    tx: &mut Tx<'_>,
    drive: DriveId,
    root: NodeId,
    id: NodeId,
) -> Result<Vec<Vec<(NodeId, Name)>>> {
    let mut ways: Vec<Vec<(NodeId, Name)>> = Vec::new();
    tx.each(
        "WITH RECURSIVE up (way_parent, way_name, level, parent_id, name) AS ( \
             SELECT e.parent_id, e.name_nfc, 0, e.parent_id, e.name \
                 FROM node n CROSS JOIN entry e \
                 WHERE n.id = $1 AND n.drive_id = $2 AND e.node_id = n.id \
             UNION ALL \
             SELECT up.way_parent, up.way_name, up.level + 1, e.parent_id, e.name \
                 FROM up CROSS JOIN entry e \
                 WHERE up.parent_id <> $3 AND e.node_id = up.parent_id) \
         SELECT level, parent_id, name FROM up ORDER BY way_parent, way_name, level",
        args![id, drive, root],
        |row| {
            let step = (row.get(1)?, Name::new(row.text(2)?)?);
            match ways.last_mut() {
                Some(way) if row.get::<i64>(0)? > 0 => way.push(step),
                _ => ways.push(vec![step]),
            }
            Ok(())
        },
    )?;
    Ok(ways)
}
