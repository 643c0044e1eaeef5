//! SQL of grants.

use super::{Grant, Owned, Right, Share};
use crate::db::{Row, Tx, args};
use crate::drive::Drive;
use crate::error::Result;
use crate::id::{DriveId, GrantId, NodeId, UserId};
use crate::node::rows::{columns, is_first, read as read_node};
use crate::path::Name;

/// Stands for the account of a name that nobody has: what is asked of it costs the same.
fn or_nobody(account: Option<UserId>) -> Vec<u8> {
    account.map_or_else(|| vec![0; 16], |id| id.as_bytes().to_vec())
}

/// The account of a name, held, so that its names for what is shared with it stay as they are.
pub(crate) fn account_of(tx: &mut Tx<'_>, key: &str) -> Result<Option<UserId>> {
    let sql = if tx.needs_row_locks() {
        "SELECT a.id FROM account_name n JOIN account a ON a.id = n.account_id \
         WHERE n.name_key = $1 FOR NO KEY UPDATE OF a"
    } else {
        "SELECT a.id FROM account_name n JOIN account a ON a.id = n.account_id \
         WHERE n.name_key = $1"
    };
    tx.first(sql, args![key], |row| row.get(0))
}

/// Holds an account, as [`account_of`] does.
pub(crate) fn lock_account(tx: &mut Tx<'_>, id: UserId) -> Result<Option<String>> {
    let sql = if tx.needs_row_locks() {
        "SELECT username FROM account WHERE id = $1 FOR NO KEY UPDATE"
    } else {
        "SELECT username FROM account WHERE id = $1"
    };
    tx.first(sql, args![id], |row| row.get(0))
}

/// Whether anything is shared with an account.
pub(crate) fn is_receiver(tx: &mut Tx<'_>, user: UserId) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM access_grant WHERE account_id = $1 LIMIT 1",
        args![user],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// What an account calls the things shared with it, where the name begins with this.
pub(super) fn mounts(
    tx: &mut Tx<'_>,
    account: Option<UserId>,
    beginning: &str,
) -> Result<Vec<(NodeId, Name)>> {
    tx.all(
        "SELECT node_id, mount_name FROM access_grant \
         WHERE account_id = $1 AND mount_key >= $2 AND mount_key < $3",
        args![
            or_nobody(account),
            beginning,
            format!("{beginning}\u{10ffff}")
        ],
        |row| Ok((row.get(0)?, Name::new(row.text(1)?)?)),
    )
}

/// A row to be written.
pub(super) struct NewGrant<'a> {
    pub id: GrantId,
    pub node: NodeId,
    pub drive: DriveId,
    pub name: &'a str,
    pub key: &'a str,
    pub account: Option<UserId>,
    pub right: Right,
    pub mount: &'a Name,
    /// The newest line of the drive's history.
    pub since_change: i64,
    pub now_ms: i64,
}

/// Adds a grant, or gives that of the same name another right and, where the name is another's
/// now, another receiver.
pub(super) fn upsert(tx: &mut Tx<'_>, new: &NewGrant<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO access_grant (id, node_id, drive_id, name_typed, name_key, account_id, \
             can_write, mount_name, mount_key, mount_folded, created_at, since_change) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (node_id, name_key) DO UPDATE SET account_id = $6, can_write = $7, \
             mount_name = $8, mount_key = $9, mount_folded = $10, \
             since_change = CASE WHEN access_grant.account_id = $6 \
                 THEN access_grant.since_change ELSE $12 END",
        args![
            new.id,
            new.node,
            new.drive,
            new.name,
            new.key,
            new.account,
            new.right.can_write(),
            new.mount.as_str(),
            new.mount.nfc(),
            new.mount.folded(),
            new.now_ms,
            new.since_change,
        ],
    )?;
    Ok(())
}

/// Columns of `access_grant g`, in the order [`read`] takes them.
macro_rules! grant_columns {
    () => {
        "g.id, g.node_id, g.name_typed, g.can_write, g.created_at, g.account_id"
    };
}

fn read(row: &Row<'_>) -> Result<Grant> {
    Ok(Grant {
        id: row.get(0)?,
        node: row.get(1)?,
        name: row.get(2)?,
        right: Right::of(row.get(3)?),
        created_at: row.get(4)?,
        account: row.get(5)?,
    })
}

pub(super) fn find(
    tx: &mut Tx<'_>,
    drive: DriveId,
    node: NodeId,
    id: GrantId,
) -> Result<Option<Grant>> {
    tx.first(
        concat!(
            "SELECT ",
            grant_columns!(),
            " FROM access_grant g WHERE g.id = $1 AND g.node_id = $2 AND g.drive_id = $3"
        ),
        args![id, node, drive],
        read,
    )
}

pub(super) fn find_by_name(tx: &mut Tx<'_>, node: NodeId, key: &str) -> Result<Option<Grant>> {
    tx.first(
        concat!(
            "SELECT ",
            grant_columns!(),
            " FROM access_grant g WHERE g.node_id = $1 AND g.name_key = $2"
        ),
        args![node, key],
        read,
    )
}

/// Grants on a node and on whatever lies above it, the oldest first.
pub(super) fn on_chain(
    tx: &mut Tx<'_>,
    node: NodeId,
    after: Option<GrantId>,
    limit: u32,
) -> Result<Vec<Grant>> {
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    tx.all(
        concat!(
            "WITH RECURSIVE up (node_id) AS ( \
                 SELECT $1 \
                 UNION \
                 SELECT e.parent_id FROM up CROSS JOIN entry e WHERE e.node_id = up.node_id) \
             SELECT ",
            grant_columns!(),
            " FROM up CROSS JOIN access_grant g WHERE g.node_id = up.node_id AND g.id > $2 \
             ORDER BY g.id LIMIT $3"
        ),
        args![node, after, limit],
        read,
    )
}

/// How many there are in all of what [`on_chain`] lists.
pub(super) fn count_on_chain(tx: &mut Tx<'_>, node: NodeId) -> Result<u64> {
    let count = tx.first(
        "WITH RECURSIVE up (node_id) AS ( \
             SELECT $1 \
             UNION \
             SELECT e.parent_id FROM up CROSS JOIN entry e WHERE e.node_id = up.node_id) \
         SELECT COUNT(*) FROM up CROSS JOIN access_grant g WHERE g.node_id = up.node_id",
        args![node],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

/// Grants and offers in a drive.
pub(super) fn count(tx: &mut Tx<'_>, drive: DriveId) -> Result<u64> {
    let count = tx.first(
        "SELECT (SELECT COUNT(*) FROM access_grant WHERE drive_id = $1) \
             + (SELECT COUNT(*) FROM transfer WHERE drive_id = $1)",
        args![drive],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

pub(super) fn set_right(tx: &mut Tx<'_>, id: GrantId, right: Right) -> Result<()> {
    tx.execute(
        "UPDATE access_grant SET can_write = $2 WHERE id = $1",
        args![id, right.can_write()],
    )?;
    Ok(())
}

pub(super) fn remove(tx: &mut Tx<'_>, id: GrantId) -> Result<()> {
    tx.execute("DELETE FROM access_grant WHERE id = $1", args![id])?;
    Ok(())
}

/// Ends all grants on one node; to whom they were.
pub(super) fn remove_on(tx: &mut Tx<'_>, node: NodeId) -> Result<Vec<Option<UserId>>> {
    tx.all(
        "DELETE FROM access_grant WHERE node_id = $1 RETURNING account_id",
        args![node],
        |row| row.get(0),
    )
}

/// The grants of a drive that are on a node or on anything below it, by way of what each of them
/// lies in: they are few, the tree may be large.
macro_rules! within {
    () => {
        "WITH RECURSIVE up (grant_id, node_id) AS ( \
             SELECT g.id, g.node_id FROM access_grant g WHERE g.drive_id = $1 \
             UNION ALL \
             SELECT up.grant_id, e.parent_id FROM up CROSS JOIN entry e \
                 WHERE e.node_id = up.node_id AND up.node_id <> $2) "
    };
}

pub(super) fn is_any_within(tx: &mut Tx<'_>, drive: DriveId, root: NodeId) -> Result<bool> {
    let found = tx.first(
        concat!(within!(), "SELECT 1 FROM up WHERE up.node_id = $2 LIMIT 1"),
        args![drive, root],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

pub(super) fn is_on(tx: &mut Tx<'_>, drive: DriveId, node: NodeId) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM access_grant WHERE drive_id = $1 AND node_id = $2 LIMIT 1",
        args![drive, node],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Ends the grants on a node and on anything below it; to whom they were.
pub(super) fn remove_within(
    tx: &mut Tx<'_>,
    drive: DriveId,
    root: NodeId,
) -> Result<Vec<Option<UserId>>> {
    tx.all(
        concat!(
            within!(),
            "DELETE FROM access_grant WHERE id IN \
                 (SELECT up.grant_id FROM up WHERE up.node_id = $2) RETURNING account_id"
        ),
        args![drive, root],
        |row| row.get(0),
    )
}

/// Ends the grants to one account on a node and on anything below it.
pub(super) fn remove_of(tx: &mut Tx<'_>, drive: DriveId, root: NodeId, user: UserId) -> Result<()> {
    tx.execute(
        concat!(
            within!(),
            "DELETE FROM access_grant WHERE account_id = $3 AND id IN \
                 (SELECT up.grant_id FROM up WHERE up.node_id = $2)"
        ),
        args![drive, root, user],
    )?;
    Ok(())
}

/// Gives the grants on a node and on anything below it to the drive where these are now, whose
/// history before that is not told by them; to whom they are.
pub(super) fn move_within(
    tx: &mut Tx<'_>,
    from: DriveId,
    root: NodeId,
    to: &Drive,
) -> Result<Vec<Option<UserId>>> {
    tx.all(
        concat!(
            within!(),
            "UPDATE access_grant SET drive_id = $3, since_change = $4 WHERE id IN \
                 (SELECT up.grant_id FROM up WHERE up.node_id = $2) RETURNING account_id"
        ),
        args![from, root, to.id, to.change_number],
        |row| row.get(0),
    )
}

/// Ends all grants of a drive; to whom they were.
pub(super) fn remove_of_drive(tx: &mut Tx<'_>, drive: DriveId) -> Result<Vec<Option<UserId>>> {
    tx.all(
        "DELETE FROM access_grant WHERE drive_id = $1 RETURNING account_id",
        args![drive],
        |row| row.get(0),
    )
}

/// The drive and node of a grant to this account.
pub(super) fn received(
    tx: &mut Tx<'_>,
    user: UserId,
    id: GrantId,
) -> Result<Option<(DriveId, NodeId)>> {
    tx.first(
        "SELECT drive_id, node_id FROM access_grant WHERE id = $1 AND account_id = $2",
        args![id, user],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Ends what an account was granted on a node; its owner's list stays as it is.
pub(super) fn leave(tx: &mut Tx<'_>, user: UserId, node: NodeId) -> Result<()> {
    tx.execute(
        "UPDATE access_grant SET account_id = NULL WHERE node_id = $1 AND account_id = $2",
        args![node, user],
    )?;
    Ok(())
}

/// What is shared with an account, each thing once and with its strongest right, in the order of
/// its names for them.
pub(crate) fn shares(tx: &mut Tx<'_>, user: UserId, after: &str, limit: u32) -> Result<Vec<Share>> {
    tx.all(
        concat!(
            "SELECT g.id, g.mount_name, g.can_write, a.username, g.created_at, ",
            columns!(),
            " FROM access_grant g CROSS JOIN node n CROSS JOIN drive d CROSS JOIN account a \
             WHERE g.account_id = $1 AND g.mount_key > $2 AND n.id = g.node_id \
                 AND d.id = g.drive_id AND a.id = d.owner_id \
                 AND NOT EXISTS (SELECT 1 FROM access_grant h \
                     WHERE h.node_id = g.node_id AND h.account_id = g.account_id \
                         AND (h.can_write > g.can_write \
                             OR (h.can_write = g.can_write AND h.id < g.id))) \
             ORDER BY g.mount_key LIMIT $3"
        ),
        args![user, after, limit],
        |row| {
            Ok(Share {
                id: row.get(0)?,
                name: Name::new(row.text(1)?)?,
                right: Right::of(row.get(2)?),
                owner: row.get(3)?,
                created_at: row.get(4)?,
                node: read_node(row, 5)?,
            })
        },
    )
}

/// What is granted in a drive, the oldest first, and where it is. One statement.
pub(super) fn of_drive(
    tx: &mut Tx<'_>,
    drive: DriveId,
    root: NodeId,
    after: Option<GrantId>,
    limit: u32,
) -> Result<Vec<Owned>> {
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    tx.all(
        concat!(
            "WITH RECURSIVE part (id, node_id) AS ( \
                 SELECT id, node_id FROM access_grant WHERE drive_id = $1 AND id > $3 \
                 ORDER BY id LIMIT $4), \
             up (id, node_id, path) AS ( \
                 SELECT p.id, e.parent_id, '/' || e.name FROM part p CROSS JOIN entry e \
                     WHERE e.node_id = p.node_id AND ",
            is_first!("e"),
            " UNION ALL \
                 SELECT up.id, e.parent_id, '/' || e.name || up.path \
                     FROM up CROSS JOIN entry e WHERE e.node_id = up.node_id) \
             SELECT ",
            grant_columns!(),
            ", up.path, ",
            columns!(),
            " FROM up CROSS JOIN access_grant g CROSS JOIN node n \
             WHERE up.node_id = $2 AND g.id = up.id AND n.id = g.node_id ORDER BY g.id"
        ),
        args![drive, root, after, limit],
        |row| {
            Ok(Owned {
                grant: read(row)?,
                path: row.get(6)?,
                node: read_node(row, 7)?,
            })
        },
    )
}
