//! SQL of rights that were granted.

use super::Granted;
use crate::db::{Row, Tx, args};
use crate::error::Result;
use crate::id::{DriveId, GrantId, NodeId, UserId};
use crate::path::Name;

/// Reads what starts at column `at`: `g.id, g.node_id, g.drive_id, g.can_write, g.mount_name`.
fn read(row: &Row<'_>, at: usize) -> Result<Granted> {
    Ok(Granted {
        grant: row.get(at)?,
        node: row.get(at + 1)?,
        drive: row.get(at + 2)?,
        can_write: row.get(at + 3)?,
        mount: Name::new(row.text(at + 4)?)?,
    })
}

/// The grants to an account on a node and whatever lies above it: those that let it write first,
/// of these the topmost.
pub(super) fn on_chain(tx: &mut Tx<'_>, user: UserId, node: NodeId) -> Result<Option<Granted>> {
    tx.first(
        "WITH RECURSIVE up (level, node_id) AS ( \
             SELECT 0, $1 \
             UNION ALL \
             SELECT up.level + 1, e.parent_id FROM up CROSS JOIN entry e \
                 WHERE e.node_id = up.node_id) \
         SELECT g.id, g.node_id, g.drive_id, g.can_write, g.mount_name \
         FROM up CROSS JOIN access_grant g WHERE g.node_id = up.node_id AND g.account_id = $2 \
         ORDER BY g.can_write DESC, up.level DESC, g.id LIMIT 1",
        args![node, user],
        |row| read(row, 0),
    )
}

/// The least line of the history that grants to an account, on a node or above it, begin with.
pub(super) fn known_since(tx: &mut Tx<'_>, user: UserId, node: NodeId) -> Result<Option<i64>> {
    let since = tx.first(
        "WITH RECURSIVE up (node_id) AS ( \
             SELECT $1 \
             UNION ALL \
             SELECT e.parent_id FROM up CROSS JOIN entry e WHERE e.node_id = up.node_id) \
         SELECT MIN(g.since_change) \
         FROM up CROSS JOIN access_grant g WHERE g.node_id = up.node_id AND g.account_id = $2",
        args![node, user],
        |row| row.get::<Option<i64>>(0),
    )?;
    Ok(since.flatten())
}

/// What an account finds under one of its names: the grant that gave the name, the strongest one
/// on the same node or above it, and whether others in the same drive let it write.
pub(super) fn at_mount(
    tx: &mut Tx<'_>,
    user: UserId,
    mount_key: &str,
) -> Result<Option<(NodeId, Granted, bool)>> {
    let mut root = None;
    let mut strongest = None;
    tx.each(
        "WITH RECURSIVE up (level, node_id) AS ( \
             SELECT 0, m.node_id FROM access_grant m \
                 WHERE m.account_id = $1 AND m.mount_key = $2 \
             UNION \
             SELECT up.level + 1, e.parent_id FROM up CROSS JOIN entry e \
                 WHERE e.node_id = up.node_id) \
         SELECT up.level, up.node_id, \
             CASE WHEN EXISTS (SELECT 1 FROM access_grant h WHERE h.account_id = $1 \
                 AND h.drive_id = g.drive_id AND h.can_write = 1) THEN 1 ELSE 0 END, \
             g.id, g.node_id, g.drive_id, g.can_write, g.mount_name \
         FROM up CROSS JOIN access_grant g WHERE g.node_id = up.node_id AND g.account_id = $1 \
         ORDER BY g.can_write DESC, up.level DESC, g.id",
        args![user, mount_key],
        |row| {
            if row.get::<i64>(0)? == 0 {
                root = Some(row.get::<NodeId>(1)?);
            }
            if strongest.is_none() {
                strongest = Some((read(row, 3)?, row.get(2)?));
            }
            Ok(())
        },
    )?;
    Ok(root
        .zip(strongest)
        .map(|(root, (granted, may_write))| (root, granted, may_write)))
}

/// The nodes of a drive on which an account has been granted writing.
pub(super) fn writable(
    tx: &mut Tx<'_>,
    user: UserId,
    drive: DriveId,
) -> Result<Vec<(NodeId, GrantId)>> {
    tx.all(
        "SELECT node_id, id FROM access_grant \
         WHERE account_id = $1 AND drive_id = $2 AND can_write = 1 ORDER BY id",
        args![user, drive],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
