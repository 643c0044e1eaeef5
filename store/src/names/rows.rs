//! SQL of files with several names.

use crate::db::{Tx, args};
use crate::error::{Error, Result};
use crate::id::{DriveId, NodeId, UserId};
use crate::path::Name;

/// A name, in a tree, of a file that has several.
pub(super) struct Within {
    pub parent: NodeId,
    name_nfc: String,
    pub node: NodeId,
    /// How many names it has altogether.
    pub links: u64,
}

/// The names below a folder of files that have several, in no order.
pub(super) fn within(tx: &mut Tx<'_>, root: NodeId) -> Result<Vec<Within>> {
    tx.all(
        "WITH RECURSIVE tree (parent_id, name_nfc, node_id) AS ( \
             SELECT e.parent_id, e.name_nfc, e.node_id FROM entry e WHERE e.parent_id = $1 \
             UNION ALL \
             SELECT e.parent_id, e.name_nfc, e.node_id \
                 FROM tree t CROSS JOIN entry e WHERE e.parent_id = t.node_id) \
         SELECT t.parent_id, t.name_nfc, t.node_id, n.links \
         FROM tree t CROSS JOIN node n WHERE n.id = t.node_id AND n.links > 1",
        args![root],
        |row| {
            Ok(Within {
                parent: row.get(0)?,
                name_nfc: row.get(1)?,
                node: row.get(2)?,
                links: row.get(3)?,
            })
        },
    )
}

pub(super) fn remove_entry(tx: &mut Tx<'_>, name: &Within) -> Result<()> {
    tx.execute(
        "DELETE FROM entry WHERE parent_id = $1 AND name_nfc = $2",
        args![name.parent, &name.name_nfc],
    )?;
    Ok(())
}

/// The NFC paths of a node from the drive's root.
pub(super) fn keys(tx: &mut Tx<'_>, root: NodeId, node: NodeId) -> Result<Vec<String>> {
    tx.all(
        "WITH RECURSIVE up (parent_id, path) AS ( \
             SELECT e.parent_id, '/' || e.name_nfc FROM entry e WHERE e.node_id = $1 \
             UNION ALL \
             SELECT e.parent_id, '/' || e.name_nfc || up.path \
                 FROM up CROSS JOIN entry e WHERE e.node_id = up.parent_id) \
         SELECT path FROM up WHERE parent_id = $2",
        args![node, root],
        |row| row.get(0),
    )
}

/// What is shared of a drive, by grants on it.
pub(super) fn shared(tx: &mut Tx<'_>, drive: DriveId) -> Result<Vec<NodeId>> {
    tx.all(
        "SELECT DISTINCT node_id FROM access_grant WHERE drive_id = $1",
        args![drive],
        |row| row.get(0),
    )
}

pub(super) fn owner(tx: &mut Tx<'_>, drive: DriveId) -> Result<UserId> {
    let owner = tx.first(
        "SELECT owner_id FROM drive WHERE id = $1",
        args![drive],
        |row| row.get(0),
    )?;
    owner.ok_or(Error::NotFound)
}

/// Counts one more name of a file; how many it has then.
pub(super) fn add(tx: &mut Tx<'_>, node: NodeId) -> Result<u64> {
    let links = tx.first(
        "UPDATE node SET links = links + 1 WHERE id = $1 RETURNING links",
        args![node],
        |row| row.get(0),
    )?;
    links.ok_or(Error::NotFound)
}

/// Has links and offers of a file tell the one name that it has, also when it gets others.
pub(super) fn tell_name(tx: &mut Tx<'_>, node: NodeId) -> Result<()> {
    for sql in [
        "UPDATE share_link \
         SET told_parent = (SELECT e.parent_id FROM entry e WHERE e.node_id = $1), \
             told_name = (SELECT e.name_nfc FROM entry e WHERE e.node_id = $1) \
         WHERE node_id = $1",
        "UPDATE transfer \
         SET told_parent = (SELECT e.parent_id FROM entry e WHERE e.node_id = $1), \
             told_name = (SELECT e.name_nfc FROM entry e WHERE e.node_id = $1) \
         WHERE node_id = $1",
    ] {
        tx.execute(sql, args![node])?;
    }
    Ok(())
}

/// Has links and offers of a file follow a name that moves.
pub(crate) fn told_moved(
    tx: &mut Tx<'_>,
    node: NodeId,
    (old_parent, old_name): (NodeId, &Name),
    (parent, name): (NodeId, &Name),
) -> Result<()> {
    for sql in [
        "UPDATE share_link SET told_parent = $4, told_name = $5 \
         WHERE node_id = $1 AND told_parent = $2 AND told_name = $3",
        "UPDATE transfer SET told_parent = $4, told_name = $5 \
         WHERE node_id = $1 AND told_parent = $2 AND told_name = $3",
    ] {
        tx.execute(
            sql,
            args![node, old_parent, old_name.nfc(), parent, name.nfc()],
        )?;
    }
    Ok(())
}

/// Counts names of a file that went, of which it has more.
pub(super) fn remove(tx: &mut Tx<'_>, node: NodeId, count: u64) -> Result<()> {
    tx.execute(
        "UPDATE node SET links = links - $2 WHERE id = $1",
        args![node, count],
    )?;
    Ok(())
}

/// Counts a name of a file that goes, if it has others; whether it has.
pub(crate) fn remove_unless_last(tx: &mut Tx<'_>, node: NodeId) -> Result<bool> {
    // Another daemon may be at the file's other name.
    let counted = tx.execute(
        "UPDATE node SET links = links - 1 WHERE id = $1 AND links > 1",
        args![node],
    )?;
    Ok(counted > 0)
}
