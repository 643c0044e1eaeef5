//! SQL of app passwords.

use super::AppPassword;
use crate::caller::Caller;
use crate::db::{Tx, args};
use crate::digest::Digest;
use crate::error::Result;
use crate::id::{AppPasswordId, NodeId, UserId};
use crate::user;

/// The caller behind an app password, and when it ends.
pub(crate) struct Verified {
    pub caller: Caller,
    pub expires_at: Option<i64>,
}

/// The caller behind a secret that belongs to the account of this name; `None` too when
/// it has expired, the account is disabled, or the folder it is confined to is not in the
/// drive any more.
pub(crate) fn verify(
    tx: &mut Tx<'_>,
    name_key: &str,
    secret: Digest,
    now_ms: i64,
) -> Result<Option<Verified>> {
    tx.first(
        "WITH RECURSIVE found AS ( \
             SELECT a.id AS account_id, a.username, a.access, d.id AS drive_id, \
                 d.root_id AS drive_root, p.id, p.root_id, p.read_only, p.expires_at \
             FROM app_password p JOIN account a ON a.id = p.account_id \
                 JOIN account_name n ON n.account_id = a.id AND n.name_key = $1 \
                 JOIN drive d ON d.owner_id = a.id \
             WHERE p.secret_digest = $2 AND a.disabled_at IS NULL \
                 AND (p.expires_at IS NULL OR p.expires_at > $3)), \
         up (node_id) AS ( \
             SELECT COALESCE(root_id, drive_root) FROM found \
             UNION SELECT e.parent_id FROM up CROSS JOIN entry e \
                 WHERE e.node_id = up.node_id) \
         SELECT account_id, username, access, drive_id, drive_root, id, root_id, read_only, \
             expires_at \
         FROM found WHERE EXISTS (SELECT 1 FROM up WHERE up.node_id = found.drive_root)",
        args![name_key, secret, now_ms],
        |row| {
            let (id, root): (_, Option<NodeId>) = (row.get(5)?, row.get(6)?);
            let whole = user::rows::read_caller(row)?;
            let caller = Caller {
                root: root.unwrap_or(whole.root),
                whole_drive: root.is_none_or(|root| root == whole.root),
                read_only: row.get(7)?,
                app_password: Some(id),
                ..whole
            };
            Ok(Verified {
                caller,
                expires_at: row.get(8)?,
            })
        },
    )
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    user: UserId,
    new: &AppPassword,
    root: Option<NodeId>,
    secret: Digest,
) -> Result<()> {
    tx.execute(
        "INSERT INTO app_password (id, account_id, name, secret_digest, root_id, read_only, \
             created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            new.id,
            user,
            &new.name,
            secret,
            root,
            new.read_only,
            new.created_at,
            new.expires_at,
        ],
    )?;
    Ok(())
}

pub(super) fn count(tx: &mut Tx<'_>, user: UserId) -> Result<u64> {
    let count = tx.first(
        "SELECT COUNT(*) FROM app_password WHERE account_id = $1",
        args![user],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

/// The app passwords, without their paths, and the folders they are confined to.
pub(super) fn list(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<(AppPassword, Option<NodeId>)>> {
    tx.all(
        "SELECT id, name, root_id, read_only, created_at, expires_at, last_used_at \
         FROM app_password WHERE account_id = $1 ORDER BY id",
        args![user],
        |row| {
            let app_password = AppPassword {
                id: row.get(0)?,
                name: row.get(1)?,
                path: None,
                read_only: row.get(3)?,
                created_at: row.get(4)?,
                expires_at: row.get(5)?,
                last_used_at: row.get(6)?,
            };
            Ok((app_password, row.get(2)?))
        },
    )
}

pub(super) fn delete(tx: &mut Tx<'_>, user: UserId, id: AppPasswordId) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM app_password WHERE id = $1 AND account_id = $2",
        args![id, user],
    )?;
    Ok(removed == 1)
}

pub(super) fn delete_all(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.execute(
        "DELETE FROM app_password WHERE account_id = $1",
        args![user],
    )?;
    Ok(())
}
