//! SQL of `check`.

use std::collections::{BTreeMap, BTreeSet};

use super::{links, strays};
use crate::db::{Tx, Value, args};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::id::{DriveId, ManifestId, NodeId, VersionId};
use crate::manifest::{self, ChunkRef};

/// Blobs that are kept outside the database and referred to, a page at a time. What is published is
/// in a file also where its row has the bytes.
pub(crate) fn stored_blobs(tx: &mut Tx<'_>, after: &[u8]) -> Result<Vec<ChunkRef>> {
    tx.all(
        "SELECT b.digest, b.size_bytes FROM blob b WHERE b.reference_count > 0 AND b.digest > $1 \
         AND (b.data IS NULL OR EXISTS (SELECT 1 FROM publication p WHERE p.digest = b.digest)) \
         ORDER BY b.digest LIMIT 1000",
        args![after],
        |row| {
            let len_bytes = row.get(1)?;
            Ok(ChunkRef {
                digest: row.get(0)?,
                len_bytes,
            })
        },
    )
}

/// Those of the digests that have a row.
pub(crate) fn known_blobs(tx: &mut Tx<'_>, digests: &[Digest]) -> Result<BTreeSet<Digest>> {
    let keys: Vec<Value<'_>> = digests.iter().map(|digest| Value::from(*digest)).collect();
    let known = tx.all_of(
        "SELECT digest FROM blob WHERE digest = $1",
        "SELECT digest FROM blob WHERE digest = ANY($1)",
        &keys,
        |row| row.get(0),
    )?;
    Ok(known.into_iter().collect())
}

/// Sentences about every row that refers to none, and every count that is not the sum it should be.
pub(crate) fn wrong_references(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    entries(tx, &mut faults)?;
    links::find(tx, &mut faults)?;
    manifests(tx, &mut faults)?;
    blobs(tx, &mut faults)?;
    drives(tx, &mut faults)?;
    trash(tx, &mut faults)?;
    versions(tx, &mut faults)?;
    shares(tx, &mut faults)?;
    capacity(tx, &mut faults)?;
    strays::find(tx, &mut faults)?;
    Ok(faults)
}

fn entries(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "SELECT e.parent_id, e.name, e.node_id, CASE WHEN p.id IS NULL THEN 1 ELSE 0 END \
         FROM entry e LEFT JOIN node p ON p.id = e.parent_id LEFT JOIN node n ON n.id = e.node_id \
         WHERE p.id IS NULL OR n.id IS NULL",
        args![],
        |row| {
            let (parent, name, node): (NodeId, &str, NodeId) =
                (row.get(0)?, row.text(1)?, row.get(2)?);
            faults.push(if row.get(3)? {
                format!("entry {name:?} is in folder {parent}, which is missing")
            } else {
                format!("entry {name:?} of folder {parent} names node {node}, which is missing")
            });
            Ok(())
        },
    )
}

/// Every manifest, its count, and how many nodes and versions are there.
const MANIFESTS: &str = "SELECT m.id, m.reference_count, \
         COALESCE(c.nodes, 0) + COALESCE(v.versions, 0) + COALESCE(x.contents, 0) \
     FROM manifest m LEFT JOIN ( \
         SELECT manifest_id, COUNT(*) AS nodes FROM node WHERE manifest_id IS NOT NULL \
         GROUP BY manifest_id) c ON c.manifest_id = m.id \
     LEFT JOIN ( \
         SELECT manifest_id, COUNT(*) AS versions FROM version WHERE manifest_id IS NOT NULL \
         GROUP BY manifest_id) v ON v.manifest_id = m.id \
     LEFT JOIN ( \
         SELECT manifest_id, COUNT(*) AS contents FROM asset_content \
         WHERE manifest_id IS NOT NULL \
         GROUP BY manifest_id) x ON x.manifest_id = m.id";

fn manifests(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    let wrong = tx.all(MANIFESTS, args![], |row| {
        Ok((
            row.get::<ManifestId>(0)?,
            row.get::<i64>(1)?,
            row.get::<i64>(2)?,
        ))
    })?;
    for (id, count, nodes) in wrong.into_iter().filter(|(_, count, nodes)| count != nodes) {
        faults.push(format!(
            "manifest {id} counts {count} references, {nodes} files, versions and contents of assets refer to it"
        ));
    }
    tx.each(
        "SELECT r.what, r.id FROM ( \
             SELECT 'node' AS what, id, manifest_id FROM node \
             UNION ALL SELECT 'version', id, manifest_id FROM version \
             UNION ALL SELECT 'asset content', id, manifest_id FROM asset_content) r \
         LEFT JOIN manifest m ON m.id = r.manifest_id \
         WHERE r.manifest_id IS NOT NULL AND m.id IS NULL",
        args![],
        |row| {
            let (what, id): (&str, NodeId) = (row.text(0)?, row.get(1)?);
            faults.push(format!("{what} {id} has a manifest that is missing"));
            Ok(())
        },
    )
}

fn blobs(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    let mut counted: BTreeMap<Digest, i64> = BTreeMap::new();
    tx.each(
        "SELECT blob_digest, COUNT(*) FROM node WHERE blob_digest IS NOT NULL GROUP BY blob_digest",
        args![],
        |row| {
            *counted.entry(row.get(0)?).or_default() += row.get::<i64>(1)?;
            Ok(())
        },
    )?;
    tx.each(
        "SELECT blob_digest, COUNT(*) FROM asset_content WHERE blob_digest IS NOT NULL \
         GROUP BY blob_digest",
        args![],
        |row| {
            *counted.entry(row.get(0)?).or_default() += row.get::<i64>(1)?;
            Ok(())
        },
    )?;
    tx.each(
        "SELECT blob_digest, COUNT(*) FROM version WHERE blob_digest IS NOT NULL \
         GROUP BY blob_digest",
        args![],
        |row| {
            *counted.entry(row.get(0)?).or_default() += row.get::<i64>(1)?;
            Ok(())
        },
    )?;
    tx.each(
        "SELECT digest, COUNT(*) FROM publication GROUP BY digest",
        args![],
        |row| {
            *counted.entry(row.get(0)?).or_default() += row.get::<i64>(1)?;
            Ok(())
        },
    )?;
    tx.each(
        "SELECT digest, COUNT(*) FROM upload_chunk GROUP BY digest",
        args![],
        |row| {
            *counted.entry(row.get(0)?).or_default() += row.get::<i64>(1)?;
            Ok(())
        },
    )?;
    tx.each("SELECT size_bytes, chunks FROM manifest", args![], |row| {
        let (_, chunks) = manifest::unpack(row.bytes(1)?, row.get(0)?)
            .map_err(|_| Error::malformed("manifest"))?;
        for digest in chunks
            .iter()
            .map(|chunk| chunk.digest)
            .collect::<BTreeSet<_>>()
        {
            *counted.entry(digest).or_default() += 1;
        }
        Ok(())
    })?;
    tx.each("SELECT digest, reference_count FROM blob", args![], |row| {
        let (digest, count): (Digest, i64) = (row.get(0)?, row.get(1)?);
        let found = counted.remove(&digest).unwrap_or(0);
        if found != count {
            faults.push(format!(
                "blob {digest} counts {count} references, {found} are there"
            ));
        }
        Ok(())
    })?;
    for digest in counted.keys() {
        faults.push(format!("blob {digest} is referred to but unknown"));
    }
    Ok(())
}

/// Grants and offers are of something in their drive, which counts at least as many.
fn shares(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "SELECT s.node_id FROM ( \
             SELECT node_id, drive_id FROM access_grant \
             UNION ALL SELECT node_id, drive_id FROM transfer) s \
         LEFT JOIN node n ON n.id = s.node_id AND n.drive_id = s.drive_id WHERE n.id IS NULL",
        args![],
        |row| {
            let node: NodeId = row.get(0)?;
            faults.push(format!(
                "node {node} is shared, but not in the drive it is shared from"
            ));
            Ok(())
        },
    )?;
    tx.each(
        "SELECT d.id FROM drive d WHERE d.share_count < \
             (SELECT COUNT(*) FROM access_grant g WHERE g.drive_id = d.id) \
             + (SELECT COUNT(*) FROM transfer t WHERE t.drive_id = d.id)",
        args![],
        |row| {
            let drive: DriveId = row.get(0)?;
            faults.push(format!("drive {drive} shares more than it counts"));
            Ok(())
        },
    )
}

#[expect(clippy::too_many_lines, reason = "a statement and what it counts")]
fn drives(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    let wrong = tx.all(
        "WITH RECURSIVE tree (drive_id, node_id) AS ( \
             SELECT d.id, d.root_id FROM drive d \
             UNION ALL \
             SELECT t.drive_id, e.node_id FROM tree t JOIN entry e ON e.parent_id = t.node_id), \
         counted (drive_id, node_id, names) AS ( \
             SELECT drive_id, node_id, COUNT(*) FROM tree GROUP BY drive_id, node_id), \
         sums (drive_id, used, files, nodes, properties) AS ( \
             SELECT t.drive_id, CAST(SUM(n.size_bytes) AS BIGINT), \
                    CAST(SUM(CASE WHEN n.kind = 2 THEN 1 ELSE 0 END) AS BIGINT), \
                    CAST(SUM(t.names) - 1 AS BIGINT), \
                    CAST(COALESCE(SUM((SELECT SUM(OCTET_LENGTH(p.value)) FROM property p \
                        WHERE p.node_id = n.id)), 0) \
                        + COALESCE(SUM(OCTET_LENGTH(n.attributes)), 0) AS BIGINT) \
             FROM counted t JOIN node n ON n.id = t.node_id GROUP BY t.drive_id), \
         published (drive_id, contents, bytes) AS ( \
             SELECT drive_id, COUNT(*), CAST(SUM(size_bytes) AS BIGINT) FROM publication \
             GROUP BY drive_id), \
         versions (drive_id, contents, bytes) AS ( \
             SELECT drive_id, COUNT(*), CAST(SUM(size_bytes) AS BIGINT) FROM version \
             WHERE is_kept = 1 GROUP BY drive_id), \
         trashed (drive_id, items, bytes, nodes, properties) AS ( \
             SELECT drive_id, COUNT(*), CAST(SUM(size_bytes) AS BIGINT), \
                 CAST(SUM(node_count) AS BIGINT), CAST(SUM(property_bytes) AS BIGINT) \
             FROM trash WHERE is_kept = 1 GROUP BY drive_id), \
         attached (drive_id, bytes) AS ( \
             SELECT drive_id, CAST(SUM(size_bytes) AS BIGINT) FROM asset_content \
             WHERE number IS NOT NULL GROUP BY drive_id) \
         SELECT d.id, d.used_bytes, d.file_count, \
             s.used + COALESCE(p.bytes, 0) + COALESCE(v.bytes, 0) + COALESCE(t.bytes, 0) \
                 + COALESCE(x.bytes, 0), s.files, \
             d.reserved_bytes, \
             CAST(COALESCE((SELECT SUM(r.size_bytes) FROM reservation r WHERE r.drive_id = d.id), 0) \
                 AS BIGINT), \
             d.lock_count, (SELECT COUNT(*) FROM dav_lock l WHERE l.drive_id = d.id), \
             d.node_count, s.nodes, d.property_bytes, s.properties, \
             d.publication_count, COALESCE(p.contents, 0), \
             d.published_bytes, COALESCE(p.bytes, 0), \
             d.version_count, COALESCE(v.contents, 0), \
             d.versions_bytes, COALESCE(v.bytes, 0), \
             d.trash_count, COALESCE(t.items, 0), d.trash_bytes, COALESCE(t.bytes, 0), \
             d.trash_nodes, COALESCE(t.nodes, 0), \
             d.trash_property_bytes, COALESCE(t.properties, 0), \
             d.asset_bytes, COALESCE(x.bytes, 0) \
         FROM drive d JOIN sums s ON s.drive_id = d.id \
         LEFT JOIN published p ON p.drive_id = d.id \
         LEFT JOIN versions v ON v.drive_id = d.id \
         LEFT JOIN trashed t ON t.drive_id = d.id \
         LEFT JOIN attached x ON x.drive_id = d.id",
        args![],
        |row| {
            let numbers: Vec<i64> = (1..31).map(|at| row.get(at)).collect::<Result<_>>()?;
            Ok((row.get::<DriveId>(0)?, numbers))
        },
    )?;
    for (id, n) in wrong {
        if (n[0], n[1]) != (n[2], n[3]) {
            faults.push(format!(
                "drive {id} is charged {} bytes in {} files, it holds {} in {}",
                n[0], n[1], n[2], n[3]
            ));
        }
        if n[4] != n[5] {
            faults.push(format!(
                "drive {id} has {} bytes reserved, uploads hold {}",
                n[4], n[5]
            ));
        }
        if (n[8], n[10]) != (n[9], n[11]) {
            faults.push(format!(
                "drive {id} counts {} files and folders with {} bytes of properties, \
                 {} with {} are there",
                n[8], n[10], n[9], n[11]
            ));
        }
        if (n[12], n[14]) != (n[13], n[15]) {
            faults.push(format!(
                "drive {id} counts {} published contents with {} bytes, {} with {} are there",
                n[12], n[14], n[13], n[15]
            ));
        }
        if (n[16], n[18]) != (n[17], n[19]) {
            faults.push(format!(
                "drive {id} counts {} versions with {} bytes, {} with {} are there",
                n[16], n[18], n[17], n[19]
            ));
        }
        if (n[20], n[22], n[24], n[26]) != (n[21], n[23], n[25], n[27]) {
            faults.push(format!(
                "drive {id} counts {} trees with {} bytes, {} files and folders and {} bytes of \
                 properties in the trash, {} with {}, {} and {} are there",
                n[20], n[22], n[24], n[26], n[21], n[23], n[25], n[27]
            ));
        }
        if n[28] != n[29] {
            faults.push(format!(
                "drive {id} counts {} bytes in assets, {} are there",
                n[28], n[29]
            ));
        }
        if n[6] != n[7] {
            faults.push(format!(
                "drive {id} counts {} locks, {} are there",
                n[6], n[7]
            ));
        }
    }
    Ok(())
}

/// Trees that are kept count for what is in them, and nothing leads to them.
fn trash(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    let found = tx.all(
        "WITH RECURSIVE tree (root_id, node_id) AS ( \
             SELECT t.node_id, t.node_id FROM trash t WHERE t.is_kept = 1 \
             UNION ALL \
             SELECT t.root_id, e.node_id FROM tree t JOIN entry e ON e.parent_id = t.node_id), \
         counted (root_id, node_id, names) AS ( \
             SELECT root_id, node_id, COUNT(*) FROM tree GROUP BY root_id, node_id), \
         sums (root_id, bytes, files, nodes, properties) AS ( \
             SELECT t.root_id, CAST(SUM(n.size_bytes) AS BIGINT), \
                 CAST(SUM(CASE WHEN n.kind = 2 THEN 1 ELSE 0 END) AS BIGINT), \
                 CAST(SUM(t.names) AS BIGINT), \
                 CAST(COALESCE(SUM((SELECT SUM(OCTET_LENGTH(p.value)) FROM property p \
                     WHERE p.node_id = n.id)), 0) \
                        + COALESCE(SUM(OCTET_LENGTH(n.attributes)), 0) AS BIGINT) \
             FROM counted t JOIN node n ON n.id = t.node_id GROUP BY t.root_id) \
         SELECT t.node_id, t.size_bytes, t.file_count, t.node_count, t.property_bytes, \
             s.bytes, s.files, s.nodes, s.properties, \
             (SELECT COUNT(*) FROM entry e WHERE e.node_id = t.node_id) \
         FROM trash t JOIN sums s ON s.root_id = t.node_id",
        args![],
        |row| {
            let numbers: Vec<i64> = (1..10).map(|at| row.get(at)).collect::<Result<_>>()?;
            Ok((row.get::<NodeId>(0)?, numbers))
        },
    )?;
    for (id, n) in found {
        if n[..4] != n[4..8] {
            faults.push(format!(
                "tree {id} in the trash counts for {} bytes, {} files, {} files and folders and \
                 {} bytes of properties, it holds {}, {}, {} and {}",
                n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]
            ));
        }
        if n[8] != 0 {
            faults.push(format!("tree {id} is in the trash and in a folder as well"));
        }
    }
    Ok(())
}

/// Versions that are kept have a file of their drive.
fn versions(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    tx.each(
        "SELECT v.id, v.node_id FROM version v LEFT JOIN node n \
             ON n.id = v.node_id AND n.drive_id = v.drive_id AND n.kind = 2 \
         WHERE v.is_kept = 1 AND n.id IS NULL",
        args![],
        |row| {
            let (id, node): (VersionId, NodeId) = (row.get(0)?, row.get(1)?);
            faults.push(format!(
                "version {id} is of file {node}, which the drive does not have"
            ));
            Ok(())
        },
    )
}

fn capacity(tx: &mut Tx<'_>, faults: &mut Vec<String>) -> Result<()> {
    let numbers = tx.first(
        "SELECT c.used_bytes, c.reserved_bytes, \
             CAST(COALESCE((SELECT SUM(used_bytes) FROM drive), 0) AS BIGINT), \
             CAST(COALESCE((SELECT SUM(reserved_bytes) FROM drive), 0) AS BIGINT) \
         FROM capacity c WHERE c.id = 1",
        args![],
        |row| Ok([row.get::<i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?]),
    )?;
    match numbers {
        Some([used, reserved, sum_used, sum_reserved]) => {
            if (used, reserved) != (sum_used, sum_reserved) {
                faults.push(format!(
                    "the capacity counts {used} bytes used and {reserved} reserved, \
                     the drives sum to {sum_used} and {sum_reserved}"
                ));
            }
        }
        None => faults.push("the capacity row is missing".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_engine, plan};

    #[tokio::test]
    async fn nodes_are_not_scanned_for_each_manifest() {
        each_engine(async |store, _| {
            let plan = plan(store, MANIFESTS, 0).await;
            assert!(!plan.contains("CORRELATED"), "{plan}");
        })
        .await;
    }
}
