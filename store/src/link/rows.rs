//! SQL of links.

use std::sync::Arc;

use super::{Link, LinkKind};
use crate::caller::{Access, Caller, Via};
use crate::db::{Row, Tx, Value, args};
use crate::digest::Digest;
use crate::error::Result;
use crate::id::{DownloadId, DriveId, LinkId, NodeId, UserId};
use crate::link::door::FoundLink;
use crate::node;
use crate::node::rows::{columns, is_told};
use crate::path::{Name, Path};

/// A row to be made.
pub(super) struct NewRow<'a> {
    pub id: LinkId,
    pub drive: DriveId,
    pub node: NodeId,
    pub token: Digest,
    pub kind: LinkKind,
    pub label: &'a str,
    pub password_hash: Option<&'a str>,
    pub expires_at: Option<i64>,
    pub downloads_most: Option<u64>,
    pub created_by: UserId,
    pub created_at: i64,
    /// Which of several names is told.
    pub told: Option<(NodeId, &'a str)>,
}

pub(super) fn insert(tx: &mut Tx<'_>, new: &NewRow<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO share_link (id, drive_id, node_id, token_digest, kind, label, password_hash, \
             expires_at, downloads_most, downloads_done, created_by, created_at, told_parent, \
             told_name) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13)",
        args![
            new.id,
            new.drive,
            new.node,
            new.token,
            new.kind.as_str(),
            new.label,
            new.password_hash,
            new.expires_at,
            count(new.downloads_most),
            new.created_by,
            new.created_at,
            new.told.map(|(parent, _)| parent),
            new.told.map(|(_, name)| name),
        ],
    )?;
    Ok(())
}

fn count(number: Option<u64>) -> Option<i64> {
    number.map(|number| i64::try_from(number).unwrap_or(i64::MAX))
}

fn read_count(row: &Row<'_>, index: usize) -> Result<Option<u64>> {
    let number: Option<i64> = row.get(index)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or(0)))
}

/// What a token leads to, unless it leads nowhere: never made, revoked, expired, used up, or of an
/// account that is disabled. Joins keep their order, from the one row of the token on.
const BY_TOKEN: &str = concat!(
    "SELECT l.id, l.kind, l.password_hash, l.downloads_most, e.name, a.id, a.username, d.id, ",
    columns!(),
    " FROM share_link l CROSS JOIN drive d CROSS JOIN account a CROSS JOIN node n \
         CROSS JOIN entry e \
     WHERE l.token_digest = $1 AND d.id = l.drive_id AND a.id = d.owner_id AND n.id = l.node_id \
         AND e.node_id = l.node_id AND a.disabled_at IS NULL \
         AND (l.expires_at IS NULL OR l.expires_at > $2) \
         AND (l.downloads_most IS NULL OR l.downloads_done < l.downloads_most) AND ",
    is_told!("e", "l")
);

pub(super) fn by_token(tx: &mut Tx<'_>, token: Digest, now_ms: i64) -> Result<Option<FoundLink>> {
    tx.first(BY_TOKEN, args![token, now_ms], |row| {
        let id = row.get(0)?;
        let kind = LinkKind::parse(row.text(1)?)?;
        let node = node::rows::read(row, 8)?;
        let caller = Caller {
            user: row.get(5)?,
            username: Arc::from(row.text(6)?),
            access: Access::User,
            drive: row.get(7)?,
            root: node.id,
            whole_drive: false,
            read_only: kind == LinkKind::Read,
            login: None,
            app_password: None,
            via: Via::Link(id),
            password_version: None,
        };
        let password_hash: Option<String> = row.get(2)?;
        Ok(FoundLink {
            id,
            kind,
            name: Name::new(row.text(4)?)?,
            node,
            caller,
            is_limited: row.get::<Option<i64>>(3)?.is_some(),
            password_hash: password_hash.map(Arc::from),
        })
    })
}

/// Whether a link still lets files be put into this folder.
pub(crate) fn takes_uploads(
    tx: &mut Tx<'_>,
    id: LinkId,
    folder: NodeId,
    now_ms: i64,
) -> Result<bool> {
    let found = tx.first(
        "SELECT 1 FROM share_link l CROSS JOIN drive d CROSS JOIN account a \
         WHERE l.id = $1 AND l.node_id = $2 AND l.kind = 'upload' \
             AND (l.expires_at IS NULL OR l.expires_at > $3) \
             AND d.id = l.drive_id AND a.id = d.owner_id AND a.disabled_at IS NULL",
        args![id, folder, now_ms],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// The links that `$which` selects, each with the names above its node, nearest first.
macro_rules! select_links {
    ($which:literal) => {
        concat!(
            "WITH RECURSIVE page AS (SELECT * FROM share_link WHERE ",
            $which,
            "), up (link_id, parent_id, name, level) AS ( \
                 SELECT p.id, e.parent_id, e.name, 0 FROM page p CROSS JOIN entry e \
                     WHERE e.node_id = p.node_id AND ",
            is_told!("e", "p"),
            " UNION ALL \
                 SELECT up.link_id, e.parent_id, e.name, up.level + 1 \
                     FROM up CROSS JOIN entry e WHERE e.node_id = up.parent_id) \
             SELECT p.id, p.kind, p.node_id, p.label, p.password_hash, p.expires_at, \
                 p.downloads_most, p.downloads_done, p.created_at, p.last_used_at, up.name \
             FROM page p CROSS JOIN up WHERE up.link_id = p.id ORDER BY p.id, up.level"
        )
    };
}

fn select(tx: &mut Tx<'_>, sql: &'static str, args: &[Value<'_>]) -> Result<Vec<Link>> {
    let mut found: Vec<(Link, Vec<String>)> = Vec::new();
    tx.each(sql, args, |row| {
        let id: LinkId = row.get(0)?;
        if found.last().is_none_or(|(link, _)| link.id != id) {
            found.push((read(row, id)?, Vec::new()));
        }
        if let Some((_, names)) = found.last_mut() {
            names.push(row.get(10)?);
        }
        Ok(())
    })?;
    let links = found.into_iter().map(|(mut link, names)| {
        for name in names.iter().rev() {
            link.path.push(Name::new(name)?)?;
        }
        Ok(link)
    });
    links.collect()
}

fn read(row: &Row<'_>, id: LinkId) -> Result<Link> {
    Ok(Link {
        id,
        kind: LinkKind::parse(row.text(1)?)?,
        node: row.get(2)?,
        path: Path::root(),
        label: row.get(3)?,
        has_password: row.get::<Option<String>>(4)?.is_some(),
        expires_at: row.get(5)?,
        downloads_most: read_count(row, 6)?,
        downloads_done: row.get(7)?,
        created_at: row.get(8)?,
        last_used_at: row.get(9)?,
    })
}

pub(super) fn find(tx: &mut Tx<'_>, drive: DriveId, id: LinkId) -> Result<Option<Link>> {
    let found = select(
        tx,
        select_links!("id = $1 AND drive_id = $2"),
        args![id, drive],
    )?;
    Ok(found.into_iter().next())
}

fn after_bytes(after: Option<LinkId>) -> Vec<u8> {
    after.map_or_else(Vec::new, |id| id.as_bytes().to_vec())
}

pub(super) fn list(
    tx: &mut Tx<'_>,
    drive: DriveId,
    after: Option<LinkId>,
    limit: u32,
) -> Result<Vec<Link>> {
    select(
        tx,
        select_links!("drive_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
        args![drive, after_bytes(after), limit],
    )
}

pub(super) fn list_of_node(
    tx: &mut Tx<'_>,
    drive: DriveId,
    node: NodeId,
    after: Option<LinkId>,
    limit: u32,
) -> Result<Vec<Link>> {
    select(
        tx,
        select_links!("node_id = $4 AND drive_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
        args![drive, after_bytes(after), limit, node],
    )
}

pub(super) fn count_of_drive(tx: &mut Tx<'_>, drive: DriveId) -> Result<u64> {
    let count = tx.first(
        "SELECT COUNT(*) FROM share_link WHERE drive_id = $1",
        args![drive],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

/// What can be changed of a link.
pub(super) struct ChangeableRow {
    pub kind: LinkKind,
    pub label: String,
    pub password_hash: Option<String>,
    pub expires_at: Option<i64>,
    pub downloads_most: Option<u64>,
}

/// A link, with all other changes to it kept away until the transaction ends.
pub(super) fn lock(tx: &mut Tx<'_>, drive: DriveId, id: LinkId) -> Result<Option<ChangeableRow>> {
    let sql = if tx.needs_row_locks() {
        "SELECT kind, label, password_hash, expires_at, downloads_most FROM share_link \
         WHERE id = $1 AND drive_id = $2 FOR UPDATE"
    } else {
        "SELECT kind, label, password_hash, expires_at, downloads_most FROM share_link \
         WHERE id = $1 AND drive_id = $2"
    };
    tx.first(sql, args![id, drive], |row| {
        Ok(ChangeableRow {
            kind: LinkKind::parse(row.text(0)?)?,
            label: row.get(1)?,
            password_hash: row.get(2)?,
            expires_at: row.get(3)?,
            downloads_most: read_count(row, 4)?,
        })
    })
}

pub(super) fn update(tx: &mut Tx<'_>, id: LinkId, row: &ChangeableRow) -> Result<()> {
    tx.execute(
        "UPDATE share_link SET label = $2, password_hash = $3, expires_at = $4, \
             downloads_most = $5 WHERE id = $1",
        args![
            id,
            &row.label,
            row.password_hash.as_deref(),
            row.expires_at,
            count(row.downloads_most),
        ],
    )?;
    Ok(())
}

pub(super) fn remove(tx: &mut Tx<'_>, drive: DriveId, id: LinkId) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM share_link WHERE id = $1 AND drive_id = $2",
        args![id, drive],
    )?;
    Ok(removed == 1)
}

/// Goes up from each link of the drive, of which there are few, not down a tree that may be large;
/// nor up where it is a file that goes.
const REMOVE_WITHIN: &str = "WITH RECURSIVE up (link_id, node_id) AS ( \
         SELECT l.id, l.node_id FROM share_link l WHERE l.drive_id = $1 \
             AND (l.node_id = $2 OR (SELECT n.kind FROM node n WHERE n.id = $2) = 1) \
         UNION ALL \
         SELECT up.link_id, e.parent_id FROM up CROSS JOIN entry e WHERE e.node_id = up.node_id) \
     DELETE FROM share_link WHERE id IN (SELECT up.link_id FROM up WHERE up.node_id = $2)";

pub(super) fn remove_within(tx: &mut Tx<'_>, drive: DriveId, root: NodeId) -> Result<()> {
    tx.execute(REMOVE_WITHIN, args![drive, root])?;
    Ok(())
}

pub(super) fn remove_all(tx: &mut Tx<'_>, drive: DriveId) -> Result<()> {
    tx.execute("DELETE FROM share_link WHERE drive_id = $1", args![drive])?;
    Ok(())
}

pub(super) fn purge(tx: &mut Tx<'_>, expired_before: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM share_link WHERE expires_at < $1",
        args![expired_before],
    )
}

/// How many downloads a link may have, and has had.
pub(super) struct Room {
    pub most: Option<u64>,
    pub done: u64,
    pub expires_at: Option<i64>,
}

/// The counts of a link, with everybody else kept away from them until the transaction ends.
pub(super) fn lock_room(tx: &mut Tx<'_>, id: LinkId) -> Result<Option<Room>> {
    let sql = if tx.needs_row_locks() {
        "SELECT downloads_most, downloads_done, expires_at FROM share_link WHERE id = $1 FOR UPDATE"
    } else {
        "SELECT downloads_most, downloads_done, expires_at FROM share_link WHERE id = $1"
    };
    tx.first(sql, args![id], |row| {
        Ok(Room {
            most: read_count(row, 0)?,
            done: row.get(1)?,
            expires_at: row.get(2)?,
        })
    })
}

/// Downloads under way.
pub(super) fn running(tx: &mut Tx<'_>, link: LinkId, now_ms: i64) -> Result<u64> {
    let count = tx.first(
        "SELECT COUNT(*) FROM link_download WHERE link_id = $1 AND expires_at > $2",
        args![link, now_ms],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

pub(super) fn insert_download(
    tx: &mut Tx<'_>,
    id: DownloadId,
    link: LinkId,
    expires_at: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO link_download (id, link_id, expires_at) VALUES ($1, $2, $3)",
        args![id, link, expires_at],
    )?;
    Ok(())
}

/// Whether its lease had not ended.
pub(super) fn remove_download(tx: &mut Tx<'_>, id: DownloadId, now_ms: i64) -> Result<bool> {
    let expires_at: Option<i64> = tx.first(
        "DELETE FROM link_download WHERE id = $1 RETURNING expires_at",
        args![id],
        |row| row.get(0),
    )?;
    Ok(expires_at.is_some_and(|at| at > now_ms))
}

pub(super) fn extend_downloads(
    tx: &mut Tx<'_>,
    downloads: &[DownloadId],
    until: i64,
) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = downloads
        .iter()
        .map(|id| vec![Value::from(*id), Value::from(until)])
        .collect();
    tx.execute_many(
        "UPDATE link_download SET expires_at = $2 WHERE id = $1",
        "UPDATE link_download SET expires_at = u.until \
         FROM UNNEST($1::bytea[], $2::bigint[]) AS u (id, until) WHERE link_download.id = u.id",
        &rows,
    )?;
    Ok(())
}

pub(super) fn purge_downloads(tx: &mut Tx<'_>, now_ms: i64) -> Result<()> {
    tx.execute(
        "DELETE FROM link_download WHERE expires_at <= $1",
        args![now_ms],
    )?;
    Ok(())
}

/// Counts completed downloads, and notes when each link was last used.
pub(super) fn count_uses(tx: &mut Tx<'_>, uses: &[(LinkId, u64, i64)]) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = uses
        .iter()
        .map(|(id, downloads, at)| vec![(*id).into(), (*downloads).into(), (*at).into()])
        .collect();
    tx.execute_many(
        "UPDATE share_link SET downloads_done = downloads_done + $2, \
             last_used_at = CASE WHEN COALESCE(last_used_at, 0) < $3 THEN $3 \
                 ELSE last_used_at END WHERE id = $1",
        "UPDATE share_link SET downloads_done = share_link.downloads_done + u.downloads, \
             last_used_at = CASE WHEN COALESCE(share_link.last_used_at, 0) < u.at THEN u.at \
                 ELSE share_link.last_used_at END \
         FROM UNNEST($1::bytea[], $2::bigint[], $3::bigint[]) AS u (id, downloads, at) \
         WHERE share_link.id = u.id",
        &rows,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_engine, plan};

    #[tokio::test]
    async fn a_token_is_looked_up_by_its_digest_and_trees_are_not_scanned() {
        each_engine(async |store, _| {
            for (sql, arguments) in [(BY_TOKEN, 2), (REMOVE_WITHIN, 2)] {
                let steps = plan(store, sql, arguments).await;
                assert!(!steps.contains("SCAN l"), "{steps}");
                assert!(!steps.contains("SCAN e"), "{steps}");
                assert!(!steps.contains("SCAN share_link"), "{steps}");
            }
        })
        .await;
    }
}
