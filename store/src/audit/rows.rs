//! SQL of the audit trail.

use std::net::IpAddr;

use super::{AuditAction, AuditFilter, AuditLine, Line, Party};
use crate::clock::World;
use crate::db::{Row, Tx, args};
use crate::error::Result;
use crate::id::{AuditId, UserId};

pub(super) fn insert(
    tx: &mut Tx<'_>,
    world: &World,
    by: Option<UserId>,
    address: Option<IpAddr>,
    line: &Line,
) -> Result<()> {
    tx.execute(
        "INSERT INTO audit (id, at, by_id, account_id, action, subject, detail, address) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            AuditId::new(world),
            world.now_ms(),
            by,
            line.account,
            line.action.as_str(),
            &line.subject,
            &line.detail,
            address.map(|address| address.to_string()),
        ],
    )?;
    Ok(())
}

/// The lines whose ids `$ids` selects.
macro_rules! select_lines {
    ($ids:literal) => {
        concat!(
            "SELECT l.id, l.at, l.action, l.by_id, b.username, l.account_id, a.username, \
                 l.subject, l.detail, l.address \
             FROM audit l LEFT JOIN account b ON b.id = l.by_id \
                 LEFT JOIN account a ON a.id = l.account_id WHERE l.id IN (",
            $ids,
            ") ORDER BY l.id DESC"
        )
    };
}

/// Each choice of lines follows an index from its newest entry on.
pub(super) fn list(
    tx: &mut Tx<'_>,
    filter: AuditFilter,
    before: Option<AuditId>,
    limit: u32,
) -> Result<Vec<AuditLine>> {
    // No id is greater than this.
    let before = before.map_or_else(|| vec![u8::MAX; 17], |id| id.as_bytes().to_vec());
    let action = filter.action.map_or("", AuditAction::as_str);
    match (filter.account, filter.action) {
        (None, None) => tx.all(
            select_lines!("SELECT id FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2"),
            args![before, limit],
            read,
        ),
        (None, Some(_)) => tx.all(
            select_lines!(
                "SELECT id FROM audit WHERE action = $3 AND id < $1 ORDER BY id DESC LIMIT $2"
            ),
            args![before, limit, action],
            read,
        ),
        (Some(account), _) => tx.all(
            select_lines!(
                "SELECT id FROM (SELECT id FROM audit WHERE by_id = $3 AND id < $1 \
                     AND ($4 = '' OR action = $4) ORDER BY id DESC LIMIT $2) AS done \
                 UNION SELECT id FROM (SELECT id FROM audit WHERE account_id = $3 AND id < $1 \
                     AND ($4 = '' OR action = $4) ORDER BY id DESC LIMIT $2) AS suffered \
                 ORDER BY id DESC LIMIT $2"
            ),
            args![before, limit, account, action],
            read,
        ),
    }
}

fn read(row: &Row<'_>) -> Result<AuditLine> {
    Ok(AuditLine {
        id: row.get(0)?,
        at: row.get(1)?,
        action: row.get(2)?,
        by: party(row, 3)?,
        account: party(row, 5)?,
        subject: row.get(7)?,
        detail: row.get(8)?,
        address: row.get(9)?,
    })
}

fn party(row: &Row<'_>, at: usize) -> Result<Option<Party>> {
    let Some(id) = row.get(at)? else {
        return Ok(None);
    };
    let username = row.get(at + 1)?;
    Ok(Some(Party { id, username }))
}
