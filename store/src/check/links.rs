//! Files with several names: how many, and where.

use crate::db::{Tx, args};
use crate::error::Result;
use crate::id::NodeId;

/// Sentences about counts of names that are not those there are, and names that lie apart.
pub(super) fn find(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    counts(tx, faults)?;
    strangers(tx, faults)?;
    parted(tx, faults)
}

/// Only files have several names, and as many as they count; what has none counts as one.
fn counts(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "SELECT n.id, n.links, COALESCE(c.names, 1), n.kind FROM node n LEFT JOIN ( \
             SELECT node_id, COUNT(*) AS names FROM entry GROUP BY node_id HAVING COUNT(*) > 1) c \
             ON c.node_id = n.id \
         WHERE n.links <> COALESCE(c.names, 1) OR (n.kind = 1 AND n.links <> 1)",
        args![],
        |row| {
            let (id, counted, names): (NodeId, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            faults.push(if counted == names {
                format!("folder {id} has {names} names")
            } else {
                format!("node {id} counts {counted} names, {names} are there")
            });
            Ok(())
        },
    )
}

/// A name lies in the drive of what it names.
fn strangers(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "SELECT e.parent_id, e.name FROM entry e JOIN node p ON p.id = e.parent_id \
             JOIN node n ON n.id = e.node_id WHERE p.drive_id <> n.drive_id",
        args![],
        |row| {
            let (parent, name): (NodeId, &str) = (row.get(0)?, row.text(1)?);
            faults.push(format!(
                "entry {name:?} of folder {parent} names what is in another drive"
            ));
            Ok(())
        },
    )
}

/// All names of a file lie in one tree: a drive, or one tree of the trash. What is being purged may
/// be in pieces.
fn parted(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "WITH RECURSIVE up (id, node_id) AS ( \
             SELECT n.id, n.id FROM node n WHERE n.links > 1 \
             UNION \
             SELECT up.id, e.parent_id FROM up JOIN entry e ON e.node_id = up.node_id), \
         tops (id, is_kept) AS ( \
             SELECT up.id, CASE WHEN EXISTS (SELECT 1 FROM drive d WHERE d.root_id = up.node_id) \
                     OR EXISTS (SELECT 1 FROM trash t \
                         WHERE t.node_id = up.node_id AND t.is_kept = 1) THEN 1 ELSE 0 END \
             FROM up WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.node_id = up.node_id)) \
         SELECT id FROM tops GROUP BY id HAVING COUNT(*) > 1 AND SUM(is_kept) > 0",
        args![],
        |row| {
            let id: NodeId = row.get(0)?;
            faults.push(format!("file {id} has names in trees that are apart"));
            Ok(())
        },
    )
}

#[cfg(test)]
mod tests {
    use crate::db::{Tx, args};
    use crate::testing::each_engine;
    use crate::tests::{put, user};

    #[tokio::test(flavor = "multi_thread")]
    async fn names_that_are_not_there_are_found() {
        each_engine(async |store, _| {
            let alice = user(store, "alice", 1 << 30).await;
            put(store, &alice, "/a", b"1").await.unwrap();
            let damage =
                |tx: &mut Tx<'_>| tx.execute("UPDATE node SET links = 2 WHERE kind = 2", args![]);
            store.db().write(damage).await.unwrap();
            let faults = store.check_references().await.unwrap();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(
                faults[0].ends_with("counts 2 names, 1 are there"),
                "{faults:?}"
            );
        })
        .await;
    }
}
