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

/// Those of these settings that were set.
pub(super) fn list(tx: &mut Tx<'_>, names: [&str; 2]) -> Result<Vec<(String, Vec<u8>)>> {
    let [first, second] = names;
    tx.all(
        "SELECT name, value FROM setting WHERE name IN ($1, $2)",
        args![first, second],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Sets a value, or gives it back.
pub(super) fn set(tx: &mut Tx<'_>, name: &str, value: Option<&str>) -> Result<()> {
    match value {
        Some(value) => tx.execute(
            "INSERT INTO setting (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
            args![name, value.as_bytes()],
        )?,
        None => tx.execute("DELETE FROM setting WHERE name = $1", args![name])?,
    };
    Ok(())
}
