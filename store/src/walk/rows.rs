//! SQL of what lies below a folder.

use super::{Extent, Met, Start};
use crate::db::{Tx, args};
use crate::error::{Error, Result};
use crate::id::{NodeId, UserId};
use crate::node::rows::{columns, read};
use crate::path::Name;

/// Number of entries below a folder, and the lengths of their paths; of the first `most` alone.
pub(crate) fn extent(tx: &mut Tx<'_>, root: NodeId, most: u64) -> Result<Extent> {
    let extent = tx.first(
        "WITH RECURSIVE tree (bytes, node_id) AS ( \
             SELECT OCTET_LENGTH(e.name), e.node_id FROM entry e WHERE e.parent_id = $1 \
             UNION ALL \
             SELECT t.bytes + 1 + OCTET_LENGTH(e.name), e.node_id \
                 FROM tree t CROSS JOIN entry e WHERE e.parent_id = t.node_id) \
         SELECT COUNT(*), CAST(COALESCE(SUM(part.bytes), 0) AS BIGINT) \
         FROM (SELECT t.bytes FROM tree t LIMIT $2) AS part",
        args![root, most],
        |row| {
            Ok(Extent {
                entries: row.get(0)?,
                path_bytes: row.get(1)?,
            })
        },
    )?;
    Ok(extent.unwrap_or(Extent {
        entries: 0,
        path_bytes: 0,
    }))
}

/// Of the entry that comes after `next` in its folder, or after the folder that is at its end. Folders
/// have one name, files may have several.
macro_rules! after {
    ($column:literal) => {
        concat!(
            "(SELECT ",
            $column,
            " FROM entry e \
                 WHERE e.parent_id = CASE WHEN w.next IS NOT NULL THEN w.dir ELSE \
                         (SELECT l.parent_id FROM entry l WHERE l.node_id = w.dir) END \
                     AND e.name_nfc > CASE WHEN w.next IS NOT NULL THEN w.name ELSE \
                         (SELECT l.name_nfc FROM entry l WHERE l.node_id = w.dir) END \
                 ORDER BY e.name_nfc LIMIT 1)"
        )
    };
}

/// Steps of a walk from one entry to the next, folders before what they hold: in `dir`, which lies
/// `level` levels below where it began, comes `next` under `name`; without one the walk goes back
/// up. Above level 0 are the shares of account $4, in the order of their names, which `name` is not.
///
/// Each step is some look-ups by keys, so what a part costs depends on nothing but its length. They
/// are subqueries, and not joins, since these must not be made in any other way.
macro_rules! steps {
    ($first:literal) => {
        concat!(
            "WITH RECURSIVE walk (step, told, level, dir, name, next) AS ( \
                 SELECT CAST(0 AS BIGINT), CAST(0 AS BIGINT), $2, $1, \
                     (SELECT e.name_nfc FROM entry e WHERE e.parent_id = $1 AND e.name_nfc > $3 \
                         ORDER BY e.name_nfc LIMIT 1), ",
            $first,
            "    UNION ALL \
                 SELECT w.step + 1, \
                     w.told + CASE WHEN w.next IS NULL THEN 0 ELSE 1 END, \
                     CASE WHEN w.next IS NULL THEN w.level - 1 \
                         WHEN (SELECT n.kind FROM node n WHERE n.id = w.next) = 1 \
                             THEN w.level + 1 \
                         ELSE w.level END, \
                     CASE WHEN w.next IS NULL \
                             THEN (SELECT l.parent_id FROM entry l WHERE l.node_id = w.dir) \
                         WHEN (SELECT n.kind FROM node n WHERE n.id = w.next) = 1 THEN w.next \
                         ELSE w.dir END, \
                     CASE WHEN (SELECT n.kind FROM node n WHERE n.id = w.next) = 1 \
                             THEN (SELECT e.name_nfc FROM entry e WHERE e.parent_id = w.next \
                                 ORDER BY e.name_nfc LIMIT 1) \
                         WHEN w.level < 0 OR (w.level = 0 AND w.next IS NULL) THEN NULL \
                         ELSE ",
            after!("e.name_nfc"),
            " END, \
                     CASE WHEN (SELECT n.kind FROM node n WHERE n.id = w.next) = 1 \
                             THEN (SELECT e.node_id FROM entry e WHERE e.parent_id = w.next \
                                 ORDER BY e.name_nfc LIMIT 1) \
                         WHEN w.level < 0 OR (w.level = 0 AND w.next IS NULL) \
                             THEN (SELECT g.node_id FROM access_grant g \
                                 WHERE g.account_id = $4 AND g.mount_key > \
                                     (SELECT MIN(m.mount_key) FROM access_grant m \
                                     WHERE m.node_id = COALESCE(w.next, w.dir) \
                                         AND m.account_id = $4) \
                                 ORDER BY g.mount_key LIMIT 1) \
                         ELSE ",
            after!("e.node_id"),
            " END \
                 FROM walk w WHERE w.told < $5 AND (w.next IS NOT NULL OR w.level >= 0)) \
             SELECT w.level, CASE WHEN w.level >= 0 THEN (SELECT e.name FROM entry e \
                     WHERE e.parent_id = w.dir AND e.name_nfc = w.name) ELSE \
                 (SELECT MIN(m.mount_name) FROM access_grant m \
                     WHERE m.node_id = w.next AND m.account_id = $4) END, ",
            columns!(),
            " FROM walk w CROSS JOIN node n \
             WHERE w.told < $5 AND n.id = w.next ORDER BY w.step"
        )
    };
}

pub(super) const FROM_FOLDER: &str = steps!(
    "(SELECT e.node_id FROM entry e WHERE e.parent_id = $1 AND e.name_nfc > $3 \
         ORDER BY e.name_nfc LIMIT 1) "
);

pub(super) const FROM_SHARES: &str = steps!(
    "(SELECT g.node_id FROM access_grant g WHERE g.account_id = $4 AND g.mount_key > $3 \
         ORDER BY g.mount_key LIMIT 1) "
);

/// The `limit` entries after `start`. One statement.
pub(crate) fn walk(tx: &mut Tx<'_>, start: &Start, limit: u32) -> Result<Vec<Met>> {
    let nobody = vec![0; 16];
    let level = i64::try_from(start.level).unwrap_or(i64::MAX);
    let args = args![start.folder, level, start.after.as_str(), nobody, limit];
    met(tx, FROM_FOLDER, args, 0)
}

/// Likewise, going on with the shares of an account, which count as level 0, when the one that it
/// starts in is at its end; without a start after the share of this name.
pub(crate) fn walk_shares(
    tx: &mut Tx<'_>,
    user: UserId,
    start: Option<&Start>,
    after: &str,
    limit: u32,
) -> Result<Vec<Met>> {
    if let Some(start) = start {
        let level = i64::try_from(start.level).unwrap_or(i64::MAX);
        let args = args![start.folder, level, start.after.as_str(), user, limit];
        return met(tx, FROM_FOLDER, args, 1);
    }
    let nowhere = vec![0; 16];
    met(
        tx,
        FROM_SHARES,
        args![nowhere, -1_i64, after, user, limit],
        1,
    )
}

/// What the statement finds; its levels are `above` less than those of the walk.
fn met(
    tx: &mut Tx<'_>,
    sql: &'static str,
    args: &[crate::db::Value<'_>],
    above: i64,
) -> Result<Vec<Met>> {
    tx.all(sql, args, |row| {
        let level = usize::try_from(row.get::<i64>(0)? + above);
        Ok(Met {
            level: level.map_err(|_| Error::malformed("level"))?,
            name: Name::new(row.text(1)?)?,
            node: read(row, 2)?,
        })
    })
}

/// What an account finds under one of its names for what is shared with it.
pub(crate) fn share(tx: &mut Tx<'_>, user: UserId, mount_key: &str) -> Result<Option<NodeId>> {
    tx.first(
        "SELECT node_id FROM access_grant WHERE account_id = $1 AND mount_key = $2 LIMIT 1",
        args![user, mount_key],
        |row| row.get(0),
    )
}
