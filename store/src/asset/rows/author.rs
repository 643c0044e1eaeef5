//! SQL of the authors of assets, and of those who are asked to join them.

use std::collections::HashMap;

use crate::asset::AssetOffer;
use crate::db::{Tx, Value, args};
use crate::error::Result;
use crate::id::{DriveId, UserId};
use crate::user::UserName;

pub(in crate::asset) fn insert_author(
    tx: &mut Tx<'_>,
    number: i64,
    user: UserId,
    joined_at: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO asset_author (number, account_id, joined_at) VALUES ($1, $2, $3) \
         ON CONFLICT (number, account_id) DO NOTHING",
        args![number, user, joined_at],
    )?;
    Ok(())
}

pub(in crate::asset) fn remove_author(tx: &mut Tx<'_>, number: i64, user: UserId) -> Result<()> {
    tx.execute(
        "DELETE FROM asset_author WHERE number = $1 AND account_id = $2",
        args![number, user],
    )?;
    Ok(())
}

pub(in crate::asset) fn count_of_author(tx: &mut Tx<'_>, user: UserId) -> Result<u64> {
    let count = tx.first(
        "SELECT COUNT(*) FROM asset_author WHERE account_id = $1",
        args![user],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or_default())
}

/// Accounts of the authors, in the order in which they joined.
pub(in crate::asset) fn author_accounts(tx: &mut Tx<'_>, number: i64) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT account_id FROM asset_author WHERE number = $1 ORDER BY joined_at, account_id",
        args![number],
        |row| row.get(0),
    )
}

/// Public names of the authors, likewise.
pub(in crate::asset) fn author_names(tx: &mut Tx<'_>, number: i64) -> Result<Vec<String>> {
    Ok(author_names_of(tx, &[number])?
        .remove(&number)
        .unwrap_or_default())
}

/// Public names of the authors of many assets, by number.
pub(in crate::asset) fn author_names_of(
    tx: &mut Tx<'_>,
    numbers: &[i64],
) -> Result<HashMap<i64, Vec<String>>> {
    let keys: Vec<Value<'_>> = numbers.iter().map(|number| Value::from(*number)).collect();
    let found = tx.all_of(
        "SELECT x.number, u.public_name FROM asset_author x \
         CROSS JOIN author u WHERE x.number = $1 AND u.account_id = x.account_id \
         ORDER BY x.joined_at, x.account_id",
        "SELECT x.number, u.public_name FROM asset_author x \
         CROSS JOIN author u WHERE x.number = ANY($1) AND u.account_id = x.account_id \
         ORDER BY x.joined_at, x.account_id",
        &keys,
        |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)),
    )?;
    let mut names: HashMap<i64, Vec<String>> = HashMap::new();
    for (number, name) in found {
        names.entry(number).or_default().push(name);
    }
    Ok(names)
}

/// Drives of all authors but one, in the order in which they joined.
pub(in crate::asset) fn other_drives(
    tx: &mut Tx<'_>,
    number: i64,
    user: UserId,
) -> Result<Vec<DriveId>> {
    tx.all(
        "SELECT d.id FROM asset_author x JOIN drive d ON d.owner_id = x.account_id \
         WHERE x.number = $1 AND x.account_id <> $2 ORDER BY x.joined_at, x.account_id",
        args![number, user],
        |row| row.get(0),
    )
}

/// Sets whether the assets of an account are listed, by what holds now.
pub(crate) fn relist_of(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.execute(
        "UPDATE asset SET is_listed = CASE WHEN posted_at IS NOT NULL AND EXISTS ( \
             SELECT 1 FROM asset_author x JOIN account c ON c.id = x.account_id \
             WHERE x.number = asset.number AND c.disabled_at IS NULL) THEN 1 ELSE 0 END \
         WHERE number IN (SELECT y.number FROM asset_author y WHERE y.account_id = $1)",
        args![user],
    )?;
    Ok(())
}

pub(in crate::asset) fn insert_offer(
    tx: &mut Tx<'_>,
    number: i64,
    name: &UserName,
    account: Option<UserId>,
    now_ms: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO asset_offer (number, name_key, public_name, account_id, offered_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (number, name_key) DO UPDATE \
         SET public_name = $3, account_id = $4",
        args![number, name.key(), name.as_str(), account, now_ms],
    )?;
    Ok(())
}

pub(in crate::asset) fn count_offers(tx: &mut Tx<'_>, number: i64) -> Result<u64> {
    let count = tx.first(
        "SELECT COUNT(*) FROM asset_offer WHERE number = $1",
        args![number],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or_default())
}

/// Public names that offers were made to, as typed.
pub(in crate::asset) fn offered_names(tx: &mut Tx<'_>, number: i64) -> Result<Vec<String>> {
    tx.all(
        "SELECT public_name FROM asset_offer WHERE number = $1 ORDER BY offered_at, name_key",
        args![number],
        |row| row.get(0),
    )
}

/// Assets, by number, that an account is asked to join; without their authors.
pub(in crate::asset) fn offers_to(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<(i64, AssetOffer)>> {
    tx.all(
        "SELECT o.number, a.id, a.name, o.offered_at FROM asset_offer o \
         JOIN asset a ON a.number = o.number WHERE o.account_id = $1 \
         ORDER BY o.offered_at DESC, a.id LIMIT 1000",
        args![user],
        |row| {
            let offer = AssetOffer {
                asset: row.get(1)?,
                name: row.get(2)?,
                authors: Vec::new(),
                offered_at: row.get(3)?,
            };
            Ok((row.get(0)?, offer))
        },
    )
}

/// Removes offers of an asset to an account; how many there were.
pub(in crate::asset) fn remove_offers_to(
    tx: &mut Tx<'_>,
    number: i64,
    user: UserId,
) -> Result<u64> {
    tx.execute(
        "DELETE FROM asset_offer WHERE number = $1 AND account_id = $2",
        args![number, user],
    )
}

/// Removes the offer to a name; whether there was one.
pub(in crate::asset) fn remove_offer(tx: &mut Tx<'_>, number: i64, key: &str) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM asset_offer WHERE number = $1 AND name_key = $2",
        args![number, key],
    )?;
    Ok(removed > 0)
}

/// Leaves offers to an account as those to a name that nobody has.
pub(in crate::asset) fn detach_offers_to(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.execute(
        "UPDATE asset_offer SET account_id = NULL WHERE account_id = $1",
        args![user],
    )?;
    Ok(())
}
