//! SQL of what credentials stand on.

use std::collections::HashMap;

use crate::db::{Tx, Value};
use crate::error::Result;
use crate::id::{AppPasswordId, LoginId, UserId};

/// Log-ins of enabled accounts, with the last use that was written.
pub(super) fn logins(tx: &mut Tx<'_>, ids: Vec<LoginId>) -> Result<HashMap<LoginId, i64>> {
    let found = tx.all_of(
        "SELECT l.id, l.last_used_at FROM login l JOIN account a ON a.id = l.account_id \
         WHERE l.id = $1 AND a.disabled_at IS NULL",
        "SELECT l.id, l.last_used_at FROM login l JOIN account a ON a.id = l.account_id \
         WHERE l.id = ANY($1) AND a.disabled_at IS NULL",
        &keys(ids),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(found.into_iter().collect())
}

/// App passwords of enabled accounts, with the time when they expire.
pub(super) fn app_passwords(
    tx: &mut Tx<'_>,
    ids: Vec<AppPasswordId>,
) -> Result<HashMap<AppPasswordId, Option<i64>>> {
    let found = tx.all_of(
        "SELECT p.id, p.expires_at FROM app_password p JOIN account a ON a.id = p.account_id \
         WHERE p.id = $1 AND a.disabled_at IS NULL",
        "SELECT p.id, p.expires_at FROM app_password p JOIN account a ON a.id = p.account_id \
         WHERE p.id = ANY($1) AND a.disabled_at IS NULL",
        &keys(ids),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(found.into_iter().collect())
}

/// Enabled accounts, with the version of their credentials.
pub(super) fn versions(tx: &mut Tx<'_>, ids: Vec<UserId>) -> Result<HashMap<UserId, i64>> {
    let found = tx.all_of(
        "SELECT id, credential_version FROM account WHERE id = $1 AND disabled_at IS NULL",
        "SELECT id, credential_version FROM account WHERE id = ANY($1) AND disabled_at IS NULL",
        &keys(ids),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(found.into_iter().collect())
}

fn keys<T: Ord>(mut ids: Vec<T>) -> Vec<Value<'static>>
where
    Value<'static>: From<T>,
{
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(Value::from).collect()
}
