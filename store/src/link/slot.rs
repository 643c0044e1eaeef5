//! Counting downloads of a link exactly, however many run at once and on however many daemons.
//!
//! A limited link gives out as many slots as it has downloads left. A slot is a row with a lease: a
//! download that breaks off gives it back, and so does the end of the lease, which the daemon
//! extends while it lives. A download that is complete turns its slot into one that is done, in one
//! transaction, *before* its last bytes leave: so there are never more than the limit, whatever
//! breaks, and whoever asks after their download finds it counted.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use super::door::OpenLink;
use super::rows;
use crate::db::Tx;
use crate::error::{Error, Limited, Result};
use crate::id::{DownloadId, DriveId, LinkId};
use crate::store::Store;

/// How long a slot outlives the daemon that holds it.
const LEASE_MS: i64 = 30_000;

/// The slots held by downloads under way here.
#[derive(Default)]
pub(crate) struct Slots(Mutex<HashSet<DownloadId>>);

impl Slots {
    fn held(&self) -> MutexGuard<'_, HashSet<DownloadId>> {
        self.0.lock().expect("no panic while held")
    }
}

/// A download from a link. Dropped before [`LinkDownload::complete`], it does not count.
pub struct LinkDownload {
    store: Store,
    link: LinkId,
    drive: DriveId,
    /// Absent where nothing limits downloads.
    slot: Option<DownloadId>,
}

impl Store {
    /// Begins a download from a link.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there are no downloads left or the link has ended meanwhile,
    /// [`Error::Limit`] when all that are left are under way.
    pub async fn begin_link_download(&self, link: &OpenLink) -> Result<LinkDownload> {
        let mut download = LinkDownload {
            store: self.clone(),
            link: link.id,
            drive: link.caller.drive,
            slot: None,
        };
        if !link.is_limited {
            return Ok(download);
        }
        // Held before the transaction, so that whoever goes away meanwhile gives it back.
        let (link, slot) = (link.id, DownloadId::new(self.world()));
        self.slots().held().insert(slot);
        download.slot = Some(slot);
        let now_ms = self.world().now_ms();
        let taken = self.db().write(move |tx| take(tx, link, slot, now_ms));
        if let Err(error) = taken.await {
            // Whether a commit that failed took place, only the database knows.
            if !matches!(error, Error::Database(_)) {
                download.let_go();
            }
            return Err(error);
        }
        Ok(download)
    }

    /// Keeps the slots of downloads under way here; to be called every ten seconds.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn extend_link_downloads(&self) -> Result<()> {
        let mut held: Vec<DownloadId> = self.slots().held().iter().copied().collect();
        if held.is_empty() {
            return Ok(());
        }
        held.sort_unstable();
        let until = self.world().now_ms() + LEASE_MS;
        self.db()
            .write(move |tx| rows::extend_downloads(tx, &held, until))
            .await
    }

    /// On an exclusive database no other daemon lives: whatever is under way is left over.
    pub(crate) async fn drop_left_downloads(&self) -> Result<()> {
        if self.db().is_exclusive() {
            self.db()
                .write(|tx| rows::purge_downloads(tx, i64::MAX))
                .await?;
        }
        Ok(())
    }
}

impl LinkDownload {
    /// Counts the download: everything but its last bytes was handed out.
    ///
    /// # Errors
    /// [`Error::Limit`] when its slot was lost to others meanwhile (the daemon stood still for
    /// longer than a lease): it must not be completed then.
    pub async fn complete(mut self) -> Result<()> {
        let Some(slot) = self.slot else {
            self.store.note_link_use(self.link, self.drive, 1);
            return Ok(());
        };
        let (link, now_ms) = (self.link, self.store.world().now_ms());
        self.store
            .db()
            .write(move |tx| complete(tx, link, slot, now_ms))
            .await?;
        self.let_go();
        Ok(())
    }

    /// There is nothing to give back.
    fn let_go(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.store.slots().held().remove(&slot);
        }
    }
}

impl Drop for LinkDownload {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else {
            return;
        };
        let store = self.store.clone();
        store.slots().held().remove(&slot);
        // Not always dropped on a thread of the runtime, as a reservation.
        self.store.runtime().spawn(async move {
            let now_ms = store.world().now_ms();
            let given_back = store
                .db()
                .write(move |tx| rows::remove_download(tx, slot, now_ms))
                .await;
            if let Err(error) = given_back {
                tracing::warn!(%error, "a download's slot stays until its lease ends");
            }
        });
    }
}

fn take(tx: &mut Tx<'_>, link: LinkId, slot: DownloadId, now_ms: i64) -> Result<()> {
    let room = rows::lock_room(tx, link)?.ok_or(Error::NotFound)?;
    if room.expires_at.is_some_and(|at| at <= now_ms) {
        return Err(Error::NotFound);
    }
    if let Some(most) = room.most {
        if room.done >= most {
            return Err(Error::NotFound);
        }
        require_room(tx, link, &room, now_ms)?;
    }
    rows::insert_download(tx, slot, link, now_ms + LEASE_MS)
}

fn complete(tx: &mut Tx<'_>, link: LinkId, slot: DownloadId, now_ms: i64) -> Result<()> {
    let Some(room) = rows::lock_room(tx, link)? else {
        // Revoked meanwhile: what had begun may end.
        return Ok(());
    };
    if !rows::remove_download(tx, slot, now_ms)? {
        require_room(tx, link, &room, now_ms)?;
    }
    rows::count_uses(tx, &[(link, 1, now_ms)])
}

fn require_room(tx: &mut Tx<'_>, link: LinkId, room: &rows::Room, now_ms: i64) -> Result<()> {
    let Some(most) = room.most else {
        return Ok(());
    };
    if room.done + rows::running(tx, link, now_ms)? < most {
        return Ok(());
    }
    Err(Error::Limit {
        what: Limited::Downloads,
        limit: most,
    })
}
