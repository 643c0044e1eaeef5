//! SQL of public names.

use crate::db::{Tx, args};
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::user::UserName;

/// The public name of an account, and the form by which it is compared.
pub(crate) fn find(tx: &mut Tx<'_>, user: UserId) -> Result<Option<(String, String)>> {
    tx.first(
        "SELECT public_name, name_key FROM author WHERE account_id = $1",
        args![user],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Who goes by a name, in the form by which names are compared.
pub(crate) fn find_by_key(tx: &mut Tx<'_>, key: &str) -> Result<Option<UserId>> {
    tx.first(
        "SELECT account_id FROM author WHERE name_key = $1",
        args![key],
        |row| row.get(0),
    )
}

pub(super) fn set(tx: &mut Tx<'_>, user: UserId, name: &UserName) -> Result<()> {
    let set = tx.execute(
        "INSERT INTO author (account_id, public_name, name_key) VALUES ($1, $2, $3) \
         ON CONFLICT (account_id) DO UPDATE SET public_name = $2, name_key = $3",
        args![user, name.as_str(), name.key()],
    );
    match set {
        Err(error) if error.is_unique_violation() => Err(Error::AlreadyExists),
        set => set.map(drop),
    }
}
