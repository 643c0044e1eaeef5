//! SQL of accounts.

use std::sync::Arc;

use super::{Names, User};
use crate::caller::{Access, Caller, Via};
use crate::db::{Row, Tx, args};
use crate::drive::Usage;
use crate::error::{Error, Result};
use crate::id::{DriveId, UserId};

macro_rules! select_user {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.username, a.email, a.access, a.created_at, a.disabled_at, d.id, \
                 d.used_bytes, d.reserved_bytes, d.limit_bytes, d.file_count, \
                 d.publication_count, d.published_bytes, d.version_count, d.versions_bytes, \
                 d.trash_count, d.trash_bytes, d.asset_bytes \
             FROM account a JOIN drive d ON d.owner_id = a.id ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<User> {
    Ok(User {
        id: row.get(0)?,
        username: row.get(1)?,
        email: row.get(2)?,
        access: Access::parse(row.text(3)?)?,
        created_at: row.get(4)?,
        disabled_at: row.get(5)?,
        drive: row.get(6)?,
        usage: Usage {
            used_bytes: row.get(7)?,
            reserved_bytes: row.get(8)?,
            limit_bytes: row.get(9)?,
            files: row.get(10)?,
            publications: row.get(11)?,
            published_bytes: row.get(12)?,
            versions: row.get(13)?,
            versions_bytes: row.get(14)?,
            trashed: row.get(15)?,
            trash_bytes: row.get(16)?,
            asset_bytes: row.get(17)?,
        },
    })
}

pub(crate) fn find(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>> {
    tx.first(select_user!("WHERE a.id = $1"), args![id], read)
}

/// The account, with all other changes to it kept away until the transaction ends.
pub(crate) fn lock(tx: &mut Tx<'_>, id: UserId) -> Result<User> {
    if tx.needs_row_locks() {
        // By itself: a statement that waited sees what it joins as that was before it waited.
        let sql = "SELECT 1 FROM account WHERE id = $1 FOR UPDATE";
        tx.first(sql, args![id], |_| Ok(()))?;
    }
    find(tx, id)?.ok_or(Error::NotFound)
}

pub(super) fn find_by_name(tx: &mut Tx<'_>, key: &str) -> Result<Option<User>> {
    tx.first(
        select_user!("JOIN account_name n ON n.account_id = a.id WHERE n.name_key = $1"),
        args![key],
        read,
    )
}

pub(super) fn list(tx: &mut Tx<'_>, after: Option<UserId>, limit: u32) -> Result<Vec<User>> {
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    tx.all(
        select_user!("WHERE a.id > $1 ORDER BY a.id LIMIT $2"),
        args![after, limit],
        read,
    )
}

/// Ordered by what the drives are charged, the fullest first.
pub(crate) fn list_by_usage(
    tx: &mut Tx<'_>,
    after: Option<(u64, UserId)>,
    limit: u32,
) -> Result<Vec<User>> {
    let (used_bytes, id) = match after {
        Some((used_bytes, id)) => (used_bytes, id.as_bytes().to_vec()),
        None => (u64::MAX, Vec::new()),
    };
    tx.all(
        select_user!(
            "WHERE d.used_bytes < $1 OR (d.used_bytes = $1 AND a.id > $2) \
             ORDER BY d.used_bytes DESC, a.id LIMIT $3"
        ),
        args![used_bytes, id, limit],
        read,
    )
}

/// What a password is verified against.
#[derive(Debug, Clone)]
pub(crate) struct PasswordRow {
    pub user: UserId,
    pub hash: String,
    pub version: i64,
    pub is_enabled: bool,
}

pub(crate) fn password_by_name(tx: &mut Tx<'_>, key: &str) -> Result<Option<PasswordRow>> {
    tx.first(
        "SELECT a.id, a.password_hash, a.credential_version, a.disabled_at \
         FROM account_name n JOIN account a ON a.id = n.account_id WHERE n.name_key = $1",
        args![key],
        |row| {
            Ok(PasswordRow {
                user: row.get(0)?,
                hash: row.get(1)?,
                version: row.get(2)?,
                is_enabled: row.get::<Option<i64>>(3)?.is_none(),
            })
        },
    )
}

/// Reads a caller from the columns `a.id, a.username, a.access, d.id, d.root_id`.
pub(crate) fn read_caller(row: &Row<'_>) -> Result<Caller> {
    Ok(Caller {
        user: row.get(0)?,
        username: Arc::from(row.text(1)?),
        access: Access::parse(row.text(2)?)?,
        drive: row.get(3)?,
        root: row.get(4)?,
        whole_drive: true,
        read_only: false,
        login: None,
        app_password: None,
        via: Via::Own,
        password_version: None,
    })
}

/// The caller behind a password verified when the account's credentials had this version;
/// `None` when they have changed since or the account is disabled.
pub(crate) fn caller(tx: &mut Tx<'_>, user: UserId, version: i64) -> Result<Option<Caller>> {
    tx.first(
        "SELECT a.id, a.username, a.access, d.id, d.root_id \
         FROM account a JOIN drive d ON d.owner_id = a.id \
         WHERE a.id = $1 AND a.credential_version = $2 AND a.disabled_at IS NULL",
        args![user, version],
        |row| {
            Ok(Caller {
                password_version: Some(version),
                ..read_caller(row)?
            })
        },
    )
}

pub(crate) fn is_version(tx: &mut Tx<'_>, user: UserId, version: i64) -> Result<bool> {
    Ok(caller(tx, user, version)?.is_some())
}

pub(super) fn is_administrator(tx: &mut Tx<'_>, id: UserId) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM account \
         WHERE id = $1 AND access = 'administrator' AND disabled_at IS NULL",
        args![id],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

pub(super) fn has_administrator(tx: &mut Tx<'_>) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM account WHERE access = 'administrator' LIMIT 1",
        args![],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

pub(super) fn administrator_name(tx: &mut Tx<'_>) -> Result<Option<String>> {
    tx.first(
        "SELECT username FROM account WHERE access = 'administrator' \
         ORDER BY disabled_at IS NOT NULL, id LIMIT 1",
        args![],
        |row| row.get(0),
    )
}

/// Administrators who can log in, all held until the transaction ends.
pub(super) fn lock_administrators(tx: &mut Tx<'_>) -> Result<Vec<UserId>> {
    let sql = if tx.needs_row_locks() {
        "SELECT id FROM account WHERE access = 'administrator' AND disabled_at IS NULL \
         ORDER BY id FOR UPDATE"
    } else {
        "SELECT id FROM account WHERE access = 'administrator' AND disabled_at IS NULL \
         ORDER BY id"
    };
    tx.all(sql, args![], |row| row.get(0))
}

/// Whether an account goes by a name, in the form by which names are compared.
pub(crate) fn has_name(tx: &mut Tx<'_>, user: UserId, key: &str) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM account_name WHERE name_key = $1 AND account_id = $2",
        args![key, user],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

pub(super) fn is_taken(tx: &mut Tx<'_>, first: &str, second: Option<&str>) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM account_name WHERE name_key IN ($1, $2) LIMIT 1",
        args![first, second.unwrap_or(first)],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: UserId,
    names: &Names,
    password_hash: &str,
    access: Access,
    now_ms: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO account (id, username, email, password_hash, access, credential_version, \
             created_at) VALUES ($1, $2, $3, $4, $5, 1, $6)",
        args![
            id,
            names.username.as_str(),
            names.email.as_ref().map(super::UserName::as_str),
            password_hash,
            access.as_str(),
            now_ms,
        ],
    )?;
    Ok(())
}

/// Takes the names.
///
/// # Errors
/// [`Error::NameTaken`] when somebody else was faster.
pub(super) fn insert_names(tx: &mut Tx<'_>, id: UserId, names: &Names) -> Result<()> {
    let (first, second) = names.keys();
    for key in [Some(first), second].into_iter().flatten() {
        let inserted = tx.execute(
            "INSERT INTO account_name (name_key, account_id) VALUES ($1, $2)",
            args![key, id],
        );
        match inserted {
            Err(error) if error.is_unique_violation() => return Err(Error::NameTaken),
            inserted => inserted?,
        };
    }
    Ok(())
}

pub(super) fn delete_names(tx: &mut Tx<'_>, id: UserId) -> Result<()> {
    tx.execute("DELETE FROM account_name WHERE account_id = $1", args![id])?;
    Ok(())
}

/// Whoever logs in by a name that went must not stay logged in by it.
pub(super) fn set_names(tx: &mut Tx<'_>, id: UserId, names: &Names) -> Result<()> {
    tx.execute(
        "UPDATE account SET username = $2, email = $3, \
             credential_version = credential_version + 1 WHERE id = $1",
        args![
            id,
            names.username.as_str(),
            names.email.as_ref().map(super::UserName::as_str),
        ],
    )?;
    Ok(())
}

pub(super) fn set_password(tx: &mut Tx<'_>, id: UserId, hash: &str) -> Result<()> {
    tx.execute(
        "UPDATE account SET password_hash = $2, credential_version = credential_version + 1 \
         WHERE id = $1",
        args![id, hash],
    )?;
    Ok(())
}

pub(super) fn set_access(tx: &mut Tx<'_>, id: UserId, access: Access) -> Result<()> {
    tx.execute(
        "UPDATE account SET access = $2 WHERE id = $1",
        args![id, access.as_str()],
    )?;
    Ok(())
}

pub(super) fn set_disabled(tx: &mut Tx<'_>, id: UserId, since: Option<i64>) -> Result<()> {
    tx.execute(
        "UPDATE account SET disabled_at = $2 WHERE id = $1",
        args![id, since],
    )?;
    Ok(())
}

/// Returns a drive's share to the server's capacity.
pub(super) fn give_back(tx: &mut Tx<'_>, used_bytes: u64, reserved_bytes: u64) -> Result<()> {
    tx.execute(
        "UPDATE capacity SET used_bytes = used_bytes - $1, reserved_bytes = reserved_bytes - $2 \
         WHERE id = 1",
        args![used_bytes, reserved_bytes],
    )?;
    Ok(())
}

pub(super) fn delete(tx: &mut Tx<'_>, id: UserId, drive: DriveId) -> Result<()> {
    tx.execute("DELETE FROM drive WHERE id = $1", args![drive])?;
    tx.execute("DELETE FROM account WHERE id = $1", args![id])?;
    Ok(())
}

/// Refuses when all limits together exceed the server's capacity.
///
/// Counted in KiB, so that no sum overflows; the capacity's row keeps others from adding
/// limits meanwhile.
pub(super) fn check_sum_of_limits(tx: &mut Tx<'_>) -> Result<()> {
    let sql = if tx.needs_row_locks() {
        "SELECT limit_bytes / 1024 FROM capacity WHERE id = 1 FOR UPDATE"
    } else {
        "SELECT limit_bytes / 1024 FROM capacity WHERE id = 1"
    };
    let capacity_kib: i64 = tx.first(sql, args![], |row| row.get(0))?.unwrap_or(0);
    let promised_kib: i64 = tx
        .first(
            "SELECT CAST(COALESCE(SUM((limit_bytes + 1023) / 1024), 0) AS BIGINT) FROM drive",
            args![],
            |row| row.get(0),
        )?
        .unwrap_or(0);
    if promised_kib > capacity_kib {
        return Err(Error::CapacityExceeded);
    }
    Ok(())
}
