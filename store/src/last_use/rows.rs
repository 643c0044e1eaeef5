//! SQL of last uses.

use super::Used;
use crate::db::{Tx, Value};
use crate::error::Result;

pub(super) fn write(tx: &mut Tx<'_>, uses: &[(Used, i64)]) -> Result<()> {
    let (mut logins, mut app_passwords) = (Vec::new(), Vec::new());
    for (used, at) in uses {
        match used {
            Used::Login(id) => logins.push(vec![Value::from(*id), Value::from(*at)]),
            Used::AppPassword(id) => app_passwords.push(vec![Value::from(*id), Value::from(*at)]),
        }
    }
    tx.execute_many(
        "UPDATE login SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2",
        "UPDATE login SET last_used_at = u.at \
         FROM UNNEST($1::bytea[], $2::bigint[]) AS u (id, at) \
         WHERE login.id = u.id AND login.last_used_at < u.at",
        &logins,
    )?;
    tx.execute_many(
        "UPDATE app_password SET last_used_at = $2 \
         WHERE id = $1 AND COALESCE(last_used_at, 0) < $2",
        "UPDATE app_password SET last_used_at = u.at \
         FROM UNNEST($1::bytea[], $2::bigint[]) AS u (id, at) \
         WHERE app_password.id = u.id AND COALESCE(app_password.last_used_at, 0) < u.at",
        &app_passwords,
    )?;
    Ok(())
}
