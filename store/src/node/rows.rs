//! SQL of nodes and entries.
//!
//! Joins say `CROSS JOIN` (here, and wherever a statement follows a tree): SQLite then keeps their
//! order. Left to choose, it may begin with a scan of all nodes.

use std::sync::{Arc, OnceLock};

use super::{Body, Entry, FileContent, Kind, Node, Page};
use crate::attributes::Attributes;
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
         n.manifest_id, n.child_number, n.property_count, n.created_ns, n.modified_ns, \
         n.attributes, n.links"
    };
}

pub(crate) use columns;

/// Whether a row of `entry` is the name by which its node goes where only one can be told: the
/// same one each time. Only files have several.
macro_rules! is_first {
    ($entry:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM entry o WHERE o.node_id = ",
            $entry,
            ".node_id AND (o.parent_id, o.name_nfc) < (",
            $entry,
            ".parent_id, ",
            $entry,
            ".name_nfc))"
        )
    };
}

pub(crate) use is_first;

/// As `is_first`, for a row that says by which name it came to its node: by that, while there is it.
macro_rules! is_told {
    ($entry:literal, $of:literal) => {
        concat!(
            "CASE WHEN EXISTS (SELECT 1 FROM entry c WHERE c.parent_id = ",
            $of,
            ".told_parent AND c.name_nfc = ",
            $of,
            ".told_name AND c.node_id = ",
            $entry,
            ".node_id) THEN ",
            $entry,
            ".parent_id = ",
            $of,
            ".told_parent AND ",
            $entry,
            ".name_nfc = ",
            $of,
            ".told_name ELSE ",
            $crate::node::rows::is_first!($entry),
            " END"
        )
    };
}

pub(crate) use is_told;

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
        attributes: row.get(at + 13)?,
        links: row.get(at + 14)?,
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
    let args = walk_args(root, path);
    tx.all(walk_sql(path.depth()), &args, |row| read(row, 0))
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

pub(crate) fn read_held(row: &Row<'_>, body: Body) -> Result<Held> {
    let size_bytes = row.get::<i64>(0)?;
    Ok(match body {
        Body::Empty => Held::Bytes(Vec::new()),
        Body::Blob(digest) if size_bytes < 0 => return Err(Error::Corrupt { digest }),
        Body::Blob(digest) => match row.optional_bytes(1)? {
            Some(bytes) => Held::Bytes(bytes.to_vec()),
            None => Held::Blob(ChunkRef {
                digest,
                len_bytes: size_bytes.unsigned_abs(),
            }),
        },
        Body::Manifest(_) => {
            let size_bytes =
                u64::try_from(size_bytes).map_err(|_| Error::malformed("missing manifest"))?;
            Held::Chunks(reference::rows::unpack(row.bytes(1)?, size_bytes)?)
        }
    })
}

fn walk_args(root: NodeId, path: &Path) -> Vec<Value<'_>> {
    let names = path.names().map(|name| Value::from(name.nfc()));
    std::iter::once(root.into()).chain(names).collect()
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

/// Each of these nodes with itself and each folder above it, above each of its names, in no order.
/// One statement.
pub(crate) fn chains(tx: &mut Tx<'_>, ids: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>> {
    let keys: Vec<Value<'_>> = ids.iter().map(|id| Value::from(*id)).collect();
    tx.all_of(
        "WITH RECURSIVE up (id, node_id) AS ( \
             SELECT $1, $1 \
             UNION ALL \
             SELECT up.id, e.parent_id FROM up CROSS JOIN entry e WHERE e.node_id = up.node_id) \
         SELECT id, node_id FROM up",
        "WITH RECURSIVE up (id, node_id) AS ( \
             SELECT i.id, i.id FROM UNNEST($1::bytea[]) AS i (id) \
             UNION ALL \
             SELECT up.id, e.parent_id FROM up CROSS JOIN entry e WHERE e.node_id = up.node_id) \
         SELECT id, node_id FROM up",
        &keys,
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// The folders above a node, nearest first, each with the name that leads
/// down from it: of a file with several names, above the first. Empty for a root and for what is no
/// longer reachable.
pub(crate) fn ancestors(tx: &mut Tx<'_>, id: NodeId) -> Result<Vec<(NodeId, Name)>> {
    tx.all(
        concat!(
            "WITH RECURSIVE up (level, parent_id, name) AS ( \
                 SELECT 0, e.parent_id, e.name FROM entry e WHERE e.node_id = $1 AND ",
            is_first!("e"),
            " UNION ALL \
                 SELECT up.level + 1, e.parent_id, e.name FROM up \
                     CROSS JOIN entry e WHERE e.node_id = up.parent_id) \
             SELECT parent_id, name FROM up ORDER BY level"
        ),
        args![id],
        |row| Ok((row.get(0)?, Name::new(row.text(1)?)?)),
    )
}

/// The statement of [`walk`] for paths of `depth` names.
fn walk_sql(depth: usize) -> &'static str {
    static TEXTS: Texts = Texts::new();
    TEXTS.get(depth, || walk_text(depth, columns!(), ""))
}

/// The statement of [`walk_to_content`]: with length and bytes of a blob or a manifest.
fn walk_to_content_sql(depth: usize) -> &'static str {
    static TEXTS: Texts = Texts::new();
    TEXTS.get(depth, || {
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
    let steps = steps_sql(depth);
    format!(
        "{steps} SELECT {columns} FROM walk w CROSS JOIN node n{join} WHERE n.id = w.node_id \
         ORDER BY w.level"
    )
}

/// The statement of [`walk_and_list`] for paths of `depth` names.
fn walk_and_list_sql(depth: usize) -> &'static str {
    static TEXTS: Texts = Texts::new();
    TEXTS.get(depth, || {
        let (steps, limit) = (steps_sql(depth), depth + 2);
        format!(
            "{steps} SELECT NULL AS name, NULL AS name_nfc, {columns}, w.level AS level \
             FROM walk w CROSS JOIN node n WHERE n.id = w.node_id \
             UNION ALL SELECT * FROM ( \
                 SELECT e.name, e.name_nfc, {columns}, {depth} + 1 \
                 FROM entry e CROSS JOIN node n WHERE n.id = e.node_id AND e.parent_id = \
                     (SELECT w.node_id FROM walk w WHERE w.level = {depth}) \
                 ORDER BY e.name_nfc LIMIT ${limit}) page \
             ORDER BY level, name_nfc",
            columns = columns!()
        )
    })
}

/// Steps along the names `$2` … from the node `$1`: a table `walk` of levels and nodes.
fn steps_sql(depth: usize) -> String {
    if depth == 0 {
        return "WITH walk (level, node_id) AS (SELECT 0, $1)".to_owned();
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
                     AND e.name_nfc = p.name)",
        parts.join(", ")
    )
}

/// One text of a statement for each depth of a path.
struct Texts([OnceLock<String>; Path::MAX_DEPTH + 1]);

impl Texts {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; Path::MAX_DEPTH + 1])
    }

    fn get(&self, depth: usize, make: impl FnOnce() -> String) -> &str {
        self.0[depth].get_or_init(make)
    }
}

/// The nodes along a path, as [`walk`] finds them, and where all of it is there, the first page
/// of what the last of them holds. One statement.
pub(crate) fn walk_and_list(
    tx: &mut Tx<'_>,
    root: NodeId,
    path: &Path,
    limit: u32,
) -> Result<(Vec<Node>, Page)> {
    let mut args = walk_args(root, path);
    args.push((limit + 1).into());
    let mut chain = Vec::with_capacity(path.depth() + 1);
    let mut page = PageOfRows::new(limit);
    tx.each(walk_and_list_sql(path.depth()), &args, |row| {
        if row.get::<Option<String>>(1)?.is_none() {
            chain.push(read(row, 2)?);
            Ok(())
        } else {
            page.push(row)
        }
    })?;
    Ok((chain, page.end()))
}

/// One page of a folder, in the order of NFC names, starting after `after`.
pub(crate) fn list(tx: &mut Tx<'_>, parent: NodeId, after: &str, limit: u32) -> Result<Page> {
    let mut page = PageOfRows::new(limit);
    tx.each(
        concat!(
            "SELECT e.name, e.name_nfc, ",
            columns!(),
            " FROM entry e CROSS JOIN node n \
             WHERE n.id = e.node_id AND e.parent_id = $1 AND e.name_nfc > $2 ORDER BY e.name_nfc LIMIT $3"
        ),
        args![parent, after, limit + 1],
        |row| page.push(row),
    )?;
    Ok(page.end())
}

/// A page in the making. One row more is asked for than it holds: that there is one tells that
/// there is another page.
struct PageOfRows {
    limit: usize,
    entries: Vec<Entry>,
    last: String,
    is_last: bool,
}

impl PageOfRows {
    fn new(limit: u32) -> Self {
        Self {
            limit: limit as usize,
            entries: Vec::new(),
            last: String::new(),
            is_last: true,
        }
    }

    /// Takes a row of name, NFC name and a node's columns.
    fn push(&mut self, row: &Row<'_>) -> Result<()> {
        if self.entries.len() == self.limit {
            self.is_last = false;
            return Ok(());
        }
        self.last.clear();
        self.last.push_str(row.text(1)?);
        self.entries.push(Entry {
            name: Arc::from(row.text(0)?),
            node: read(row, 2)?,
        });
        Ok(())
    }

    fn end(self) -> Page {
        Page {
            entries: self.entries,
            next: (!self.is_last).then_some(self.last),
        }
    }
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
    /// New attributes; those that are there stay where it has none.
    pub attributes: Option<Attributes>,
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
             manifest_id, child_number, property_count, created_ns, modified_ns, attributes) \
         VALUES ($1, $2, 2, $3, $4, $5, $6, $7, $8, 0, 0, $9, $10, $11)",
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
            file.attributes.as_ref(),
        ],
    )?;
    Ok(())
}

pub(crate) fn replace_content(tx: &mut Tx<'_>, id: NodeId, file: &FileRow) -> Result<()> {
    let (blob, manifest) = body_columns(file.content.body);
    tx.execute(
        "UPDATE node SET size_bytes = $2, tag = $3, sha256 = $4, checksums = $5, \
             blob_digest = $6, manifest_id = $7, modified_ns = $8, \
             attributes = COALESCE($9, attributes) WHERE id = $1",
        args![
            id,
            file.size_bytes,
            file.content.tag,
            file.content.sha256,
            file.content.kept,
            blob,
            manifest,
            file.modified_ns,
            file.attributes.as_ref(),
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

pub(crate) fn set_attributes(
    tx: &mut Tx<'_>,
    id: NodeId,
    attributes: Option<&Attributes>,
) -> Result<()> {
    tx.execute(
        "UPDATE node SET attributes = $2 WHERE id = $1",
        args![id, attributes],
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
        "INSERT INTO entry (parent_id, name_nfc, name, name_folded, node_id) \
         VALUES ($1, $2, $3, $4, $5)",
        args![parent, name.nfc(), name.as_str(), name.folded(), node],
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
            for (sql, count) in [
                (walk_sql(2), 3),
                (walk_to_content_sql(2), 3),
                (walk_and_list_sql(2), 4),
            ] {
                let plan = plan(store, sql, count).await;
                for table in ["e", "n", "b", "m"] {
                    assert!(!plan.contains(&format!("SCAN {table}")), "{plan}");
                }
            }
        })
        .await;
    }
}
