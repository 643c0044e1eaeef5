//! SQL of whole trees.

use std::collections::HashMap;

use crate::db::{Tx, Value, args};
use crate::drive::Drive;
use crate::error::Result;
use crate::id::{DriveId, NodeId};
use crate::node::rows::{body_columns, columns, read};
use crate::node::{Kind, Node};
use crate::property;

/// The ids of everything below a folder.
macro_rules! tree {
    () => {
        "WITH RECURSIVE tree (node_id) AS ( \
             SELECT e.node_id FROM entry e WHERE e.parent_id = $1 \
             UNION ALL \
             SELECT e.node_id FROM tree t CROSS JOIN entry e WHERE e.parent_id = t.node_id) "
    };
}

/// A member of a tree that is copied.
pub(crate) struct Member {
    pub parent: NodeId,
    pub name_nfc: String,
    pub name: String,
    pub name_folded: Option<String>,
    pub node: Node,
}

/// Everything below a folder, in no order. One statement.
pub(crate) fn members(tx: &mut Tx<'_>, root: NodeId) -> Result<Vec<Member>> {
    tx.all(
        concat!(
            "WITH RECURSIVE tree (parent_id, name_nfc, name, name_folded, node_id) AS ( \
                 SELECT e.parent_id, e.name_nfc, e.name, e.name_folded, e.node_id FROM entry e \
                     WHERE e.parent_id = $1 \
                 UNION ALL \
                 SELECT e.parent_id, e.name_nfc, e.name, e.name_folded, e.node_id \
                     FROM tree t CROSS JOIN entry e WHERE e.parent_id = t.node_id) \
             SELECT t.parent_id, t.name_nfc, t.name, t.name_folded, ",
            columns!(),
            " FROM tree t CROSS JOIN node n WHERE n.id = t.node_id"
        ),
        args![root],
        |row| {
            Ok(Member {
                parent: row.get(0)?,
                name_nfc: row.get(1)?,
                name: row.get(2)?,
                name_folded: row.get(3)?,
                node: read(row, 4)?,
            })
        },
    )
}

/// The nodes below a folder, each once.
macro_rules! nodes {
    () => {
        concat!(
            tree!(),
            ", nodes (node_id) AS (SELECT DISTINCT t.node_id FROM tree t) "
        )
    };
}

/// What a tree counts for, its root included: names, and what has them once however many it has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub size_bytes: u64,
    pub files: u64,
    /// Names: files and folders, and further names of files.
    pub nodes: u64,
    pub property_bytes: u64,
}

/// What a node and everything below it counts for. Properties are looked for only where the
/// drive has some.
pub(crate) fn totals(tx: &mut Tx<'_>, drive: &Drive, root: &Node) -> Result<Totals> {
    survey(tx, drive, root).map(|(totals, _)| totals)
}

/// As [`totals`], and whether anything below has several names, there or elsewhere.
pub(crate) fn survey(tx: &mut Tx<'_>, drive: &Drive, root: &Node) -> Result<(Totals, bool)> {
    let mut totals = of_one(tx, root)?;
    if !root.is_folder() {
        return Ok((totals, false));
    }
    let mut sums = sums(tx, SUMS, root.id)?;
    totals.nodes += sums.rows;
    let has_links = sums.most_links > 1;
    if has_links {
        sums = self::sums(tx, SUMS_OF_NODES, root.id)?;
    }
    totals.size_bytes += sums.size_bytes;
    totals.files += sums.files;
    totals.property_bytes += sums.attributes_bytes;
    if drive.property_bytes > totals.property_bytes {
        let sql = if has_links {
            PROPERTIES_OF_NODES
        } else {
            PROPERTIES
        };
        let dead_bytes = tx.first(sql, args![root.id], |row| row.get::<u64>(0))?;
        totals.property_bytes += dead_bytes.unwrap_or(0);
    }
    Ok((totals, has_links))
}

/// Sums over what is below a folder.
#[derive(Default)]
struct Sums {
    size_bytes: u64,
    files: u64,
    rows: u64,
    attributes_bytes: u64,
    most_links: u64,
}

macro_rules! sums {
    ($with:expr, $from:literal) => {
        concat!(
            $with,
            "SELECT CAST(COALESCE(SUM(n.size_bytes), 0) AS BIGINT), \
                 CAST(COALESCE(SUM(CASE WHEN n.kind = 2 THEN 1 ELSE 0 END), 0) AS BIGINT), \
                 COUNT(*), \
                 CAST(COALESCE(SUM(OCTET_LENGTH(n.attributes)), 0) AS BIGINT), \
                 COALESCE(MAX(n.links), 1) \
             FROM ",
            $from,
            " t CROSS JOIN node n WHERE n.id = t.node_id"
        )
    };
}

macro_rules! properties {
    ($with:expr, $from:literal) => {
        concat!(
            $with,
            "SELECT CAST(COALESCE(SUM(OCTET_LENGTH(p.value)), 0) AS BIGINT) \
             FROM ",
            $from,
            " t CROSS JOIN property p WHERE p.node_id = t.node_id"
        )
    };
}

const SUMS: &str = sums!(tree!(), "tree");
const SUMS_OF_NODES: &str = sums!(nodes!(), "nodes");
const PROPERTIES: &str = properties!(tree!(), "tree");
const PROPERTIES_OF_NODES: &str = properties!(nodes!(), "nodes");

fn sums(tx: &mut Tx<'_>, sql: &'static str, root: NodeId) -> Result<Sums> {
    let sums = tx.first(sql, args![root], |row| {
        Ok(Sums {
            size_bytes: row.get(0)?,
            files: row.get(1)?,
            rows: row.get(2)?,
            attributes_bytes: row.get(3)?,
            most_links: row.get(4)?,
        })
    })?;
    Ok(sums.unwrap_or_default())
}

/// What a node counts for without what is below it.
pub(crate) fn of_one(tx: &mut Tx<'_>, node: &Node) -> Result<Totals> {
    let property_bytes = if node.property_count > 0 {
        property::rows::totals(tx, node.id)?.1
    } else {
        0
    };
    Ok(Totals {
        size_bytes: node.size_bytes,
        files: u64::from(!node.is_folder()),
        nodes: 1,
        property_bytes: property_bytes + node.attributes_bytes(),
    })
}

/// How deep a tree goes below its root, and how many bytes its longest path adds.
pub(crate) fn extent(tx: &mut Tx<'_>, root: NodeId) -> Result<(u64, u64)> {
    let extent = tx.first(
        "WITH RECURSIVE tree (level, bytes, node_id) AS ( \
             SELECT 1, 1 + OCTET_LENGTH(e.name_nfc), e.node_id FROM entry e WHERE e.parent_id = $1 \
             UNION ALL \
             SELECT t.level + 1, t.bytes + 1 + OCTET_LENGTH(e.name_nfc), e.node_id \
                 FROM tree t CROSS JOIN entry e WHERE e.parent_id = t.node_id) \
         SELECT CAST(COALESCE(MAX(level), 0) AS BIGINT), CAST(COALESCE(MAX(bytes), 0) AS BIGINT) \
         FROM tree",
        args![root],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(extent.unwrap_or_default())
}

/// Leaves a tree, for which nothing is charged any more, to the purge.
pub(crate) fn insert_trash(
    tx: &mut Tx<'_>,
    node: NodeId,
    drive: DriveId,
    now_ms: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO trash (node_id, drive_id, path, size_bytes, file_count, node_count, \
             property_bytes, deleted_at, is_kept) VALUES ($1, $2, '', 0, 0, 0, 0, $3, 0)",
        args![node, drive, now_ms],
    )?;
    Ok(())
}

/// Inserts a copy of each node under its new id.
pub(crate) fn insert_copies(
    tx: &mut Tx<'_>,
    drive: DriveId,
    originals: &[Node],
    copies: &HashMap<NodeId, NodeId>,
    now_ns: i64,
) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = originals
        .iter()
        .map(|node| {
            let (kind, content) = match &node.kind {
                Kind::Folder { .. } => (1i64, None),
                Kind::File(content) => (2, Some(content)),
            };
            let (blob, manifest) = content.map_or((None, None), |c| body_columns(c.body));
            vec![
                copies[&node.id].into(),
                drive.into(),
                kind.into(),
                node.size_bytes.into(),
                content.map(|c| c.tag).into(),
                content.and_then(|c| c.sha256).into(),
                content.and_then(|c| c.kept).into(),
                blob.into(),
                manifest.into(),
                node.property_count.into(),
                now_ns.into(),
                node.modified_ns.into(),
                node.attributes.as_ref().into(),
                node.links.into(),
            ]
        })
        .collect();
    tx.execute_many(
        "INSERT INTO node (id, drive_id, kind, size_bytes, tag, sha256, checksums, blob_digest, \
             manifest_id, child_number, property_count, created_ns, modified_ns, attributes, links) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13, $14)",
        "INSERT INTO node (id, drive_id, kind, size_bytes, tag, sha256, checksums, blob_digest, \
             manifest_id, child_number, property_count, created_ns, modified_ns, attributes, links) \
         SELECT c.id, c.drive, c.kind, c.size, c.tag, c.sha256, c.checksums, c.blob, \
                c.manifest, 0, c.properties, c.created, c.modified, c.attributes, c.links \
         FROM UNNEST($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[], \
             $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bigint[], $11::bigint[], \
             $12::bigint[], $13::text[], $14::bigint[]) \
             AS c (id, drive, kind, size, tag, sha256, checksums, blob, manifest, properties, \
                 created, modified, attributes, links)",
        &rows,
    )?;
    Ok(())
}

/// Gives the copies the names of their originals.
pub(crate) fn insert_entries(
    tx: &mut Tx<'_>,
    members: &[Member],
    copies: &HashMap<NodeId, NodeId>,
) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = members
        .iter()
        .map(|member| {
            vec![
                copies[&member.parent].into(),
                member.name_nfc.as_str().into(),
                member.name.as_str().into(),
                member.name_folded.as_deref().into(),
                copies[&member.node.id].into(),
            ]
        })
        .collect();
    tx.execute_many(
        "INSERT INTO entry (parent_id, name_nfc, name, name_folded, node_id) \
         VALUES ($1, $2, $3, $4, $5)",
        "INSERT INTO entry (parent_id, name_nfc, name, name_folded, node_id) \
         SELECT c.parent, c.nfc, c.name, c.folded, c.node \
         FROM UNNEST($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bytea[]) \
             AS c (parent, nfc, name, folded, node)",
        &rows,
    )?;
    Ok(())
}
