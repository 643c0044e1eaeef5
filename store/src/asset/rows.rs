//! SQL of assets and of what they say.

mod author;
mod content;

use super::{AssetKind, term};
use crate::db::{Row, Tx, Value, args};
use crate::error::{Error, Result};
use crate::id::{AssetId, UserId};

/// The number of no asset.
pub(super) const NO_NUMBER: i64 = 0;

pub(crate) use self::author::relist_of;
pub(super) use self::author::{
    author_accounts, author_names, author_names_of, count_of_author, count_offers,
    detach_offers_to, insert_author, insert_offer, offered_names, offers_to, other_drives,
    remove_author, remove_offer, remove_offers_to,
};
pub(super) use self::content::{
    ContentRow, Role, charged, charged_to, contents, count_contents, detach, detach_charged_to,
    file_bytes, find_content, images_of, insert_content, open_content, recharge, take_removed,
};

/// An asset's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AssetRow {
    /// Its number among the rows, which nobody outside hears of: it would tell how many there are.
    pub number: i64,
    pub id: AssetId,
    pub version: i64,
    pub name: String,
    pub name_sort: String,
    pub kind: AssetKind,
    pub size_bytes: u64,
    pub downloads: u64,
    pub created_at: i64,
    pub posted_at: Option<i64>,
    pub is_listed: bool,
    pub engine_low: i64,
    pub engine_high: i64,
    /// Whether whoever asks is one of its authors.
    pub is_author: bool,
}

impl AssetRow {
    /// Whether whoever asks may know of it.
    pub fn is_visible(&self) -> bool {
        self.is_listed || self.is_author
    }
}

/// What is said of an asset at length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Texts {
    pub description: String,
    pub tags: Vec<String>,
    pub engine_versions: Vec<String>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT a.number, a.id, a.version, a.name, a.name_sort, a.kind, a.size_bytes, \
                 a.downloads, a.created_at, a.posted_at, a.is_listed, a.engine_low, \
                 a.engine_high, CASE WHEN EXISTS (SELECT 1 FROM asset_author x \
                     WHERE x.number = a.number AND x.account_id = $2) THEN 1 ELSE 0 END \
             FROM asset a ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<AssetRow> {
    Ok(AssetRow {
        number: row.get(0)?,
        id: row.get(1)?,
        version: row.get(2)?,
        name: row.get(3)?,
        name_sort: row.get(4)?,
        kind: AssetKind::from_code(row.get(5)?)?,
        size_bytes: row.get(6)?,
        downloads: row.get(7)?,
        created_at: row.get(8)?,
        posted_at: row.get(9)?,
        is_listed: row.get(10)?,
        engine_low: row.get(11)?,
        engine_high: row.get(12)?,
        is_author: row.get(13)?,
    })
}

/// An asset as `user` sees it.
pub(super) fn find(tx: &mut Tx<'_>, id: AssetId, user: Option<UserId>) -> Result<Option<AssetRow>> {
    tx.first(select!("WHERE a.id = $1"), args![id, user], read)
}

/// An asset, with all other changes to it kept away until the transaction ends.
pub(super) fn lock(tx: &mut Tx<'_>, id: AssetId, user: UserId) -> Result<Option<AssetRow>> {
    if tx.needs_row_locks() {
        // By itself: a statement that waited sees what it joins as that was before it waited.
        let sql = "SELECT 1 FROM asset WHERE id = $1 FOR UPDATE";
        tx.first(sql, args![id], |_| Ok(()))?;
    }
    tx.first(select!("WHERE a.id = $1"), args![id, user], read)
}

/// All assets of an author, held likewise.
pub(super) fn lock_all_of(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<AssetRow>> {
    if tx.needs_row_locks() {
        let sql = "SELECT 1 FROM asset a \
             WHERE a.number IN (SELECT y.number FROM asset_author y WHERE y.account_id = $1) \
             ORDER BY a.number FOR UPDATE";
        tx.each(sql, args![user], |_| Ok(()))?;
    }
    let sql = select!(
        "WHERE a.number IN (SELECT y.number FROM asset_author y WHERE y.account_id = $1) \
         ORDER BY a.number"
    );
    tx.all(sql, args![user, user], read)
}

/// Adds a row; its number.
pub(super) fn insert(tx: &mut Tx<'_>, row: &AssetRow) -> Result<i64> {
    let number = tx.first(
        "INSERT INTO asset (id, version, name, name_sort, kind, size_bytes, downloads, \
             created_at, posted_at, is_listed, engine_low, engine_high) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11) RETURNING number",
        args![
            row.id,
            row.version,
            &row.name,
            &row.name_sort,
            row.kind.code(),
            row.size_bytes,
            row.downloads,
            row.created_at,
            row.posted_at,
            row.engine_low,
            row.engine_high,
        ],
        |row| row.get(0),
    )?;
    number.ok_or_else(|| Error::malformed("asset"))
}

/// Writes back what authors change. Downloads are added elsewhere.
pub(super) fn save(tx: &mut Tx<'_>, row: &AssetRow) -> Result<()> {
    tx.execute(
        "UPDATE asset SET version = $2, name = $3, name_sort = $4, kind = $5, size_bytes = $6, \
             posted_at = $7, engine_low = $8, engine_high = $9 WHERE number = $1",
        args![
            row.number,
            row.version,
            &row.name,
            &row.name_sort,
            row.kind.code(),
            row.size_bytes,
            row.posted_at,
            row.engine_low,
            row.engine_high,
        ],
    )?;
    Ok(())
}

/// Sets whether an asset is listed, by what holds now; whether it is.
pub(super) fn relist(tx: &mut Tx<'_>, number: i64) -> Result<bool> {
    let listed = tx.first(
        "UPDATE asset SET is_listed = CASE WHEN posted_at IS NOT NULL AND EXISTS ( \
             SELECT 1 FROM asset_author x JOIN account c ON c.id = x.account_id \
             WHERE x.number = asset.number AND c.disabled_at IS NULL) THEN 1 ELSE 0 END \
         WHERE number = $1 RETURNING is_listed",
        args![number],
        |row| row.get(0),
    )?;
    listed.ok_or_else(|| Error::malformed("asset"))
}

/// Removes an asset; its contents are left without one.
pub(super) fn remove(tx: &mut Tx<'_>, number: i64) -> Result<()> {
    unindex(tx, number)?;
    tx.execute(
        "UPDATE asset_content SET number = NULL WHERE number = $1",
        args![number],
    )?;
    tx.execute("DELETE FROM asset WHERE number = $1", args![number])?;
    Ok(())
}

pub(super) fn add_downloads(tx: &mut Tx<'_>, counts: &[(AssetId, u64)]) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = counts
        .iter()
        .map(|(id, count)| vec![(*id).into(), (*count).into()])
        .collect();
    tx.execute_many(
        "UPDATE asset SET downloads = downloads + $2 WHERE id = $1",
        "UPDATE asset SET downloads = downloads + c.count \
         FROM UNNEST($1::bytea[], $2::bigint[]) AS c (id, count) WHERE asset.id = c.id",
        &rows,
    )?;
    Ok(())
}

pub(super) fn insert_texts(tx: &mut Tx<'_>, number: i64, texts: &Texts) -> Result<()> {
    tx.execute(
        "INSERT INTO asset_text (number, description, tags, engine_versions, words) \
         VALUES ($1, $2, $3, $4, '')",
        args![
            number,
            &texts.description,
            texts.tags.join("\n"),
            texts.engine_versions.join("\n")
        ],
    )?;
    Ok(())
}

pub(super) fn set_texts(tx: &mut Tx<'_>, number: i64, texts: &Texts) -> Result<()> {
    tx.execute(
        "UPDATE asset_text SET description = $2, tags = $3, engine_versions = $4 \
         WHERE number = $1",
        args![
            number,
            &texts.description,
            texts.tags.join("\n"),
            texts.engine_versions.join("\n")
        ],
    )?;
    Ok(())
}

pub(super) fn texts(tx: &mut Tx<'_>, number: i64) -> Result<Texts> {
    let texts = tx.first(
        "SELECT description, tags, engine_versions FROM asset_text WHERE number = $1",
        args![number],
        |row| {
            Ok(Texts {
                description: row.get(0)?,
                tags: lines(row.text(1)?),
                engine_versions: lines(row.text(2)?),
            })
        },
    )?;
    texts.ok_or_else(|| Error::malformed("asset without text"))
}

/// A list that is kept one in a line.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

pub(super) fn replace_engines(tx: &mut Tx<'_>, number: i64, spans: &[(i64, i64)]) -> Result<()> {
    tx.execute("DELETE FROM asset_engine WHERE number = $1", args![number])?;
    for (low, high) in spans {
        tx.execute(
            "INSERT INTO asset_engine (number, low, high) VALUES ($1, $2, $3)",
            args![number, *low, *high],
        )?;
    }
    Ok(())
}

/// Makes an asset to be found by all that the document holds, and by nothing else.
pub(super) fn index(tx: &mut Tx<'_>, number: i64, document: &term::Document) -> Result<()> {
    let lexemes = document.lexemes();
    let lexemes: Vec<&str> = lexemes.iter().map(String::as_str).collect();
    tx.execute("DELETE FROM asset_index WHERE rowid = $1", args![number])?;
    if tx.takes_arrays() {
        tx.execute(
            "INSERT INTO asset_index (rowid, words) VALUES ($1, array_to_tsvector($2))",
            args![number, Value::TextArray(Some(lexemes))],
        )?;
    } else {
        tx.execute(
            "INSERT INTO asset_index (rowid, words) VALUES ($1, $2)",
            args![number, lexemes.join(" ")],
        )?;
    }
    tx.execute(
        "UPDATE asset_text SET words = $2 WHERE number = $1",
        args![number, document.text()],
    )?;
    Ok(())
}

/// Makes an asset to be found by nothing.
pub(super) fn unindex(tx: &mut Tx<'_>, number: i64) -> Result<()> {
    tx.execute("DELETE FROM asset_index WHERE rowid = $1", args![number])?;
    tx.execute(
        "UPDATE asset_text SET words = '' WHERE number = $1",
        args![number],
    )?;
    Ok(())
}
