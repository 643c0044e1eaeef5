//! SQL of reservations and the server's capacity.

use crate::db::{Tx, Value, args};
use crate::error::{Error, Result};
use crate::id::{DriveId, ReservationId};

/// Makes or grows a reservation; its size now.
pub(crate) fn grow(
    tx: &mut Tx<'_>,
    id: ReservationId,
    drive: DriveId,
    more_bytes: u64,
    expires_at: Option<i64>,
) -> Result<u64> {
    let size_bytes = tx.first(
        "INSERT INTO reservation (id, drive_id, size_bytes, expires_at) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE \
         SET size_bytes = reservation.size_bytes + $3, expires_at = $4 RETURNING size_bytes",
        args![id, drive, more_bytes, expires_at],
        |row| row.get(0),
    )?;
    size_bytes.ok_or_else(|| Error::malformed("reservation"))
}

/// Ends a reservation; what it promised, if it was still there.
pub(crate) fn remove(tx: &mut Tx<'_>, id: ReservationId) -> Result<Option<u64>> {
    tx.first(
        "DELETE FROM reservation WHERE id = $1 RETURNING size_bytes",
        args![id],
        |row| row.get(0),
    )
}

pub(crate) fn extend(tx: &mut Tx<'_>, ids: &[ReservationId], until: i64) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = ids
        .iter()
        .map(|id| vec![(*id).into(), until.into()])
        .collect();
    tx.execute_many(
        "UPDATE reservation SET expires_at = $2 WHERE id = $1",
        "UPDATE reservation SET expires_at = c.until \
         FROM UNNEST($1::bytea[], $2::bigint[]) AS c (id, until) WHERE reservation.id = c.id",
        &rows,
    )?;
    Ok(())
}

/// The two oldest reservations that wait for each other's room, of one drive or of all; ids grow
/// with time.
pub(crate) fn eldest(tx: &mut Tx<'_>, drive: Option<DriveId>) -> Result<Vec<ReservationId>> {
    match drive {
        Some(drive) => tx.all(
            "SELECT id FROM reservation WHERE drive_id = $1 AND expires_at IS NOT NULL \
             ORDER BY id LIMIT 2",
            args![drive],
            |row| row.get(0),
        ),
        None => tx.all(
            "SELECT id FROM reservation WHERE expires_at IS NOT NULL ORDER BY id LIMIT 2",
            args![],
            |row| row.get(0),
        ),
    }
}

pub(crate) fn expired(tx: &mut Tx<'_>, now_ms: i64) -> Result<Vec<(ReservationId, DriveId)>> {
    tx.all(
        "SELECT id, drive_id FROM reservation WHERE expires_at <= $1",
        args![now_ms],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Takes bytes from the capacity for a reservation, and gives back what is no longer used; `false`
/// when there is no room.
pub(crate) fn reserve_capacity(tx: &mut Tx<'_>, more_bytes: u64, given_bytes: u64) -> Result<bool> {
    let taken = tx.execute(
        "UPDATE capacity SET reserved_bytes = reserved_bytes + $1, used_bytes = used_bytes - $2 \
         WHERE id = 1 AND used_bytes - $2 + reserved_bytes + $1 <= limit_bytes",
        args![more_bytes, given_bytes],
    )?;
    Ok(taken == 1)
}

/// What is used and promised beyond the limit (below it: less than 0), with all other writers kept
/// away until the transaction ends.
pub(crate) fn taken_capacity(tx: &mut Tx<'_>) -> Result<i64> {
    let sql = if tx.needs_row_locks() {
        "SELECT used_bytes + reserved_bytes - limit_bytes FROM capacity WHERE id = 1 FOR UPDATE"
    } else {
        "SELECT used_bytes + reserved_bytes - limit_bytes FROM capacity WHERE id = 1"
    };
    let taken = tx.first(sql, args![], |row| row.get(0))?;
    taken.ok_or_else(|| Error::malformed("capacity"))
}

/// Turns `old_bytes` in use into `new_bytes` and ends a promise; `false` when
/// the growth does not fit.
pub(crate) fn settle_capacity(
    tx: &mut Tx<'_>,
    old_bytes: u64,
    new_bytes: u64,
    promised_bytes: u64,
) -> Result<bool> {
    let settled = tx.execute(
        "UPDATE capacity SET used_bytes = used_bytes + $1 - $2, \
             reserved_bytes = reserved_bytes - $3 \
         WHERE id = 1 AND ($1 <= $2 OR \
             used_bytes + $1 - $2 + reserved_bytes - $3 <= limit_bytes)",
        args![new_bytes, old_bytes, promised_bytes],
    )?;
    Ok(settled == 1)
}

pub(crate) fn set_capacity(tx: &mut Tx<'_>, limit_bytes: u64) -> Result<()> {
    tx.execute(
        "UPDATE capacity SET limit_bytes = $1 WHERE id = 1",
        args![limit_bytes],
    )?;
    Ok(())
}
