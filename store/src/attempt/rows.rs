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

/// What is known of a subject.
pub(super) struct Counted {
    /// This one included.
    pub failures: i64,
    /// 0 for never, as below.
    pub blocked_until: i64,
    pub succeeded_at: i64,
}

/// Counts one more.
pub(super) fn count(
    tx: &mut Tx<'_>,
    subject: Digest,
    now_ms: i64,
    forgotten_after_ms: i64,
) -> Result<Counted> {
    tx.first(
        "INSERT INTO login_failure (subject, failures, last_failed_at, blocked_until, succeeded_at) \
         VALUES ($1, 1, $2, 0, 0) \
         ON CONFLICT (subject) DO UPDATE SET last_failed_at = $2, \
             failures = CASE WHEN login_failure.last_failed_at < $3 THEN 1 \
                 ELSE login_failure.failures + 1 END \
         RETURNING failures, blocked_until, succeeded_at",
        args![subject, now_ms, now_ms - forgotten_after_ms],
        |row| {
            Ok(Counted {
                failures: row.get(0)?,
                blocked_until: row.get(1)?,
                succeeded_at: row.get(2)?,
            })
        },
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

/// Forgets failures but not the success; whether the one before it came at `since` or later.
pub(super) fn succeed(tx: &mut Tx<'_>, subject: Digest, now_ms: i64, since: i64) -> Result<bool> {
    let before: Option<i64> = tx.first(
        "SELECT succeeded_at FROM login_failure WHERE subject = $1",
        args![subject],
        |row| row.get(0),
    )?;
    tx.execute(
        "INSERT INTO login_failure (subject, failures, last_failed_at, blocked_until, succeeded_at) \
         VALUES ($1, 0, $2, 0, $2) \
         ON CONFLICT (subject) DO UPDATE SET failures = 0, blocked_until = 0, succeeded_at = $2",
        args![subject, now_ms],
    )?;
    Ok(before.is_some_and(|at| at >= since))
}

pub(super) fn forget(tx: &mut Tx<'_>, subject: Digest) -> Result<()> {
    tx.execute(
        "DELETE FROM login_failure WHERE subject = $1",
        args![subject],
    )?;
    Ok(())
}

pub(super) fn purge(tx: &mut Tx<'_>, failed_before: i64, succeeded_before: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM login_failure WHERE last_failed_at < $1 AND succeeded_at < $2",
        args![failed_before, succeeded_before],
    )
}
