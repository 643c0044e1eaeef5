//! SQL of invitations.

use super::Invitation;
use crate::audit::Party;
use crate::db::{Row, Tx, args};
use crate::digest::Digest;
use crate::error::Result;
use crate::id::{InvitationId, UserId};

macro_rules! select_invitation {
    ($rest:literal) => {
        concat!(
            "SELECT i.id, i.created_by, a.username, i.created_at, i.expires_at \
             FROM invitation i LEFT JOIN account a ON a.id = i.created_by ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Invitation> {
    let created_by = match row.get(1)? {
        Some(id) => Some(Party {
            id,
            username: row.get(2)?,
        }),
        None => None,
    };
    Ok(Invitation {
        id: row.get(0)?,
        created_by,
        created_at: row.get(3)?,
        expires_at: row.get(4)?,
    })
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: InvitationId,
    code: Digest,
    created_by: Option<UserId>,
    created_at: i64,
    expires_at: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO invitation (id, code_digest, created_by, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5)",
        args![id, code, created_by, created_at, expires_at],
    )?;
    Ok(())
}

pub(super) fn find(tx: &mut Tx<'_>, id: InvitationId) -> Result<Option<Invitation>> {
    tx.first(select_invitation!("WHERE i.id = $1"), args![id], read)
}

pub(super) fn list(
    tx: &mut Tx<'_>,
    after: Option<InvitationId>,
    limit: u32,
    now_ms: i64,
) -> Result<Vec<Invitation>> {
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    tx.all(
        select_invitation!("WHERE i.id > $1 AND i.expires_at > $3 ORDER BY i.id LIMIT $2"),
        args![after, limit, now_ms],
        read,
    )
}

pub(super) fn is_valid(tx: &mut Tx<'_>, code: Digest, now_ms: i64) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM invitation WHERE code_digest = $1 AND expires_at > $2",
        args![code, now_ms],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

pub(super) fn redeem(tx: &mut Tx<'_>, code: Digest, now_ms: i64) -> Result<Option<InvitationId>> {
    tx.first(
        "DELETE FROM invitation WHERE code_digest = $1 AND expires_at > $2 RETURNING id",
        args![code, now_ms],
        |row| row.get(0),
    )
}

pub(super) fn remove(tx: &mut Tx<'_>, id: InvitationId, now_ms: i64) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM invitation WHERE id = $1 AND expires_at > $2",
        args![id, now_ms],
    )?;
    Ok(removed == 1)
}

pub(super) fn purge(tx: &mut Tx<'_>, now_ms: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM invitation WHERE expires_at <= $1",
        args![now_ms],
    )
}
