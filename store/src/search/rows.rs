//! SQL of searching by name.

use super::{Hit, Hits};
use crate::db::{Tx, args};
use crate::error::Result;
use crate::id::{NodeId, UserId};
use crate::node::rows::{columns, read};
use crate::reach::SHARED;

/// Walks the tree below `root`, and what is shared with an account, and keeps what matches; one
/// statement however large the tree. Of a file that has the same name in several folders, one.
pub(super) fn find(
    tx: &mut Tx<'_>,
    root: NodeId,
    receiver: Option<UserId>,
    pattern: &str,
    after: Option<(String, NodeId)>,
    limit: u32,
) -> Result<Hits> {
    let (name, id) = match after {
        Some((name, id)) => (name, id.as_bytes().to_vec()),
        None => (String::new(), Vec::new()),
    };
    let mut items = Vec::new();
    let (mut last, mut is_last_part) = (None, true);
    tx.each(
        concat!(
            "WITH RECURSIVE start (node_id, path, folded) AS ( \
                 SELECT e.node_id, '/' || e.name, COALESCE(e.name_folded, e.name_nfc) \
                     FROM entry e WHERE e.parent_id = $1 \
                 UNION \
                 SELECT g.node_id, $7 || g.mount_name, COALESCE(g.mount_folded, g.mount_key) \
                     FROM access_grant g WHERE g.account_id = $6), \
             tree (node_id, path, folded) AS ( \
                 SELECT node_id, path, folded FROM start \
                 UNION ALL \
                 SELECT e.node_id, t.path || '/' || e.name, COALESCE(e.name_folded, e.name_nfc) \
                     FROM tree t CROSS JOIN entry e WHERE e.parent_id = t.node_id), \
             part AS ( \
                 SELECT node_id, MIN(path) AS path, folded FROM tree \
                 WHERE folded LIKE $2 ESCAPE '\\' \
                     AND (folded > $3 OR (folded = $3 AND node_id > $4)) \
                 GROUP BY folded, node_id ORDER BY folded, node_id LIMIT $5) \
             SELECT p.path, p.folded, ",
            columns!(),
            " FROM part p CROSS JOIN node n WHERE n.id = p.node_id ORDER BY p.folded, p.node_id"
        ),
        // One more than the part holds tells whether there is another.
        args![
            root,
            pattern,
            name,
            id,
            limit + 1,
            receiver,
            format!("/{SHARED}/")
        ],
        |row| {
            if items.len() == limit as usize {
                is_last_part = false;
                return Ok(());
            }
            let node = read(row, 2)?;
            last = Some((row.get(1)?, node.id));
            items.push(Hit {
                path: row.get(0)?,
                node,
            });
            Ok(())
        },
    )?;
    Ok(Hits {
        items,
        next: last.filter(|_| !is_last_part),
    })
}
