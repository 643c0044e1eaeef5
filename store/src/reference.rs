//! Who refers to which content. Counts change in the transaction that adds or
//! drops the reference; what reaches 0 is left for `sweep`.

pub(crate) mod rows;

use std::collections::{BTreeMap, BTreeSet};

use crate::chunk::Cutting;
use crate::clock::World;
use crate::content::{Content, ContentBody};
use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::id::ManifestId;
use crate::manifest::{self, ChunkRef};
use crate::node::{Body, FileContent};

/// Adds a reference to content that is durable, and says how a node holds it.
///
/// # Errors
/// [`Error::Busy`] when a blob was swept since it was announced: nothing is
/// lost, the upload has to be made again.
pub(crate) fn add(tx: &mut Tx<'_>, world: &World, content: &Content) -> Result<FileContent> {
    match &content.body {
        ContentBody::Empty | ContentBody::Small(_) => {}
        ContentBody::Blob(blob) => add_blob(tx, blob.digest)?,
        ContentBody::Chunks(chunks) => {
            let distinct = chunks.iter().map(|chunk| (chunk.digest, 1)).collect();
            add_blobs(tx, &distinct)?;
        }
    }
    adopt(tx, world, content)
}

/// As [`add`], for content whose blobs have that reference already: one for each of them, however
/// often it occurs.
pub(crate) fn adopt(tx: &mut Tx<'_>, world: &World, content: &Content) -> Result<FileContent> {
    let (tag, body) = match &content.body {
        ContentBody::Empty => (Digest::EMPTY, Body::Empty),
        ContentBody::Small(bytes) => {
            let digest = content
                .sha256
                .ok_or_else(|| Error::malformed("small without digest"))?;
            rows::add_small(tx, digest, bytes)?;
            (digest, Body::Blob(digest))
        }
        ContentBody::Blob(blob) => (blob.digest, Body::Blob(blob.digest)),
        ContentBody::Chunks(chunks) => {
            let id = ManifestId::new(world);
            let packed = manifest::pack(Cutting::LOCAL, chunks);
            rows::insert_manifest(tx, id, content.size_bytes, &packed)?;
            let tag = content.sha256.unwrap_or_else(|| Digest::of(&packed));
            (tag, Body::Manifest(id))
        }
    };
    let sha256 = match content.body {
        ContentBody::Chunks(_) => content.sha256,
        _ => Some(tag),
    };
    Ok(FileContent {
        tag,
        sha256,
        kept: None,
        body,
    })
}

/// Adds a reference to a blob that is durable.
///
/// # Errors
/// As for [`add`].
pub(crate) fn add_blob(tx: &mut Tx<'_>, digest: Digest) -> Result<()> {
    add_blobs(tx, &[(digest, 1)].into())
}

/// Adds references to content that nodes already hold, `count` times each (COPY).
pub(crate) fn add_copies(tx: &mut Tx<'_>, bodies: &BTreeMap<CopiedBody, i64>) -> Result<()> {
    let mut blobs = BTreeMap::new();
    let mut manifests = Vec::new();
    for (body, count) in bodies {
        match body {
            CopiedBody::Blob(digest) => {
                blobs.insert(*digest, *count);
            }
            CopiedBody::Manifest(id) => manifests.push((*id, *count)),
        }
    }
    add_blobs(tx, &blobs)?;
    rows::add_manifest_references(tx, &manifests)
}

/// A body that takes references, as a sortable key: rows are always touched in
/// one order, so that transactions cannot deadlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CopiedBody {
    Blob(Digest),
    Manifest(ManifestId),
}

impl CopiedBody {
    /// `None` for empty content.
    pub fn of(body: Body) -> Option<Self> {
        match body {
            Body::Empty => None,
            Body::Blob(digest) => Some(Self::Blob(digest)),
            Body::Manifest(id) => Some(Self::Manifest(id)),
        }
    }
}

/// Adds `count` references to each of these blobs, which are durable.
///
/// # Errors
/// As for [`add`].
pub(crate) fn add_blobs(tx: &mut Tx<'_>, counts: &BTreeMap<Digest, i64>) -> Result<()> {
    let wanted = counts.len() as u64;
    if rows::add_references(tx, counts)? == wanted {
        Ok(())
    } else {
        Err(Error::Busy)
    }
}

/// Drops one reference for each body.
pub(crate) fn release(
    tx: &mut Tx<'_>,
    bodies: impl IntoIterator<Item = Body>,
    now_ms: i64,
) -> Result<()> {
    let mut blobs: BTreeMap<Digest, i64> = BTreeMap::new();
    for body in bodies {
        match body {
            Body::Empty => {}
            Body::Blob(digest) => *blobs.entry(digest).or_default() += 1,
            Body::Manifest(id) => {
                if let Some(chunks) = rows::release_manifest(tx, id)? {
                    for digest in chunks.iter().map(|c| c.digest).collect::<BTreeSet<_>>() {
                        *blobs.entry(digest).or_default() += 1;
                    }
                }
            }
        }
    }
    rows::release_blobs(tx, &blobs, now_ms)
}

/// Registers blobs that are about to get their names, so that `sweep` leaves them alone; those
/// that were not known before.
pub(crate) fn announce(
    tx: &mut Tx<'_>,
    blobs: &[ChunkRef],
    now_ms: i64,
) -> Result<BTreeSet<Digest>> {
    let sizes: BTreeMap<Digest, u64> = blobs
        .iter()
        .map(|blob| (blob.digest, blob.len_bytes))
        .collect();
    let known = rows::known(tx, &sizes)?;
    rows::announce(tx, &sizes, now_ms)?;
    Ok(sizes
        .into_keys()
        .filter(|digest| !known.contains(digest))
        .collect())
}
