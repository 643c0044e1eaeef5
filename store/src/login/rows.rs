//! SQL of log-ins.

use super::{Login, RefreshToken};
use crate::caller::Caller;
use crate::db::{Tx, args};
use crate::digest::Digest;
use crate::error::Result;
use crate::id::{LoginId, UserId};
use crate::user;

/// A log-in as its refresh token finds it.
pub(super) struct Found {
    pub id: LoginId,
    pub user: UserId,
    pub refresh_digest: Digest,
    pub last_used_at: i64,
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: LoginId,
    user: UserId,
    device: &str,
    token: &RefreshToken,
    now_ms: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO login (id, account_id, device, family_digest, refresh_digest, created_at, \
             last_used_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
        args![
            id,
            user,
            device,
            token.family_digest(),
            token.secret_digest(),
            now_ms
        ],
    )?;
    Ok(())
}

/// The log-in, held until the transaction ends: a token is exchanged once.
pub(super) fn find_by_family(tx: &mut Tx<'_>, family: Digest) -> Result<Option<Found>> {
    let sql = if tx.needs_row_locks() {
        "SELECT id, account_id, refresh_digest, last_used_at FROM login \
         WHERE family_digest = $1 FOR UPDATE"
    } else {
        "SELECT id, account_id, refresh_digest, last_used_at FROM login WHERE family_digest = $1"
    };
    tx.first(sql, args![family], |row| {
        Ok(Found {
            id: row.get(0)?,
            user: row.get(1)?,
            refresh_digest: row.get(2)?,
            last_used_at: row.get(3)?,
        })
    })
}

pub(super) fn rotate(tx: &mut Tx<'_>, id: LoginId, secret: Digest, now_ms: i64) -> Result<()> {
    tx.execute(
        "UPDATE login SET refresh_digest = $2, last_used_at = $3 WHERE id = $1",
        args![id, secret, now_ms],
    )?;
    Ok(())
}

/// The caller behind a log-in of an enabled account, and when it was last used.
pub(super) fn caller(
    tx: &mut Tx<'_>,
    login: LoginId,
    user: UserId,
) -> Result<Option<(Caller, i64)>> {
    tx.first(
        "SELECT a.id, a.username, a.access, d.id, d.root_id, l.last_used_at \
         FROM login l JOIN account a ON a.id = l.account_id JOIN drive d ON d.owner_id = a.id \
         WHERE l.id = $1 AND l.account_id = $2 AND a.disabled_at IS NULL",
        args![login, user],
        |row| {
            let caller = Caller {
                login: Some(login),
                ..user::rows::read_caller(row)?
            };
            Ok((caller, row.get(5)?))
        },
    )
}

pub(super) fn list(tx: &mut Tx<'_>, user: UserId, current: Option<LoginId>) -> Result<Vec<Login>> {
    tx.all(
        "SELECT id, device, created_at, last_used_at FROM login WHERE account_id = $1 \
         ORDER BY created_at DESC, id",
        args![user],
        |row| {
            let id = row.get(0)?;
            Ok(Login {
                id,
                device: row.get(1)?,
                created_at: row.get(2)?,
                last_used_at: row.get(3)?,
                is_current: current == Some(id),
            })
        },
    )
}

pub(super) fn delete(tx: &mut Tx<'_>, user: UserId, login: LoginId) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM login WHERE id = $1 AND account_id = $2",
        args![login, user],
    )?;
    Ok(removed == 1)
}

pub(super) fn delete_all(tx: &mut Tx<'_>, user: UserId, except: Option<LoginId>) -> Result<()> {
    let except = except.map_or_else(Vec::new, |login| login.as_bytes().to_vec());
    tx.execute(
        "DELETE FROM login WHERE account_id = $1 AND id <> $2",
        args![user, except],
    )?;
    Ok(())
}

pub(super) fn purge(tx: &mut Tx<'_>, before: i64) -> Result<Vec<LoginId>> {
    tx.all(
        "DELETE FROM login WHERE last_used_at < $1 RETURNING id",
        args![before],
        |row| row.get(0),
    )
}
