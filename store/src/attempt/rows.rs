//! SQL of failed attempts.

use crate::db::{Tx, args};
use crate::digest::Digest;
use crate::error::{Error, Result};

pub(super) fn blocked_until(tx: &mut Tx<'_>, subject: Digest) -> Result<Option<i64>> {
    tx.first(
        "SELECT blocked_until FROM login_failure WHERE subject = $1",
        args![subject],
        |row| row.get(0),
    )
}

/// Counts one more; the count, and until when the subject was already blocked.
pub(super) fn count(
    tx: &mut Tx<'_>,
    subject: Digest,
    now_ms: i64,
    forgotten_after_ms: i64,
) -> Result<(i64, i64)> {
    tx.first(
        "INSERT INTO login_failure (subject, failures, last_failed_at, blocked_until) \
         VALUES ($1, 1, $2, 0) \
         ON CONFLICT (subject) DO UPDATE SET last_failed_at = $2, \
             failures = CASE WHEN login_failure.last_failed_at < $3 THEN 1 \
                 ELSE login_failure.failures + 1 END \
         RETURNING failures, blocked_until",
        args![subject, now_ms, now_ms - forgotten_after_ms],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?
    .ok_or_else(|| Error::malformed("no count"))
}

pub(super) fn block(tx: &mut Tx<'_>, subject: Digest, until: i64) -> Result<()> {
    tx.execute(
        "UPDATE login_failure SET blocked_until = $2 WHERE subject = $1",
        args![subject, until],
    )?;
    Ok(())
}

pub(super) fn forget(tx: &mut Tx<'_>, subject: Digest) -> Result<()> {
    tx.execute(
        "DELETE FROM login_failure WHERE subject = $1",
        args![subject],
    )?;
    Ok(())
}

pub(super) fn purge(tx: &mut Tx<'_>, before: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM login_failure WHERE last_failed_at < $1",
        args![before],
    )
}
