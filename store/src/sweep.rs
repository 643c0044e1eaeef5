//! Removing what nothing refers to any more: trees that were deleted, blobs
//! whose last reference is gone for longer than the grace period.

pub(crate) mod rows;

use crate::chunk::Cutting;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::names;
use crate::node::Node;
use crate::publication;
use crate::reference;
use crate::store::Store;
use crate::version;

/// Members of deleted folders, or contents published from a removed drive, that one transaction
/// purges.
const MEMBERS: u32 = 500;
/// Chunks, at a guess, whose references one transaction drops: each is a row to change.
const CHUNKS: u64 = 2000;
/// Blobs that one transaction removes, unlinking their files before it ends.
const BLOBS: u32 = 32;

/// What a sweep did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs removed.
    pub blobs: u64,
    /// Their bytes.
    pub size_bytes: u64,
}

impl Store {
    /// Purges some of what was given up: versions, or what deleted folders held. Whether there is
    /// more to do.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn purge_trash(&self) -> Result<bool> {
        let now_ms = self.world().now_ms();
        self.db()
            .write(move |tx| {
                if version::purge(tx, now_ms)? {
                    return Ok(true);
                }
                let Some((root, drive)) = rows::oldest_trash(tx)? else {
                    return Ok(false);
                };
                let mut members = rows::some_members(tx, root, MEMBERS)?;
                members.truncate(at_once(members.iter().map(|member| member.size_bytes)));
                if members.is_empty() {
                    // What a removed drive had published goes with its root.
                    if publication::purge(tx, drive, MEMBERS, now_ms)? {
                        return Ok(true);
                    }
                    version::abandon(tx, drive, &[root])?;
                    let file = crate::node::rows::find(tx, root)?;
                    let content = file.as_ref().and_then(Node::content);
                    reference::release(tx, content.map(|content| content.body), now_ms)?;
                    rows::remove_trash(tx, root)?;
                    crate::node::rows::remove(tx, root)?;
                    return Ok(true);
                }
                drop_names(tx, &mut members)?;
                let nodes: Vec<NodeId> = members.iter().map(|member| member.node).collect();
                version::abandon(tx, drive, &nodes)?;
                let bodies = members.iter().filter_map(|member| member.body);
                reference::release(tx, bodies, now_ms)?;
                for member in &members {
                    if member.is_empty_folder || member.body.is_some() {
                        rows::remove_member(tx, member)?;
                    } else {
                        // A folder with members of its own becomes a tree to purge by itself.
                        rows::detach(tx, member, now_ms)?;
                    }
                }
                Ok(true)
            })
            .await
    }

    /// Sweeps if a write was refused for want of room since the last time.
    ///
    /// # Errors
    /// As [`Self::sweep`].
    pub async fn sweep_if_short(&self) -> Result<()> {
        if self.take_disk_short() {
            self.sweep(false).await?;
        }
        Ok(())
    }

    /// Removes blobs that nothing referred to for the grace period.
    ///
    /// The row goes in the same transaction that removes the bytes, so an
    /// upload that announces the blob either keeps both or writes both anew.
    ///
    /// # Errors
    /// Those of the database and the blob store; what was removed stays removed.
    pub async fn sweep(&self, dry_run: bool) -> Result<Swept> {
        while !dry_run && self.purge_trash().await? {}
        while !dry_run && self.purge_asset_contents().await? {}
        let grace = i64::try_from(self.options().sweep_grace.as_millis()).unwrap_or(i64::MAX);
        let before = self.world().now_ms().saturating_sub(grace);
        if dry_run {
            return self
                .db()
                .read(move |tx| rows::unreferenced(tx, before))
                .await;
        }
        let mut swept = Swept::default();
        loop {
            let blobs = self.blobs().clone();
            let batch = self
                .db()
                .write(move |tx| {
                    let mut batch = Swept::default();
                    for (digest, size_bytes) in rows::take_unreferenced(tx, before, BLOBS)? {
                        // Bytes in the row may also be in a file, as a chunk of something longer.
                        blobs.remove(&digest).map_err(Error::from)?;
                        batch.blobs += 1;
                        batch.size_bytes += size_bytes;
                    }
                    Ok(batch)
                })
                .await?;
            if batch.blobs == 0 {
                return Ok(swept);
            }
            swept.blobs += batch.blobs;
            swept.size_bytes += batch.size_bytes;
        }
    }
}

/// Takes out names of files that have others: only what has its last name here is purged with it.
fn drop_names(tx: &mut Tx<'_>, members: &mut Vec<rows::Member>) -> Result<()> {
    let mut last = Vec::with_capacity(members.len());
    for member in members.drain(..) {
        if member.has_links && names::rows::remove_unless_last(tx, member.node)? {
            rows::remove_entry(tx, &member)?;
        } else {
            last.push(member);
        }
    }
    *members = last;
    Ok(())
}

/// How many contents of these sizes one transaction releases: at least one.
pub(crate) fn at_once(sizes: impl IntoIterator<Item = u64>) -> usize {
    let mut chunks = 0;
    let few = sizes.into_iter().take_while(|size_bytes| {
        let fits = chunks < CHUNKS;
        chunks += size_bytes / u64::from(Cutting::LOCAL.average_bytes);
        fits
    });
    few.count()
}
