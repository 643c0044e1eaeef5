//! SQL of finding assets.
//!
//! One text for each order and way. Two things keep PostgreSQL, which decides by guesses, on the
//! way that was chosen: filters stand within one `CASE … <> 0`, for which it guesses that nearly
//! every row passes, so that it walks the index of the order and stops when the part is full; and
//! `OFFSET 0` keeps a part of the statement by itself, as `LIMIT 1` does: of an `EXISTS` it makes a
//! table of all engines at every search. Where a filter demands nothing it gets a
//! value that everything passes, so that the texts stay few.

use super::{AssetHit, AssetKey, AssetKind, AssetQuery, AssetSort};
use crate::asset::rows::lines;
use crate::asset::term::Query;
use crate::db::{Row, Tx, Value, args};
use crate::error::Result;
use crate::id::{AssetId, UserId};

/// Numbers of assets, as the engine writes a list and reads it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::asset) struct Numbers(String);

/// How the matches are come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::asset) enum Way {
    /// There are no words: all assets in order, until the part is full.
    Walk,
    /// Likewise, and each that passes the filters is looked at for the words.
    WalkAndLook,
    /// All that have the words, sorted.
    Matches(Numbers),
}

/// What the filters demand, in numbers.
#[derive(Debug, Clone, Copy)]
pub(in crate::asset) struct Filter {
    /// 0 demands nothing.
    pub kind: i64,
    pub min_bytes: u64,
    pub max_bytes: u64,
    pub posted_after: i64,
    pub posted_before: i64,
    /// -1 demands nothing.
    pub engine: i64,
}

/// A row of what was found, with its place in the order.
pub(in crate::asset) struct Found {
    pub number: i64,
    pub key: AssetKey,
    pub hit: AssetHit,
}

/// The columns of [`read`]; the first of them is what is sorted by.
macro_rules! columns {
    ($key:literal) => {
        concat!(
            "SELECT a.",
            $key,
            ", a.number, a.id, a.name, a.kind, a.size_bytes, a.downloads, a.posted_at, \
             t.tags, t.engine_versions, SUBSTR(t.description, 1, 300) FROM "
        )
    };
}

/// What an asset `a` must fulfil, but for words.
macro_rules! filters {
    ($look:literal) => {
        concat!(
            "CASE WHEN ($4 = 0 OR a.kind = $4) AND a.size_bytes >= $5 AND a.size_bytes <= $6 \
                 AND a.posted_at >= $7 AND a.posted_at < $8 \
                 AND ($9 < 0 OR (a.engine_low <= $9 AND a.engine_high > $9 AND ( \
                     SELECT 1 FROM asset_engine e WHERE e.number = a.number \
                         AND e.low <= $9 AND e.high > $9 LIMIT 1) = 1))",
            $look,
            " THEN 1 ELSE 0 END <> 0"
        )
    };
}

/// The numbers of one part, in order: from a source of rows `a`, those after a place.
macro_rules! part {
    ($from:literal, $look:literal, $key:literal, $order:literal, $compare:literal) => {
        concat!(
            columns!($key),
            "(SELECT a.number FROM ",
            $from,
            " a.is_listed = 1 AND (a.",
            $key,
            ", a.id) ",
            $compare,
            " ($1, $2) AND ",
            filters!($look),
            " ORDER BY a.",
            $key,
            " ",
            $order,
            ", a.id ",
            $order,
            " LIMIT $3) p CROSS JOIN asset a CROSS JOIN asset_text t \
             WHERE a.number = p.number AND t.number = p.number ORDER BY a.",
            $key,
            " ",
            $order,
            ", a.id ",
            $order
        )
    };
}

/// A text for each order.
macro_rules! orders {
    ($from:literal, $look:literal) => {
        [
            part!($from, $look, "downloads", "ASC", ">"),
            part!($from, $look, "downloads", "DESC", "<"),
            part!($from, $look, "posted_at", "ASC", ">"),
            part!($from, $look, "posted_at", "DESC", "<"),
            part!($from, $look, "name_sort", "ASC", ">"),
            part!($from, $look, "name_sort", "DESC", "<"),
        ]
    };
}

const WALK: [&str; 6] = orders!("asset a WHERE", "");
const WALK_AND_LOOK: [&str; 6] = orders!(
    "asset a WHERE",
    " AND (SELECT w.words FROM asset_text w WHERE w.number = a.number) LIKE $10"
);
const MATCHES_SQLITE: [&str; 6] = orders!(
    "JSON_EACH($10) m CROSS JOIN asset a INDEXED BY asset_by_number WHERE a.number = m.value AND",
    ""
);
const MATCHES_POSTGRES: [&str; 6] = orders!(
    "UNNEST(CAST($10 AS BIGINT[])) m \
     CROSS JOIN LATERAL (SELECT * FROM asset x WHERE x.number = m OFFSET 0) a WHERE",
    ""
);

const MATCH_SQLITE: &str = "SELECT COUNT(*), JSON_GROUP_ARRAY(m.rowid) FROM \
     (SELECT rowid FROM asset_index WHERE asset_index MATCH $1 LIMIT $2) m";
const MATCH_POSTGRES: &str = "SELECT COUNT(*), COALESCE(CAST(ARRAY_AGG(m.rowid) AS TEXT), '{}') FROM \
     (SELECT rowid FROM asset_index WHERE words @@ CAST($1 AS TSQUERY) LIMIT $2) m";

/// Those that have all words, where there are no more than `most`; the index is asked only once.
pub(in crate::asset) fn few(tx: &mut Tx<'_>, asked: &Query, most: u32) -> Result<Option<Numbers>> {
    let (sql, asked) = if tx.takes_arrays() {
        (MATCH_POSTGRES, asked.tsquery())
    } else {
        (MATCH_SQLITE, asked.fts5())
    };
    let found = tx.first(sql, args![asked, most + 1], |row| {
        Ok((row.get::<i64>(0)?, row.get::<String>(1)?))
    })?;
    Ok(found
        .filter(|(count, _)| *count <= i64::from(most))
        .map(|(_, numbers)| Numbers(numbers)))
}

/// One part, and one more row where there is another part.
pub(in crate::asset) fn find(
    tx: &mut Tx<'_>,
    query: &AssetQuery,
    filter: &Filter,
    asked: &Query,
    way: Way,
) -> Result<Vec<Found>> {
    let (texts, words) = match way {
        Way::Walk => (&WALK, None),
        Way::WalkAndLook => (&WALK_AND_LOOK, Some(asked.pattern())),
        Way::Matches(Numbers(numbers)) if tx.takes_arrays() => (&MATCHES_POSTGRES, Some(numbers)),
        Way::Matches(Numbers(numbers)) => (&MATCHES_SQLITE, Some(numbers)),
    };
    let (place, key) = place(query);
    let mut arguments = vec![
        key,
        place,
        Value::from(query.limit + 1),
        Value::from(filter.kind),
        Value::from(filter.min_bytes),
        Value::from(filter.max_bytes),
        Value::from(filter.posted_after),
        Value::from(filter.posted_before),
        Value::from(filter.engine),
    ];
    arguments.extend(words.map(Value::from));
    let sort = query.sort;
    let order = 2 * sort_index(sort) + usize::from(query.descending);
    tx.all(texts[order], &arguments, |row| read(row, sort))
}

fn sort_index(sort: AssetSort) -> usize {
    match sort {
        AssetSort::Downloads => 0,
        AssetSort::Date => 1,
        AssetSort::Name => 2,
    }
}

/// Where the part begins: id and key of what comes before it, or what comes before all.
fn place(query: &AssetQuery) -> (Value<'_>, Value<'_>) {
    if let Some(after) = &query.after {
        let key = match &after.key {
            AssetKey::Number(number) => Value::from(*number),
            AssetKey::Text(text) => Value::from(text),
        };
        return (Value::from(after.id), key);
    }
    let key = match (query.sort, query.descending) {
        (AssetSort::Name, false) => Value::from(""),
        // Greater than whatever a name begins with; this character is none of any language.
        (AssetSort::Name, true) => Value::from("\u{10ffff}\u{10ffff}"),
        (_, false) => Value::from(i64::MIN),
        (_, true) => Value::from(i64::MAX),
    };
    (Value::from(Vec::new()), key)
}

fn read(row: &Row<'_>, sort: AssetSort) -> Result<Found> {
    let key = match sort {
        AssetSort::Name => AssetKey::Text(row.get(0)?),
        AssetSort::Downloads | AssetSort::Date => AssetKey::Number(row.get(0)?),
    };
    Ok(Found {
        number: row.get(1)?,
        key,
        hit: AssetHit {
            id: row.get(2)?,
            authors: Vec::new(),
            name: row.get(3)?,
            summary: row.get(10)?,
            kind: AssetKind::from_code(row.get(4)?)?,
            engine_versions: lines(row.text(9)?),
            tags: lines(row.text(8)?),
            images: Vec::new(),
            size_bytes: row.get(5)?,
            downloads: row.get(6)?,
            posted_at: row.get(7)?,
        },
    })
}

/// Assets of one author, the newest first.
pub(super) fn of_author(
    tx: &mut Tx<'_>,
    user: UserId,
    before: Option<AssetId>,
    limit: u32,
) -> Result<Vec<Found>> {
    let before = before.map_or_else(|| vec![0xff; 16], |id| id.as_bytes().to_vec());
    tx.all(
        concat!(
            columns!("created_at"),
            "asset_author x CROSS JOIN asset a CROSS JOIN asset_text t \
             WHERE x.account_id = $1 AND a.number = x.number AND t.number = x.number \
                 AND a.id < $2 ORDER BY a.id DESC LIMIT $3"
        ),
        args![user, before, limit],
        |row| read(row, AssetSort::Date),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_engine, plan};

    /// What a walk costs is what it reads before the part is full, so it must not sort, and look
    /// at no row that the index could do for.
    #[tokio::test]
    async fn a_walk_follows_the_index_of_its_order() {
        each_engine(async |store, _| {
            for (texts, arguments) in [(&WALK, 9), (&WALK_AND_LOOK, 10)] {
                for (text, index) in texts.iter().zip([
                    "asset_by_downloads",
                    "asset_by_downloads",
                    "asset_by_date",
                    "asset_by_date",
                    "asset_by_name",
                    "asset_by_name",
                ]) {
                    let steps = plan(store, text, arguments).await;
                    let walks = steps.contains(&format!("SEARCH a USING COVERING INDEX {index}"));
                    assert!(steps.is_empty() || walks, "{steps}");
                }
            }
        })
        .await;
    }

    #[tokio::test]
    async fn matches_are_looked_up_by_number() {
        each_engine(async |store, _| {
            for text in MATCHES_SQLITE {
                if store.db().is_exclusive() {
                    let steps = plan(store, text, 10).await;
                    let mut steps_of_a = steps.lines().filter(|step| step.starts_with("SCAN a"));
                    assert!(steps.contains("COVERING INDEX asset_by_number"), "{steps}");
                    assert!(steps_of_a.all(|step| step.contains("VIRTUAL")), "{steps}");
                }
            }
        })
        .await;
    }
}
