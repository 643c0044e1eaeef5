//! SQL of settings.

use crate::db::{Tx, args};
use crate::error::{Error, Result};

/// The value of a setting; `fresh` becomes it when there is none.
pub(super) fn get_or_insert(tx: &mut Tx<'_>, name: &str, fresh: &[u8]) -> Result<Vec<u8>> {
    tx.execute(
        "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        args![name, fresh],
    )?;
    tx.first(
        "SELECT value FROM setting WHERE name = $1",
        args![name],
        |row| row.get(0),
    )?
    .ok_or_else(|| Error::malformed("setting vanished"))
}
