//! SQL of blobs and manifests.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::{Tx, Value, args};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::id::ManifestId;
use crate::manifest::{self, ChunkRef};

/// Adds a reference to bytes that are kept in the row.
///
/// The row may be there without them: announced by an upload that was never finished, or of a
/// chunk whose file is damaged. The bytes are taken then, as nothing else is known to hold them.
pub(crate) fn add_small(tx: &mut Tx<'_>, digest: Digest, data: &[u8]) -> Result<()> {
    tx.execute(
        "INSERT INTO blob (digest, size_bytes, reference_count, data) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (digest) DO UPDATE SET reference_count = blob.reference_count + 1, \
             unreferenced_at = NULL, data = COALESCE(blob.data, EXCLUDED.data)",
        args![digest, data.len() as u64, data],
    )?;
    Ok(())
}

/// Raises counts; how many of the blobs are there.
pub(crate) fn add_references(tx: &mut Tx<'_>, counts: &BTreeMap<Digest, i64>) -> Result<u64> {
    tx.execute_many(
        "UPDATE blob SET reference_count = reference_count + $2, unreferenced_at = NULL \
         WHERE digest = $1",
        "UPDATE blob SET reference_count = reference_count + c.count, unreferenced_at = NULL \
         FROM UNNEST($1::bytea[], $2::bigint[]) AS c (digest, count) WHERE blob.digest = c.digest",
        &pairs(counts),
    )
}

pub(crate) fn release_blobs(
    tx: &mut Tx<'_>,
    counts: &BTreeMap<Digest, i64>,
    now_ms: i64,
) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = counts
        .iter()
        .map(|(digest, count)| vec![(*digest).into(), (*count).into(), now_ms.into()])
        .collect();
    tx.execute_many(
        "UPDATE blob SET reference_count = reference_count - $2, \
             unreferenced_at = CASE WHEN reference_count = $2 THEN $3 END WHERE digest = $1",
        "UPDATE blob SET reference_count = reference_count - c.count, \
             unreferenced_at = CASE WHEN reference_count = c.count THEN c.at END \
         FROM UNNEST($1::bytea[], $2::bigint[], $3::bigint[]) AS c (digest, count, at) \
         WHERE blob.digest = c.digest",
        &rows,
    )?;
    Ok(())
}

fn pairs(counts: &BTreeMap<Digest, i64>) -> Vec<Vec<Value<'static>>> {
    counts
        .iter()
        .map(|(digest, count)| vec![(*digest).into(), (*count).into()])
        .collect()
}

/// Those of the blobs that have a row.
pub(crate) fn known(tx: &mut Tx<'_>, sizes: &BTreeMap<Digest, u64>) -> Result<BTreeSet<Digest>> {
    let keys: Vec<Value<'_>> = sizes.keys().map(|digest| Value::from(*digest)).collect();
    let known = tx.all_of(
        "SELECT digest FROM blob WHERE digest = $1",
        "SELECT digest FROM blob WHERE digest = ANY($1)",
        &keys,
        |row| row.get(0),
    )?;
    Ok(known.into_iter().collect())
}

/// Makes blobs that were announced, and have no reference yet, young again.
pub(crate) fn announce_again(tx: &mut Tx<'_>, digests: &[Digest], now_ms: i64) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = digests
        .iter()
        .map(|digest| vec![(*digest).into(), now_ms.into()])
        .collect();
    tx.execute_many(
        "UPDATE blob SET unreferenced_at = $2 WHERE digest = $1 AND reference_count = 0",
        "UPDATE blob SET unreferenced_at = c.at \
         FROM UNNEST($1::bytea[], $2::bigint[]) AS c (digest, at) \
         WHERE blob.digest = c.digest AND reference_count = 0",
        &rows,
    )?;
    Ok(())
}

/// Removes a row that is still as an upload announced it at `announced_at`; whether it was.
pub(crate) fn remove_abandoned(tx: &mut Tx<'_>, digest: Digest, announced_at: i64) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM blob WHERE digest = $1 AND reference_count = 0 AND unreferenced_at <= $2",
        args![digest, announced_at],
    )?;
    Ok(removed == 1)
}

pub(crate) fn announce(tx: &mut Tx<'_>, sizes: &BTreeMap<Digest, u64>, now_ms: i64) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = sizes
        .iter()
        .map(|(digest, size)| vec![(*digest).into(), (*size).into(), now_ms.into()])
        .collect();
    tx.execute_many(
        "INSERT INTO blob (digest, size_bytes, reference_count, unreferenced_at) \
         VALUES ($1, $2, 0, $3) ON CONFLICT (digest) DO UPDATE \
         SET unreferenced_at = CASE WHEN blob.reference_count = 0 THEN $3 END",
        "INSERT INTO blob (digest, size_bytes, reference_count, unreferenced_at) \
         SELECT c.digest, c.size, 0, c.at \
         FROM UNNEST($1::bytea[], $2::bigint[], $3::bigint[]) AS c (digest, size, at) \
         ON CONFLICT (digest) DO UPDATE SET unreferenced_at = \
             CASE WHEN blob.reference_count = 0 THEN EXCLUDED.unreferenced_at END",
        &rows,
    )?;
    Ok(())
}

pub(crate) fn insert_manifest(
    tx: &mut Tx<'_>,
    id: ManifestId,
    size_bytes: u64,
    packed: &[u8],
) -> Result<()> {
    tx.execute(
        "INSERT INTO manifest (id, size_bytes, reference_count, chunks) VALUES ($1, $2, 1, $3)",
        args![id, size_bytes, packed],
    )?;
    Ok(())
}

pub(crate) fn find_manifest(tx: &mut Tx<'_>, id: ManifestId) -> Result<Option<Vec<ChunkRef>>> {
    tx.first(
        "SELECT size_bytes, chunks FROM manifest WHERE id = $1",
        args![id],
        |row| unpack(row.bytes(1)?, row.get(0)?),
    )
}

pub(crate) fn unpack(packed: &[u8], size_bytes: u64) -> Result<Vec<ChunkRef>> {
    manifest::unpack(packed, size_bytes)
        .map(|(_, chunks)| chunks)
        .map_err(|_| Error::malformed("manifest"))
}

pub(crate) fn add_manifest_references(tx: &mut Tx<'_>, counts: &[(ManifestId, i64)]) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = counts
        .iter()
        .map(|(id, count)| vec![(*id).into(), (*count).into()])
        .collect();
    tx.execute_many(
        "UPDATE manifest SET reference_count = reference_count + $2 WHERE id = $1",
        "UPDATE manifest SET reference_count = reference_count + c.count \
         FROM UNNEST($1::bytea[], $2::bigint[]) AS c (id, count) WHERE manifest.id = c.id",
        &rows,
    )?;
    Ok(())
}

/// Drops one reference; at the last one the manifest goes and its chunks are returned.
pub(crate) fn release_manifest(tx: &mut Tx<'_>, id: ManifestId) -> Result<Option<Vec<ChunkRef>>> {
    let left = tx.first(
        "UPDATE manifest SET reference_count = reference_count - 1 WHERE id = $1 \
         RETURNING reference_count, size_bytes, chunks",
        args![id],
        |row| {
            let count: i64 = row.get(0)?;
            let chunks = if count == 0 {
                Some(unpack(row.bytes(2)?, row.get(1)?)?)
            } else {
                None
            };
            Ok(chunks)
        },
    )?;
    let Some(Some(chunks)) = left else {
        return Ok(None);
    };
    tx.execute("DELETE FROM manifest WHERE id = $1", args![id])?;
    Ok(Some(chunks))
}
