//! Rows that are of something that is not there, and rows of the search that are of nothing.

use crate::db::{Row, Tx, args};
use crate::error::Result;
use crate::id::{DriveId, NodeId};

/// Sentences about rows whose other half is missing.
pub(super) fn find(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    links(tx, faults)?;
    contents(tx, faults)?;
    reservations(tx, faults)?;
    bodies(tx, faults)?;
    searches(tx, faults)
}

/// Links lead to something in their drive.
fn links(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "SELECT l.id, l.node_id FROM share_link l \
             LEFT JOIN node n ON n.id = l.node_id AND n.drive_id = l.drive_id \
         WHERE n.id IS NULL",
        args![],
        |row| {
            let (id, node) = pair(row)?;
            faults.push(format!(
                "link {id} leads to node {node}, which the drive does not have"
            ));
            Ok(())
        },
    )
}

/// Contents that are not given up are an asset's, and some drive is charged for them.
fn contents(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "SELECT c.id, c.drive_id, CASE WHEN a.number IS NULL THEN 1 ELSE 0 END \
         FROM asset_content c LEFT JOIN asset a ON a.number = c.number \
             LEFT JOIN drive d ON d.id = c.drive_id \
         WHERE c.number IS NOT NULL AND (a.number IS NULL OR d.id IS NULL)",
        args![],
        |row| {
            let (id, drive) = pair(row)?;
            faults.push(if row.get(2)? {
                format!("asset content {id} is of an asset that is missing")
            } else {
                format!("asset content {id} is charged to drive {drive}, which is missing")
            });
            Ok(())
        },
    )
}

/// What is reserved without an end is an upload's.
fn reservations(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "SELECT r.id, r.size_bytes, r.drive_id FROM reservation r \
         LEFT JOIN upload u ON u.reservation_id = r.id \
         WHERE r.expires_at IS NULL AND u.id IS NULL",
        args![],
        |row| {
            let id: NodeId = row.get(0)?;
            let (size_bytes, drive): (u64, DriveId) = (row.get(1)?, row.get(2)?);
            faults.push(format!(
                "reservation {id} of {size_bytes} bytes in drive {drive} is of no upload"
            ));
            Ok(())
        },
    )
}

/// A content is in one blob or in a manifest.
fn bodies(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "SELECT r.what, r.id FROM ( \
             SELECT 'node' AS what, id FROM node \
                 WHERE blob_digest IS NOT NULL AND manifest_id IS NOT NULL \
             UNION ALL SELECT 'version', id FROM version \
                 WHERE blob_digest IS NOT NULL AND manifest_id IS NOT NULL \
             UNION ALL SELECT 'asset content', id FROM asset_content \
                 WHERE blob_digest IS NOT NULL AND manifest_id IS NOT NULL) r",
        args![],
        |row| {
            let (what, id): (&str, NodeId) = (row.text(0)?, row.get(1)?);
            faults.push(format!("{what} {id} has both a blob and a manifest"));
            Ok(())
        },
    )
}

/// Posted assets are found by their words, and no others.
fn searches(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    let sql = "SELECT a.number, CASE WHEN a.posted_at IS NULL THEN 1 ELSE 0 END FROM asset a \
             LEFT JOIN asset_index w ON w.rowid = a.number \
         WHERE (a.posted_at IS NULL) <> (w.rowid IS NULL) \
         UNION ALL SELECT w.rowid, 1 FROM asset_index w \
             LEFT JOIN asset a ON a.number = w.rowid WHERE a.number IS NULL";
    tx.each(sql, args![], |row| {
        let number: i64 = row.get(0)?;
        faults.push(if row.get(1)? {
            format!("the search finds asset number {number}, which is not posted")
        } else {
            format!("the search does not find asset number {number}, which is posted")
        });
        Ok(())
    })
}

/// Ids of two rows, of whatever kind.
fn pair(row: &Row<'_>) -> Result<(NodeId, NodeId)> {
    Ok((row.get(0)?, row.get(1)?))
}

#[cfg(test)]
mod tests {
    use crate::db::{Tx, args};
    use crate::testing::each_engine;
    use crate::tests::{put, user};

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_of_nothing_are_found() {
        each_engine(async |store, _| {
            let alice = user(store, "alice", 1 << 30).await;
            put(store, &alice, "/a", &vec![7; 100_000]).await.unwrap();
            assert_eq!(
                store.check_references().await.unwrap(),
                Vec::<String>::new()
            );
            let drive = alice.drive;
            let damage = move |tx: &mut Tx<'_>| {
                let [id, gone] = [vec![1_u8; 16], vec![2_u8; 16]];
                tx.execute(
                    "INSERT INTO share_link (id, drive_id, node_id, token_digest, kind, label, \
                         downloads_done, created_by, created_at) \
                     VALUES ($1, $2, $3, $3, 'read', '', 0, $3, 0)",
                    args![id.clone(), drive, gone.clone()],
                )?;
                for (content, number, of) in [(1_u8, Some(1_i64), gone.clone()), (2, None, gone)] {
                    tx.execute(
                        "INSERT INTO asset_content (id, number, drive_id, role, name, size_bytes, \
                             sha256) VALUES ($1, $2, $3, 1, 'a', 0, $3)",
                        args![vec![content; 16], number, of],
                    )?;
                }
                tx.execute(
                    "INSERT INTO reservation (id, drive_id, size_bytes, expires_at) \
                     VALUES ($1, $2, 0, NULL)",
                    args![id, drive],
                )?;
                tx.execute(
                    "UPDATE node SET manifest_id = id WHERE blob_digest IS NOT NULL",
                    args![],
                )?;
                tx.execute(
                    "INSERT INTO asset (id, version, name, name_sort, kind, size_bytes, \
                         downloads, created_at, posted_at, is_listed, engine_low, engine_high) \
                     VALUES ($1, 1, 'a', 'a', 2, 0, 0, 0, 0, 0, 0, 1)",
                    args![vec![3_u8; 16]],
                )?;
                Ok(())
            };
            store.db().write(damage).await.unwrap();
            let faults = store.check_references().await.unwrap();
            for part in [
                "link 01010101-0101-0101-0101-010101010101 leads to node",
                "is of no upload",
                "has both a blob and a manifest",
                "the search does not find asset number 1, which is posted",
                "is charged to drive 02020202-0202-0202-0202-020202020202, which is missing",
            ] {
                let named = faults.iter().filter(|fault| fault.contains(part));
                assert_eq!(named.count(), 1, "{part}: {faults:?}");
            }
        })
        .await;
    }
}
