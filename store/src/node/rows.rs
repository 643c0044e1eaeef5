//! SQL of nodes and entries.
//!
//! Joins say `CROSS JOIN` (here, and wherever a statement follows a tree): SQLite then keeps their
//! order. Left to choose, it may begin with a scan of all nodes.

use std::sync::{Arc, OnceLock};

use super::{Body, Entry, FileContent, Kind, Node};
use crate::db::{Row, Tx, Value, args};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::id::{DriveId, NodeId};
use crate::manifest::ChunkRef;
use crate::path::{Name, Path};
use crate::reference;

const FOLDER: i64 = 1;
const FILE: i64 = 2;

/// Columns of `node n`, in the order [`read`] takes them.
macro_rules! columns {
    () => {
        "n.id, n.drive_id, n.kind, n.size_bytes, n.tag, n.sha256, n.checksums, n.blob_digest, \
         n.manifest_id, n.child_number, n.property_count, n.created_ns, n.modified_ns"
    };
}

pub(crate) use columns;

/// Reads a node from columns that start at `at`.
pub(crate) fn read(row: &Row<'_>, at: usize) -> Result<Node> {
    let kind = match row.get::<i64>(at + 2)? {
        FOLDER => Kind::Folder {
            child_number: row.get(at + 9)?,
        },
        FILE => Kind::File(FileContent {
            tag: row.get(at + 4)?,
            sha256: row.get(at + 5)?,
            kept: row.get(at + 6)?,
            body: match (row.get(at + 7)?, row.get(at + 8)?) {
                (Some(digest), None) => Body::Blob(digest),
                (None, Some(manifest)) => Body::Manifest(manifest),
                (None, None) => Body::Empty,
                (Some(_), Some(_)) => return Err(Error::malformed("node with two bodies")),
            },
        }),
        _ => return Err(Error::malformed("node kind")),
    };
    Ok(Node {
        id: row.get(at)?,
        drive: row.get(at + 1)?,
        kind,
        size_bytes: row.get(at + 3)?,
        property_count: row.get(at + 10)?,
        created_ns: row.get(at + 11)?,
        modified_ns: row.get(at + 12)?,
    })
}

pub(crate) fn find(tx: &mut Tx<'_>, id: NodeId) -> Result<Option<Node>> {
    tx.first(
        concat!("SELECT ", columns!(), " FROM node n WHERE n.id = $1"),
        args![id],
        |row| read(row, 0),
    )
}

/// The nodes along a path, the root first; fewer than `path.depth() + 1` when
/// the path ends early. One statement, whatever the depth.
pub(crate) fn walk(tx: &mut Tx<'_>, root: NodeId, path: &Path) -> Result<Vec<Node>> {
    tx.all(walk_sql(path.depth()), &walk_args(root, path), |row| {
        read(row, 0)
    })
}

fn walk_args(root: NodeId, path: &Path) -> Vec<Value<'_>> {
    let mut args: Vec<Value<'_>> = Vec::with_capacity(path.depth() + 1);
    args.push(root.into());
    args.extend(path.names().map(|name| Value::from(name.nfc())));
    args
}

/// As [`walk`], and the content of a file at its end.
///
/// All in one statement: read by another one, content could be that of a version which an
/// overwrite has taken away.
pub(crate) fn walk_to_content(
    tx: &mut Tx<'_>,
    root: NodeId,
    path: &Path,
) -> Result<(Vec<Node>, Option<Held>)> {
    let mut held = None;
    let chain = tx.all(
        walk_to_content_sql(path.depth()),
        &walk_args(root, path),
        |row| {
            let node = read(row, 2)?;
            if let Some(content) = node.content() {
                held = Some(read_held(row, content.body)?);
            }
            Ok(node)
        },
    )?;
    Ok((chain, held))
}

/// What a file holds, as far as the database has it.
pub(crate) enum Held {
    Bytes(Vec<u8>),
    Blob(ChunkRef),
    Chunks(Vec<ChunkRef>),
}

fn read_held(row: &Row<'_>, body: Body) -> Result<Held> {
    let size_bytes = row.get::<i64>(0)?;
    Ok(match body {
        Body::Empty => Held::Bytes(Vec::new()),
        Body::Blob(digest) if size_bytes < 0 => return Err(Error::Corrupt { digest }),
        Body::Blob(digest) => match row.optional_bytes(1)? {
            Some(bytes) => Held::Bytes(bytes.to_vec()),
            None => Held::Blob(ChunkRef {
                digest,
                len_bytes: u32::try_from(size_bytes)
                    .map_err(|_| Error::malformed("blob length"))?,
            }),
        },
        Body::Manifest(_) => {
            let size_bytes =
                u64::try_from(size_bytes).map_err(|_| Error::malformed("missing manifest"))?;
            Held::Chunks(reference::rows::unpack(row.bytes(1)?, size_bytes)?)
        }
    })
}

/// The nodes of these ids, in no order. One statement.
pub(crate) fn find_many(tx: &mut Tx<'_>, ids: &[NodeId]) -> Result<Vec<Node>> {
    let keys: Vec<Value<'_>> = ids.iter().map(|id| Value::from(*id)).collect();
    tx.all_of(
        concat!("SELECT ", columns!(), " FROM node n WHERE n.id = $1"),
        concat!("SELECT ", columns!(), " FROM node n WHERE n.id = ANY($1)"),
        &keys,
        |row| read(row, 0),
    )
}

/// The folders above a node, nearest first, each with the name that leads
/// down from it. Empty for a root and for what is no longer reachable.
pub(crate) fn ancestors(tx: &mut Tx<'_>, id: NodeId) -> Result<Vec<(NodeId, Name)>> {
    tx.all(
        "WITH RECURSIVE up (level, parent_id, name) AS ( \
             SELECT 0, e.parent_id, e.name FROM entry e WHERE e.node_id = $1 \
             UNION ALL \
             SELECT up.level + 1, e.parent_id, e.name FROM up \
                 CROSS JOIN entry e WHERE e.node_id = up.parent_id) \
         SELECT parent_id, name FROM up ORDER BY level",
        args![id],
        |row| Ok((row.get(0)?, Name::new(row.text(1)?)?)),
    )
}

/// The statement for paths of `depth` names.
fn walk_sql(depth: usize) -> &'static str {
    static TEXTS: [OnceLock<String>; Path::MAX_DEPTH + 1] =
        [const { OnceLock::new() }; Path::MAX_DEPTH + 1];
    TEXTS[depth].get_or_init(|| walk_text(depth, columns!(), ""))
}

/// Likewise, with length and bytes of a blob or a manifest.
fn walk_to_content_sql(depth: usize) -> &'static str {
    static TEXTS: [OnceLock<String>; Path::MAX_DEPTH + 1] =
        [const { OnceLock::new() }; Path::MAX_DEPTH + 1];
    TEXTS[depth].get_or_init(|| {
        walk_text(
            depth,
            concat!(
                "COALESCE(b.size_bytes, m.size_bytes, -1), COALESCE(b.data, m.chunks), ",
                columns!()
            ),
            " LEFT JOIN blob b ON b.digest = n.blob_digest \
             LEFT JOIN manifest m ON m.id = n.manifest_id",
        )
    })
}

fn walk_text(depth: usize, columns: &str, join: &str) -> String {
    if depth == 0 {
        return format!("SELECT {columns} FROM node n{join} WHERE n.id = $1");
    }
    let parts: Vec<String> = (1..=depth)
        .map(|level| format!("({level}, ${})", level + 1))
        .collect();
    format!(
        "WITH RECURSIVE part (level, name) AS (VALUES {}), \
         walk (level, node_id) AS ( \
             SELECT 0, $1 \
             UNION ALL \
             SELECT p.level, e.node_id FROM walk w CROSS JOIN part p CROSS JOIN entry e \
                 WHERE p.level = w.level + 1 AND e.parent_id = w.node_id \
                     AND e.name_nfc = p.name) \
         SELECT {columns} FROM walk w CROSS JOIN node n{join} WHERE n.id = w.node_id \
         ORDER BY w.level",
        parts.join(", "),
    )
}

/// One page of a folder, in the order of NFC names, starting after `after`, and
/// where the next page starts.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    parent: NodeId,
    after: &str,
    limit: u32,
) -> Result<(Vec<Entry>, Option<String>)> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut last = String::new();
    let mut is_last_page = true;
    tx.each(
        concat!(
            "SELECT e.name, e.name_nfc, ",
            columns!(),
            " FROM entry e CROSS JOIN node n \
             WHERE n.id = e.node_id AND e.parent_id = $1 AND e.name_nfc > $2 ORDER BY e.name_nfc LIMIT $3"
        ),
        // One more than the page holds tells whether there is another.
        args![parent, after, limit + 1],
        |row| {
            if entries.len() == limit as usize {
                is_last_page = false;
                return Ok(());
            }
            last.clear();
            last.push_str(row.text(1)?);
            entries.push(Entry {
                name: Arc::from(row.text(0)?),
                node: read(row, 2)?,
            });
            Ok(())
        },
    )?;
    Ok((entries, (!is_last_page).then_some(last)))
}

pub(crate) fn insert_folder(
    tx: &mut Tx<'_>,
    id: NodeId,
    drive: DriveId,
    now_ns: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO node (id, drive_id, kind, size_bytes, child_number, property_count, \
             created_ns, modified_ns) VALUES ($1, $2, 1, 0, 0, 0, $3, $3)",
        args![id, drive, now_ns],
    )?;
    Ok(())
}

/// The columns that say what a file holds.
pub(crate) struct FileRow {
    pub size_bytes: u64,
    pub content: FileContent,
    pub modified_ns: i64,
}

/// The two columns that say where a file's content is.
pub(crate) fn body_columns(body: Body) -> (Option<Digest>, Option<crate::id::ManifestId>) {
    match body {
        Body::Empty => (None, None),
        Body::Blob(digest) => (Some(digest), None),
        Body::Manifest(id) => (None, Some(id)),
    }
}

pub(crate) fn insert_file(
    tx: &mut Tx<'_>,
    id: NodeId,
    drive: DriveId,
    file: &FileRow,
    now_ns: i64,
) -> Result<()> {
    let (blob, manifest) = body_columns(file.content.body);
    tx.execute(
        "INSERT INTO node (id, drive_id, kind, size_bytes, tag, sha256, checksums, blob_digest, \
             manifest_id, child_number, property_count, created_ns, modified_ns) \
         VALUES ($1, $2, 2, $3, $4, $5, $6, $7, $8, 0, 0, $9, $10)",
        args![
            id,
            drive,
            file.size_bytes,
            file.content.tag,
            file.content.sha256,
            file.content.kept,
            blob,
            manifest,
            now_ns,
            file.modified_ns,
        ],
    )?;
    Ok(())
}

pub(crate) fn replace_content(tx: &mut Tx<'_>, id: NodeId, file: &FileRow) -> Result<()> {
    let (blob, manifest) = body_columns(file.content.body);
    tx.execute(
        "UPDATE node SET size_bytes = $2, tag = $3, sha256 = $4, checksums = $5, \
             blob_digest = $6, manifest_id = $7, modified_ns = $8 WHERE id = $1",
        args![
            id,
            file.size_bytes,
            file.content.tag,
            file.content.sha256,
            file.content.kept,
            blob,
            manifest,
            file.modified_ns,
        ],
    )?;
    Ok(())
}

pub(crate) fn set_times(
    tx: &mut Tx<'_>,
    id: NodeId,
    created_ns: i64,
    modified_ns: i64,
) -> Result<()> {
    tx.execute(
        "UPDATE node SET created_ns = $2, modified_ns = $3 WHERE id = $1",
        args![id, created_ns, modified_ns],
    )?;
    Ok(())
}

pub(crate) fn set_property_count(tx: &mut Tx<'_>, id: NodeId, count: u64) -> Result<()> {
    tx.execute(
        "UPDATE node SET property_count = $2 WHERE id = $1",
        args![id, count],
    )?;
    Ok(())
}

/// A member came or went: the folder's validator and time move on.
pub(crate) fn membership_changed(tx: &mut Tx<'_>, folder: NodeId, now_ns: i64) -> Result<()> {
    tx.execute(
        "UPDATE node SET child_number = child_number + 1, modified_ns = $2 WHERE id = $1",
        args![folder, now_ns],
    )?;
    Ok(())
}

pub(crate) fn insert_entry(
    tx: &mut Tx<'_>,
    parent: NodeId,
    name: &Name,
    node: NodeId,
) -> Result<()> {
    tx.execute(
        "INSERT INTO entry (parent_id, name_nfc, name, node_id) VALUES ($1, $2, $3, $4)",
        args![parent, name.nfc(), name.as_str(), node],
    )?;
    Ok(())
}

/// The same place under another spelling of its name.
pub(crate) fn respell_entry(tx: &mut Tx<'_>, parent: NodeId, name: &Name) -> Result<()> {
    tx.execute(
        "UPDATE entry SET name = $3 WHERE parent_id = $1 AND name_nfc = $2",
        args![parent, name.nfc(), name.as_str()],
    )?;
    Ok(())
}

pub(crate) fn remove(tx: &mut Tx<'_>, id: NodeId) -> Result<()> {
    tx.execute("DELETE FROM node WHERE id = $1", args![id])?;
    Ok(())
}

pub(crate) fn remove_entry(tx: &mut Tx<'_>, parent: NodeId, name: &Name) -> Result<()> {
    tx.execute(
        "DELETE FROM entry WHERE parent_id = $1 AND name_nfc = $2",
        args![parent, name.nfc()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_engine, plan};

    #[tokio::test]
    async fn statistics_do_not_lead_a_walk_astray() {
        each_engine(async |store, _| {
            if !store.db().is_exclusive() {
                return; // Plans are told, and chosen, in another way there.
            }
            let fill = "INSERT INTO node (id, drive_id, kind, size_bytes, child_number, \
                 property_count, created_ns, modified_ns) \
                 WITH RECURSIVE i (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM i WHERE x < 5000) \
                 SELECT CAST(x AS BLOB), x'00', 1, 0, 0, 0, 0, 0 FROM i";
            let link = "INSERT INTO entry (parent_id, name_nfc, name, node_id) \
                 SELECT CAST(0 AS BLOB), CAST(id AS TEXT), '', id FROM node WHERE drive_id = x'00'";
            let gather = move |tx: &mut Tx<'_>| {
                tx.execute(fill, args![])?;
                tx.execute(link, args![])?;
                tx.execute("ANALYZE", args![])
            };
            store.db().write(gather).await.unwrap();
            for sql in [walk_sql(2), walk_to_content_sql(2)] {
                let plan = plan(store, sql, 3).await;
                assert!(
                    !plan.contains("SCAN e") && !plan.contains("SCAN n"),
                    "{plan}"
                );
                assert!(
                    !plan.contains("SCAN b") && !plan.contains("SCAN m"),
                    "{plan}"
                );
            }
        })
        .await;
    }
}
