//! SQL of what lies below a folder.

use super::Extent;
use crate::db::{Tx, args};
use crate::error::Result;
use crate::id::NodeId;

/// Number of entries below a folder, and the lengths of their paths; of the first `most` alone.
pub(crate) fn extent(tx: &mut Tx<'_>, root: NodeId, most: u64) -> Result<Extent> {
    let extent = tx.first(
        "WITH RECURSIVE tree (bytes, node_id) AS ( \
             SELECT OCTET_LENGTH(e.name), e.node_id FROM entry e WHERE e.parent_id = $1 \
             UNION ALL \
             SELECT t.bytes + 1 + OCTET_LENGTH(e.name), e.node_id \
                 FROM tree t CROSS JOIN entry e WHERE e.parent_id = t.node_id) \
         SELECT COUNT(*), CAST(COALESCE(SUM(part.bytes), 0) AS BIGINT) \
         FROM (SELECT t.bytes FROM tree t LIMIT $2) AS part",
        args![root, most],
        |row| {
            Ok(Extent {
                entries: row.get(0)?,
                path_bytes: row.get(1)?,
            })
        },
    )?;
    Ok(extent.unwrap_or(Extent {
        entries: 0,
        path_bytes: 0,
    }))
}
