//! SQL of the server's usage.

use super::{Parts, StoredBytes};
use crate::db::{Tx, args};
use crate::error::Result;

/// Accounts, files in all drives, and parts of what these are charged.
pub(super) fn accounts(tx: &mut Tx<'_>) -> Result<(u64, u64, Parts)> {
    let found = tx.first(
        "SELECT COUNT(*), CAST(COALESCE(SUM(file_count), 0) AS BIGINT), \
             CAST(COALESCE(SUM(published_bytes), 0) AS BIGINT), \
             CAST(COALESCE(SUM(versions_bytes), 0) AS BIGINT), \
             CAST(COALESCE(SUM(trash_bytes), 0) AS BIGINT) FROM drive",
        args![],
        |row| {
            let parts = Parts {
                published_bytes: row.get(2)?,
                versions_bytes: row.get(3)?,
                trash_bytes: row.get(4)?,
            };
            Ok((row.get(0)?, row.get(1)?, parts))
        },
    )?;
    Ok(found.unwrap_or_default())
}

pub(super) fn stored(tx: &mut Tx<'_>) -> Result<StoredBytes> {
    let found = tx.first(
        "SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT), \
             CAST(COALESCE(SUM(CASE WHEN reference_count = 0 THEN size_bytes ELSE 0 END), 0) \
                 AS BIGINT) \
         FROM blob",
        args![],
        |row| {
            Ok(StoredBytes {
                blobs: row.get(0)?,
                size_bytes: row.get(1)?,
                unreferenced_bytes: row.get(2)?,
            })
        },
    )?;
    Ok(found.unwrap_or_default())
}
