//! Content that its owner has published by its digest: anyone may have it who knows that.
//!
//! Only what was published answers by its digest. A look-up asks for publications and nothing else,
//! so files with the same bytes, whoever has them, cannot be noticed by it. A published content is
//! one blob file whatever its length; a file of some drive may share that blob, or hold the same
//! bytes in its row or in chunks.

pub(crate) mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use crate::access;
use crate::caller::Caller;
use crate::clock::World;
use crate::content::{ContentBody, ContentWriter};
use crate::db::Tx;
use crate::digest::Digest;
use crate::download::Stored;
use crate::drive;
use crate::error::{Error, Result};
use crate::id::{DriveId, ReservationId};
use crate::manifest::ChunkRef;
use crate::node::Body;
use crate::pin::Pinned;
use crate::quota::{Bill, Lease};
use crate::reference;
use crate::store::{Limits, Store};
use crate::upload::{DISK_CHECK_BYTES, UploadPlace};

/// A content that its owner has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// Names it.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// When its owner published it first, in milliseconds since 1970-01-01 UTC.
    pub published_at: i64,
}

/// A published content as anyone may have it. It does not tell who has published it, or when.
#[derive(Debug, Clone)]
pub struct Published {
    /// Names it.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its bytes.
    pub stored: Stored,
}

/// A content that is being published. Dropped before [`Publishing::commit`], it leaves nothing.
pub struct Publishing {
    store: Store,
    caller: Caller,
    lease: Lease,
    writer: ContentWriter,
    received_bytes: u64,
    size_bytes: Option<u64>,
    pinned: Arc<Pinned>,
    _place: UploadPlace,
}

impl Store {
    /// Begins to publish a content, whose length is reserved before this returns if it is known.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a credential that only reads or is confined to a folder,
    /// [`Error::QuotaExceeded`], [`Error::CapacityExceeded`], [`Error::DiskFull`],
    /// [`Error::Limit`] when too many uploads are under way.
    pub async fn publish(&self, caller: &Caller, size_bytes: Option<u64>) -> Result<Publishing> {
        access::require_write(caller)?;
        access::require_whole_drive(caller)?;
        let place = self.upload_place(caller)?;
        self.require_room(size_bytes.unwrap_or(0))?;
        let mut lease = Lease::new(self, caller);
        match size_bytes {
            None | Some(0) => {}
            Some(size_bytes) => lease.grow(size_bytes).await?,
        }
        let pinned = Pinned::new(self);
        let (blobs, announce) = (self.blobs().clone(), pinned.announce());
        let writer = ContentWriter::one_blob(blobs, self.pool(), size_bytes, announce).await;
        Ok(Publishing {
            store: self.clone(),
            caller: caller.clone(),
            lease,
            writer,
            received_bytes: 0,
            size_bytes,
            pinned,
            _place: place,
        })
    }

    /// What anyone may have by this digest; one statement, whatever there is.
    ///
    /// # Errors
    /// Only those of the database: what is not published is `None`.
    pub async fn published(&self, digest: Digest) -> Result<Option<Published>> {
        let size_bytes = self
            .db()
            .read(move |tx| rows::published_bytes(tx, digest))
            .await?;
        Ok(size_bytes.map(|size_bytes| Published {
            digest,
            size_bytes,
            stored: Stored::from(ChunkRef {
                digest,
                len_bytes: size_bytes,
            }),
        }))
    }

    /// What the caller has published, the newest first: at most `limit` after the one that was
    /// published at that instant under that digest.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a credential that is confined to a folder.
    pub async fn publications(
        &self,
        caller: &Caller,
        after: Option<(i64, Digest)>,
        limit: u32,
    ) -> Result<Vec<Publication>> {
        access::require_whole_drive(caller)?;
        let drive = caller.drive;
        self.db()
            .read(move |tx| rows::list(tx, drive, after, limit))
            .await
    }

    /// Takes back what the caller has published. What others have published of the same content,
    /// and files that hold it, stay.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the caller has not published it, whoever else has;
    /// [`Error::Forbidden`] for a credential that only reads or is confined to a folder.
    pub async fn withdraw(&self, caller: &Caller, digest: Digest) -> Result<()> {
        access::require_write(caller)?;
        access::require_whole_drive(caller)?;
        let (drive, now_ms) = (caller.drive, self.world().now_ms());
        self.db()
            .write(move |tx| withdraw(tx, drive, digest, now_ms))
            .await
    }
}

impl Publishing {
    /// Takes the next bytes; waits while the disk is slower than the client.
    ///
    /// # Errors
    /// [`Error::ContentMismatch`] when more come than were announced, [`Error::QuotaExceeded`] and
    /// [`Error::CapacityExceeded`] when an unannounced length outgrows the room there is,
    /// [`Error::DiskFull`], [`Error::Io`].
    pub async fn write(&mut self, frame: Bytes) -> Result<()> {
        let checks = self.received_bytes / DISK_CHECK_BYTES;
        self.received_bytes += frame.len() as u64;
        if self.received_bytes / DISK_CHECK_BYTES > checks {
            self.store.require_room(0)?;
        }
        match self.size_bytes {
            Some(size) if self.received_bytes > size => {
                return Err(Error::ContentMismatch("length"));
            }
            Some(_) => {}
            None => self.lease.cover(self.received_bytes).await?,
        }
        Ok(self.writer.write(frame).await?)
    }

    /// Ends the content and publishes it, unless it is not the one `expected`. Whether the caller
    /// had not published it before.
    ///
    /// # Errors
    /// [`Error::ContentMismatch`]; [`Error::Limit`] when too much is published;
    /// [`Error::QuotaExceeded`] and [`Error::CapacityExceeded`] when the reservation ended
    /// meanwhile; [`Error::NotFound`] when the account is gone.
    pub async fn commit(self, expected: Option<Digest>) -> Result<(Publication, bool)> {
        let Self {
            store,
            caller,
            mut lease,
            writer,
            received_bytes,
            size_bytes,
            pinned,
            _place,
        } = self;
        if size_bytes.is_some_and(|size| size != received_bytes) {
            return Err(Error::ContentMismatch("length"));
        }
        let ContentBody::Blob(blob) = writer.finish().await?.body else {
            unreachable!("such a writer makes one blob of everything");
        };
        if expected.is_some_and(|expected| expected != blob.digest) {
            return Err(Error::ContentMismatch("digest"));
        }
        let (world, limits) = (store.world().clone(), store.options().limits.clone());
        let (drive, reservation) = (caller.drive, lease.id());
        let done = store
            .write_with_room(move |tx| publish(tx, &world, &limits, drive, blob, reservation))
            .await?;
        lease.settled();
        pinned.referred_to();
        Ok(done)
    }
}

fn publish(
    tx: &mut Tx<'_>,
    world: &World,
    limits: &Limits,
    drive: DriveId,
    blob: ChunkRef,
    reservation: ReservationId,
) -> Result<(Publication, bool)> {
    let mut drive = drive::rows::lock(tx, drive)?;
    let before = rows::find(tx, drive.id, blob.digest)?;
    let (publication, charged_bytes) = if let Some(before) = before {
        // Its reference keeps the blob, which has just been written anew.
        (before, 0)
    } else {
        reference::add_blob(tx, blob.digest)?;
        let publication = Publication {
            digest: blob.digest,
            size_bytes: blob.len_bytes,
            published_at: world.now_ms(),
        };
        rows::insert(tx, drive.id, &publication)?;
        drive.add_publication(blob.len_bytes, limits)?;
        (publication, blob.len_bytes)
    };
    let mut bill = Bill::default();
    bill.charge(tx, &mut drive, 0, charged_bytes, Some(reservation))?;
    bill.settle(tx, &drive)?;
    Ok((publication, before.is_none()))
}

fn withdraw(tx: &mut Tx<'_>, drive: DriveId, digest: Digest, now_ms: i64) -> Result<()> {
    let mut drive = drive::rows::lock(tx, drive)?;
    let size_bytes = rows::remove(tx, drive.id, digest)?.ok_or(Error::NotFound)?;
    reference::release(tx, [Body::Blob(digest)], now_ms)?;
    drive.remove_publication(size_bytes);
    let mut bill = Bill::default();
    bill.charge(tx, &mut drive, size_bytes, 0, None)?;
    bill.settle(tx, &drive)
}

/// Drops references of what was published from a drive that is gone, at most `limit`; whether there
/// were any. That was charged no longer, and answered to nobody, since the drive went.
pub(crate) fn purge(tx: &mut Tx<'_>, drive: DriveId, limit: u32, now_ms: i64) -> Result<bool> {
    let mut gone = Vec::new();
    for digest in rows::some_left_behind(tx, drive, limit)? {
        // Another daemon may have removed it meanwhile, and dropped its reference.
        if rows::remove(tx, drive, digest)?.is_some() {
            gone.push(Body::Blob(digest));
        }
    }
    let is_some = !gone.is_empty();
    reference::release(tx, gone, now_ms)?;
    Ok(is_some)
}
