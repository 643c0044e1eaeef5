//! SQL of locks.

use super::Lock;
use crate::db::{Tx, args};
use crate::error::Result;
use crate::id::{DriveId, NodeId, UserId};
use crate::node::rows::is_first;

/// The live locks of a drive, each with its path, and its ancestors above each name that is locked.
/// One statement.
pub(crate) fn live(tx: &mut Tx<'_>, drive: DriveId, now_ms: i64) -> Result<Vec<Lock>> {
    let mut locks: Vec<Lock> = Vec::new();
    tx.each(
        concat!(
            "WITH RECURSIVE up (token, node_id, parent_id, name, level, is_first) AS ( \
                 SELECT l.token, l.node_id, e.parent_id, e.name, 0, CASE WHEN ",
            is_first!("e"),
            " THEN 1 ELSE 0 END \
                     FROM dav_lock l LEFT JOIN entry e ON e.node_id = l.node_id \
                     WHERE l.drive_id = $1 AND l.expires_at > $2 \
                 UNION ALL \
                 SELECT up.token, e.node_id, e.parent_id, e.name, up.level + 1, up.is_first \
                     FROM up CROSS JOIN entry e WHERE e.node_id = up.parent_id) \
             SELECT l.token, l.is_exclusive, l.is_deep, l.owner_xml, l.timeout_s, l.expires_at, \
                    l.account_id, l.node_id, up.parent_id, up.name, up.is_first \
             FROM up CROSS JOIN dav_lock l WHERE l.token = up.token ORDER BY l.token, up.level"
        ),
        args![drive, now_ms],
        |row| {
            let token = row.text(0)?;
            if locks.last().is_none_or(|lock| lock.token != token) {
                locks.push(Lock {
                    token: token.to_owned(),
                    is_exclusive: row.get(1)?,
                    is_deep: row.get(2)?,
                    owner_xml: row.get(3)?,
                    timeout_s: row.get(4)?,
                    expires_at: row.get(5)?,
                    path: String::new(),
                    holder: row.get::<UserId>(6)?,
                    node: row.get::<NodeId>(7)?,
                    ancestors: Vec::new(),
                });
            }
            if let (Some(lock), Some(parent)) = (locks.last_mut(), row.get::<Option<NodeId>>(8)?) {
                lock.ancestors.push(parent);
                if row.get(10)? {
                    lock.path.insert_str(0, row.text(9)?);
                    lock.path.insert(0, '/');
                }
            }
            Ok(())
        },
    )?;
    for lock in &mut locks {
        if lock.path.is_empty() {
            lock.path.push('/');
        }
    }
    Ok(locks)
}

pub(crate) fn insert(tx: &mut Tx<'_>, drive: DriveId, lock: &Lock) -> Result<()> {
    tx.execute(
        "INSERT INTO dav_lock (token, drive_id, node_id, account_id, is_exclusive, is_deep, \
             owner_xml, timeout_s, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            &lock.token,
            drive,
            lock.node,
            lock.holder,
            lock.is_exclusive,
            lock.is_deep,
            lock.owner_xml.as_deref(),
            lock.timeout_s,
            lock.expires_at,
        ],
    )?;
    Ok(())
}

pub(crate) fn extend(tx: &mut Tx<'_>, lock: &Lock) -> Result<()> {
    tx.execute(
        "UPDATE dav_lock SET timeout_s = $2, expires_at = $3 WHERE token = $1",
        args![&lock.token, lock.timeout_s, lock.expires_at],
    )?;
    Ok(())
}

pub(crate) fn remove(tx: &mut Tx<'_>, token: &str) -> Result<u64> {
    tx.execute("DELETE FROM dav_lock WHERE token = $1", args![token])
}

/// Ends what an account holds in the drives of others: as expired locks, which those count until
/// they are removed there.
pub(crate) fn expire_elsewhere(tx: &mut Tx<'_>, account: UserId, own: DriveId) -> Result<()> {
    tx.execute(
        "UPDATE dav_lock SET expires_at = 0 WHERE account_id = $1 AND drive_id <> $2",
        args![account, own],
    )?;
    Ok(())
}

pub(crate) fn remove_expired(tx: &mut Tx<'_>, drive: DriveId, now_ms: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM dav_lock WHERE drive_id = $1 AND expires_at <= $2",
        args![drive, now_ms],
    )
}

pub(crate) fn drives_with_expired(tx: &mut Tx<'_>, now_ms: i64) -> Result<Vec<DriveId>> {
    tx.all(
        "SELECT DISTINCT drive_id FROM dav_lock WHERE expires_at <= $1",
        args![now_ms],
        |row| row.get(0),
    )
}
