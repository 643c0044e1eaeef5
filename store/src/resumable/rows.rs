//! SQL of uploads that several requests bring.

use std::collections::{BTreeMap, BTreeSet};

use super::{Resumable, UploadTarget, UploadedFile};
use crate::content::Kept;
use crate::db::{Row, Tx, Value, args};
use crate::digest::Digest;
use crate::error::Result;
use crate::id::{DriveId, NodeId, ReservationId, UploadId, UserId};
use crate::manifest::ChunkRef;
use crate::path::{Name, Path};
use crate::reference;

/// The columns that [`read`] wants, and no others.
macro_rules! columns {
    () => {
        "id, drive_id, root_id, grant_id, folder_id, path, size_bytes, offset_bytes, sha256, \
         promised, modified_ns, metadata, if_match, if_none_match, reservation_id, node_id, etag, \
         is_created, failure_code, failure, created_at, expires_at"
    };
}
/// How many they are.
const COLUMNS: usize = 22;

fn read(row: &Row<'_>) -> Result<Resumable> {
    let folder: Option<NodeId> = row.get(4)?;
    let path = row.text(5)?;
    let stored = match (row.get(15)?, row.get(16)?) {
        (Some(node), Some(etag)) => Some(UploadedFile {
            node,
            etag,
            created: row.get(17)?,
        }),
        _ => None,
    };
    let failure: (Option<String>, Option<String>) = (row.get(18)?, row.get(19)?);
    Ok(Resumable {
        id: row.get(0)?,
        drive: row.get(1)?,
        root: row.get(2)?,
        grant: row.get(3)?,
        target: match folder {
            Some(folder) => UploadTarget::Entry {
                folder,
                name: Name::new(path)?,
            },
            None => UploadTarget::Path(Path::parse(path)?),
        },
        size_bytes: row.get(6)?,
        offset_bytes: row.get(7)?,
        sha256: row.get(8)?,
        promised: row.get(9)?,
        modified_ns: row.get(10)?,
        metadata: row.get(11)?,
        if_match: row.get(12)?,
        if_none_match: row.get(13)?,
        reservation: row.get(14)?,
        stored,
        failure: failure.0.zip(failure.1),
        created_at: row.get(20)?,
        expires_at: row.get(21)?,
    })
}

pub(crate) fn insert(tx: &mut Tx<'_>, user: UserId, new: &Resumable) -> Result<()> {
    let (folder, path) = match &new.target {
        UploadTarget::Path(path) => (None, path.to_string()),
        UploadTarget::Entry { folder, name } => (Some(*folder), name.as_str().to_owned()),
    };
    tx.execute(
        "INSERT INTO upload (id, account_id, drive_id, root_id, grant_id, folder_id, path, \
             size_bytes, offset_bytes, chunk_count, turn, sha256, promised, modified_ns, metadata, \
             if_match, if_none_match, reservation_id, is_created, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0, $9, $10, $11, $12, $13, $14, $15, 0, \
             $16, $17)",
        args![
            new.id,
            user,
            new.drive,
            new.root,
            new.grant,
            folder,
            path,
            new.size_bytes,
            new.sha256,
            new.promised,
            new.modified_ns,
            &new.metadata,
            new.if_match.as_deref(),
            new.if_none_match.as_deref(),
            new.reservation,
            new.created_at,
            new.expires_at,
        ],
    )?;
    Ok(())
}

/// A user's uploads that have not become files.
pub(crate) fn count_unfinished(tx: &mut Tx<'_>, user: UserId, now_ms: i64) -> Result<u64> {
    let count = tx.first(
        "SELECT COUNT(*) FROM upload WHERE account_id = $1 AND node_id IS NULL AND expires_at > $2",
        args![user, now_ms],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

pub(crate) fn find(
    tx: &mut Tx<'_>,
    user: UserId,
    id: UploadId,
    now_ms: i64,
) -> Result<Option<Resumable>> {
    tx.first(
        concat!(
            "SELECT ",
            columns!(),
            " FROM upload WHERE id = $1 AND account_id = $2 AND expires_at > $3"
        ),
        args![id, user, now_ms],
        read,
    )
}

/// An upload with its tail, kept from others until the transaction ends.
pub(crate) fn lock(
    tx: &mut Tx<'_>,
    user: UserId,
    id: UploadId,
    now_ms: i64,
) -> Result<Option<(Resumable, Vec<u8>)>> {
    const LOCK: &str = concat!(
        "SELECT ",
        columns!(),
        ", tail FROM upload WHERE id = $1 AND account_id = $2 AND expires_at > $3"
    );
    let sql = if tx.needs_row_locks() {
        concat!(
            "SELECT ",
            columns!(),
            ", tail FROM upload WHERE id = $1 AND account_id = $2 AND expires_at > $3 FOR UPDATE"
        )
    } else {
        LOCK
    };
    tx.first(sql, args![id, user, now_ms], |row| {
        Ok((read(row)?, tail(row, COLUMNS)?))
    })
}

fn tail(row: &Row<'_>, index: usize) -> Result<Vec<u8>> {
    Ok(row.optional_bytes(index)?.unwrap_or_default().to_vec())
}

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM upload WHERE account_id = $1 AND id > $2 AND expires_at > $3 ORDER BY id LIMIT $4"
);
const LIST_BELOW: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM upload WHERE account_id = $1 AND id > $2 AND expires_at > $3 AND root_id = $5 \
     ORDER BY id LIMIT $4"
);

/// A user's uploads, the oldest first; with `root` those that begin there.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    user: UserId,
    root: Option<NodeId>,
    now_ms: i64,
    after: Option<UploadId>,
    limit: u32,
) -> Result<Vec<Resumable>> {
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    match root {
        None => tx.all(LIST, args![user, after, now_ms, limit], read),
        Some(root) => tx.all(LIST_BELOW, args![user, after, now_ms, limit, root], read),
    }
}

/// What a request goes on from.
pub(crate) struct Begun {
    pub upload: Resumable,
    /// Names its turn: while no other has begun, it may write down how far it is.
    pub number: i64,
    pub hash: Option<Vec<u8>>,
    pub tail: Vec<u8>,
}

/// Begins a turn at an upload that is at this offset and lacks bytes.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    user: UserId,
    id: UploadId,
    offset_bytes: u64,
    now_ms: i64,
    expires_at: i64,
) -> Result<Option<Begun>> {
    tx.first(
        concat!(
            "UPDATE upload SET turn = turn + 1, expires_at = $5 \
             WHERE id = $1 AND account_id = $2 AND offset_bytes = $3 AND expires_at > $4 \
                 AND offset_bytes < size_bytes \
             RETURNING ",
            columns!(),
            ", turn, hash_state, tail"
        ),
        args![id, user, offset_bytes, now_ms, expires_at],
        |row| {
            Ok(Begun {
                upload: read(row)?,
                number: row.get(COLUMNS)?,
                hash: row.get(COLUMNS + 1)?,
                tail: tail(row, COLUMNS + 2)?,
            })
        },
    )
}

/// What a turn has brought since it last said so.
pub(crate) struct Progress<'a> {
    pub kept: &'a Kept,
    /// Those of its chunks that nobody had before.
    pub brought: &'a BTreeSet<Digest>,
    pub tail: &'a [u8],
    pub sha256: Option<Digest>,
    pub expires_at: i64,
}

/// Writes down how far an upload has come; where it is then. `None` when another turn has begun, or
/// the upload is gone.
///
/// # Errors
/// [`crate::Error::Busy`] when a blob was swept since it was announced.
pub(crate) fn advance(
    tx: &mut Tx<'_>,
    id: UploadId,
    number: i64,
    progress: &Progress<'_>,
    now_ms: i64,
) -> Result<Option<u64>> {
    let Progress { kept, tail, .. } = progress;
    let count = kept.chunks.len() as u64;
    // A tail that was there before is in the first of the chunks, or in the tail of now.
    let advanced = tx.first(
        "UPDATE upload SET \
             offset_bytes = offset_bytes - COALESCE(LENGTH(tail), 0) + $3 + $4, \
             chunk_count = chunk_count + $5, hash_state = COALESCE($6, hash_state), tail = $7, \
             sha256 = $8, expires_at = $9 \
         WHERE id = $1 AND turn = $2 AND expires_at > $10 \
         RETURNING offset_bytes, chunk_count",
        args![
            id,
            number,
            kept.size_bytes(),
            tail.len() as u64,
            count,
            kept.hash.as_deref(),
            (!tail.is_empty()).then_some(*tail),
            progress.sha256,
            progress.expires_at,
            now_ms,
        ],
        |row| Ok((row.get::<u64>(0)?, row.get::<u64>(1)?)),
    )?;
    let Some((offset_bytes, chunk_count)) = advanced else {
        return Ok(None);
    };
    let mut counts = BTreeMap::new();
    for chunk in &kept.chunks {
        *counts.entry(chunk.digest).or_insert(0) += 1;
    }
    reference::add_blobs(tx, &counts)?;
    insert_chunks(tx, id, chunk_count - count, progress)?;
    Ok(Some(offset_bytes))
}

fn insert_chunks(tx: &mut Tx<'_>, id: UploadId, first: u64, progress: &Progress<'_>) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = (first..)
        .zip(&progress.kept.chunks)
        .map(|(number, chunk)| {
            vec![
                id.into(),
                number.into(),
                chunk.digest.into(),
                chunk.len_bytes.into(),
                progress.brought.contains(&chunk.digest).into(),
            ]
        })
        .collect();
    tx.execute_many(
        "INSERT INTO upload_chunk (upload_id, number, digest, size_bytes, is_new) \
         VALUES ($1, $2, $3, $4, $5)",
        "INSERT INTO upload_chunk (upload_id, number, digest, size_bytes, is_new) \
         SELECT c.id, c.number, c.digest, c.size, c.is_new \
         FROM UNNEST($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[]) \
             AS c (id, number, digest, size, is_new)",
        &rows,
    )?;
    Ok(())
}

/// The chunks of an upload, in order.
pub(crate) fn chunks(tx: &mut Tx<'_>, id: UploadId) -> Result<Vec<ChunkRef>> {
    tx.all(
        "SELECT digest, size_bytes FROM upload_chunk WHERE upload_id = $1 ORDER BY number",
        args![id],
        |row| {
            Ok(ChunkRef {
                digest: row.get(0)?,
                len_bytes: row.get(1)?,
            })
        },
    )
}

/// The upload is a file, which has all that it referred to.
pub(crate) fn finish(
    tx: &mut Tx<'_>,
    id: UploadId,
    stored: &UploadedFile,
    expires_at: i64,
) -> Result<()> {
    tx.execute("DELETE FROM upload_chunk WHERE upload_id = $1", args![id])?;
    tx.execute(
        "UPDATE upload SET node_id = $2, etag = $3, is_created = $4, tail = NULL, \
             hash_state = NULL, reservation_id = NULL, failure_code = NULL, failure = NULL, \
             expires_at = $5 WHERE id = $1",
        args![id, stored.node, &stored.etag, stored.created, expires_at],
    )?;
    Ok(())
}

pub(crate) fn note_failure(tx: &mut Tx<'_>, id: UploadId, code: &str, detail: &str) -> Result<()> {
    tx.execute(
        "UPDATE upload SET failure_code = $2, failure = $3 WHERE id = $1 AND node_id IS NULL",
        args![id, code, detail],
    )?;
    Ok(())
}

/// Uploads that nobody can have any more.
pub(crate) fn expired(tx: &mut Tx<'_>, now_ms: i64, limit: u32) -> Result<Vec<UploadId>> {
    tx.all(
        "SELECT id FROM upload WHERE expires_at <= $1 LIMIT $2",
        args![now_ms, limit],
        |row| row.get(0),
    )
}

/// What an upload holds of its drive.
pub(crate) fn holdings(
    tx: &mut Tx<'_>,
    id: UploadId,
) -> Result<Option<(DriveId, Option<ReservationId>)>> {
    tx.first(
        "SELECT drive_id, reservation_id FROM upload WHERE id = $1",
        args![id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Takes an upload away from everybody, and from the turn that is at it.
pub(crate) fn abandon(tx: &mut Tx<'_>, id: UploadId) -> Result<()> {
    tx.execute(
        "UPDATE upload SET expires_at = 0, turn = turn + 1, tail = NULL WHERE id = $1",
        args![id],
    )?;
    Ok(())
}

/// Takes all uploads of an account, and into its drive, away from everybody.
pub(crate) fn abandon_all(tx: &mut Tx<'_>, user: UserId, drive: DriveId) -> Result<()> {
    tx.execute(
        "UPDATE upload SET expires_at = 0, turn = turn + 1, tail = NULL \
         WHERE account_id = $1 OR drive_id = $2",
        args![user, drive],
    )?;
    Ok(())
}

/// Takes the uploads into a drive that have not become files away from those whose grant, by which
/// they were begun, is gone, is in another drive now, or does not let them write any more.
pub(crate) fn abandon_ungranted(tx: &mut Tx<'_>, drive: DriveId) -> Result<()> {
    tx.execute(
        "UPDATE upload SET expires_at = 0, turn = turn + 1, tail = NULL \
         WHERE drive_id = $1 AND grant_id IS NOT NULL AND node_id IS NULL AND expires_at > 0 \
             AND NOT EXISTS (SELECT 1 FROM access_grant g WHERE g.id = upload.grant_id \
                 AND g.drive_id = $1 AND g.account_id = upload.account_id AND g.can_write = 1)",
        args![drive],
    )?;
    Ok(())
}

/// Removes some chunks of an upload; each with whether the upload brought it.
pub(crate) fn take_chunks(
    tx: &mut Tx<'_>,
    id: UploadId,
    limit: u32,
) -> Result<Vec<(Digest, bool)>> {
    tx.all(
        "DELETE FROM upload_chunk WHERE upload_id = $1 AND number IN ( \
             SELECT number FROM upload_chunk WHERE upload_id = $1 ORDER BY number LIMIT $2) \
         RETURNING digest, is_new",
        args![id, limit],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Removes an abandoned upload that has nothing left.
pub(crate) fn remove(tx: &mut Tx<'_>, id: UploadId) -> Result<()> {
    tx.execute(
        "DELETE FROM upload WHERE id = $1 AND expires_at = 0 \
             AND NOT EXISTS (SELECT 1 FROM upload_chunk WHERE upload_id = $1)",
        args![id],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_engine, plan};

    #[tokio::test]
    async fn a_part_of_a_list_is_read_in_the_order_of_its_index() {
        each_engine(async |store, _| {
            for (sql, arguments) in [(LIST, 4), (LIST_BELOW, 5)] {
                let steps = plan(store, sql, arguments).await;
                assert!(!steps.contains("TEMP B-TREE"), "{steps}");
                assert!(!steps.contains("SCAN"), "{steps}");
            }
        })
        .await;
    }
}
