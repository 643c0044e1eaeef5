//! The end of uploads that nobody goes on with.

use super::rows;
use crate::access;
use crate::caller::Caller;
use crate::db::Tx;
use crate::digest::Digest;
use crate::drive;
use crate::error::{Error, Result};
use crate::id::UploadId;
use crate::node::Body;
use crate::quota;
use crate::reference;
use crate::store::Store;

/// Uploads that are looked at together.
const UPLOADS: u32 = 100;
/// Chunks whose references one transaction drops: each is a row to change.
const CHUNKS: u32 = 2000;

impl Store {
    /// Gives up an upload of the caller's. Its room is given back, and it is gone for whoever brings
    /// bytes to it; one that has become a file is forgotten, the file stays.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] for a credential that only reads.
    pub async fn end_resumable(&self, caller: &Caller, id: UploadId) -> Result<()> {
        access::require_write(caller)?;
        self.resumable(caller, id).await?.ok_or(Error::NotFound)?;
        self.abandon(id).await?;
        self.running().end(id).await;
        self.purge(id).await
    }

    /// Purges uploads that have expired, and those of accounts and drives that are gone; to be
    /// called every minute.
    ///
    /// # Errors
    /// Only those of the database; what was purged stays purged.
    pub async fn purge_resumables(&self) -> Result<()> {
        let now_ms = self.world().now_ms();
        loop {
            let expired = self
                .db()
                .read(move |tx| rows::expired(tx, now_ms, UPLOADS))
                .await?;
            for id in &expired {
                self.abandon(*id).await?;
                self.purge(*id).await?;
            }
            if expired.len() < UPLOADS as usize {
                return Ok(());
            }
        }
    }

    /// Takes an upload away from everybody and gives its room back.
    async fn abandon(&self, id: UploadId) -> Result<()> {
        self.db().write(move |tx| abandon(tx, id)).await
    }

    /// Drops what an abandoned upload refers to, and then its row.
    async fn purge(&self, id: UploadId) -> Result<()> {
        loop {
            let now_ms = self.world().now_ms();
            let dropped = self.db().write(move |tx| {
                let chunks = rows::take_chunks(tx, id, CHUNKS)?;
                let bodies = chunks.iter().map(|(digest, _)| Body::Blob(*digest));
                reference::release(tx, bodies, now_ms)?;
                if chunks.is_empty() {
                    rows::remove(tx, id)?;
                }
                Ok(chunks)
            });
            let dropped = dropped.await?;
            if dropped.is_empty() {
                return Ok(());
            }
            self.let_go(dropped.into_iter(), now_ms);
        }
    }

    /// What an upload brought, and nobody else has, need not stay for the grace period. Other daemons
    /// may be about to refer to it: where there are any, it does.
    fn let_go(&self, chunks: impl Iterator<Item = (Digest, bool)>, now_ms: i64) {
        if self.db().is_exclusive() {
            let brought = chunks.filter(|(_, is_new)| *is_new);
            self.pins()
                .abandon(brought.map(|(digest, _)| digest), now_ms);
        }
    }
}

fn abandon(tx: &mut Tx<'_>, id: UploadId) -> Result<()> {
    let Some((drive, reservation)) = rows::holdings(tx, id)? else {
        return Ok(());
    };
    // The drive comes before its uploads in every transaction.
    let is_there = match drive::rows::lock(tx, drive) {
        Ok(_) => true,
        Err(Error::NotFound) => false,
        Err(error) => return Err(error),
    };
    rows::abandon(tx, id)?;
    if let Some(reservation) = reservation.filter(|_| is_there) {
        quota::release(tx, drive, reservation)?;
    }
    Ok(())
}
