//! SQL of what others share, for who listens.

use std::collections::HashMap;

use crate::db::{Tx, args};
use crate::error::Result;
use crate::id::{DriveId, NodeId, UserId};
use crate::node::rows::is_first;
use crate::path::Name;

/// What an account may hear of a node.
pub(super) struct Granted {
    pub drive: DriveId,
    /// The line of the drive's history from which on.
    pub since: i64,
    /// The newest line, and the newest that was forgotten.
    pub newest: i64,
    pub oldest: i64,
}

/// The oldest `limit` grants to an account, by node.
pub(super) fn granted(
    tx: &mut Tx<'_>,
    user: UserId,
    limit: u32,
) -> Result<HashMap<NodeId, Granted>> {
    let mut granted: HashMap<NodeId, Granted> = HashMap::new();
    tx.each(
        "SELECT g.node_id, g.drive_id, g.since_change, d.change_number, d.change_floor \
         FROM access_grant g CROSS JOIN drive d \
         WHERE g.account_id = $1 AND d.id = g.drive_id ORDER BY g.id LIMIT $2",
        args![user, limit],
        |row| {
            let one = Granted {
                drive: row.get(1)?,
                since: row.get(2)?,
                newest: row.get(3)?,
                oldest: row.get(4)?,
            };
            // By several names of the account the same may be granted several times.
            let known = granted.entry(row.get(0)?).or_insert(one);
            known.since = known.since.min(row.get(2)?);
            Ok(())
        },
    )?;
    Ok(granted)
}

/// Where something lies that is shared.
pub(super) struct Place {
    pub node: NodeId,
    pub is_folder: bool,
    /// The name its receiver finds it under.
    pub mount: Name,
    /// Its path from the drive's root, in NFC.
    pub key: String,
}

/// The places of what [`granted`] finds, in this order.
pub(super) fn places(tx: &mut Tx<'_>, user: UserId, limit: u32) -> Result<Vec<Place>> {
    tx.all(
        concat!(
            "WITH RECURSIVE part (id, node_id) AS ( \
                 SELECT id, node_id FROM access_grant WHERE account_id = $1 ORDER BY id LIMIT $2), \
             up (id, node_id, path) AS ( \
                 SELECT p.id, e.parent_id, '/' || e.name_nfc FROM part p CROSS JOIN entry e \
                     WHERE e.node_id = p.node_id AND ",
            is_first!("e"),
            " UNION ALL \
                 SELECT up.id, e.parent_id, '/' || e.name_nfc || up.path \
                     FROM up CROSS JOIN entry e WHERE e.node_id = up.node_id) \
             SELECT g.node_id, n.kind, g.mount_name, up.path \
             FROM up CROSS JOIN access_grant g CROSS JOIN drive d CROSS JOIN node n \
             WHERE g.id = up.id AND d.id = g.drive_id AND up.node_id = d.root_id \
                 AND n.id = g.node_id ORDER BY g.id"
        ),
        args![user, limit],
        |row| {
            Ok(Place {
                node: row.get(0)?,
                is_folder: row.get::<i64>(1)? == 1,
                mount: Name::new(row.text(2)?)?,
                key: row.get(3)?,
            })
        },
    )
}
