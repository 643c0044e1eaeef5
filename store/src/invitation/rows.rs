//! SQL of invitations.

use crate::db::{Tx, args};
use crate::digest::Digest;
use crate::error::Result;
use crate::id::UserId;

pub(super) fn insert(
    tx: &mut Tx<'_>,
    code: Digest,
    created_by: Option<UserId>,
    created_at: i64,
    expires_at: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO invitation (code_digest, created_by, created_at, expires_at) \
         VALUES ($1, $2, $3, $4)",
        args![code, created_by, created_at, expires_at],
    )?;
    Ok(())
}

pub(super) fn is_valid(tx: &mut Tx<'_>, code: Digest, now_ms: i64) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM invitation WHERE code_digest = $1 AND expires_at > $2",
        args![code, now_ms],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

pub(super) fn remove(tx: &mut Tx<'_>, code: Digest, now_ms: i64) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM invitation WHERE code_digest = $1 AND expires_at > $2",
        args![code, now_ms],
    )?;
    Ok(removed == 1)
}

pub(super) fn purge(tx: &mut Tx<'_>, now_ms: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM invitation WHERE expires_at <= $1",
        args![now_ms],
    )
}
