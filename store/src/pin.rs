//! Which blobs the uploads under way here have announced, and what becomes of those they leave.
//!
//! Nothing refers to these blobs yet. While an upload lives they are kept young, however long it
//! takes; when it ends without a commit, those which it brought are removed soon: nobody is charged
//! for them, so they must not lie on the disk for the grace period.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::content::{self, Announce};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::ChunkRef;
use crate::reference;
use crate::store::Store;

/// Blobs that one transaction of the background work touches. Each removal unlinks a file.
const BATCH: usize = 32;
const REFRESH_BATCH: usize = 500;

/// The announced blobs of all uploads under way in this process.
#[derive(Default)]
pub(crate) struct Pins(Mutex<Table>);

#[derive(Default)]
struct Table {
    held: HashMap<Digest, Pin>,
    /// Left by uploads that ended without a commit, and when they were announced.
    abandoned: HashMap<Digest, i64>,
}

struct Pin {
    uploads: usize,
    announced_at: i64,
    /// There was no such blob before an upload that is, or was, among these.
    is_new: bool,
}

impl Pins {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("no panic while held")
    }

    fn hold(&self, digest: Digest, now_ms: i64) {
        let mut table = self.table();
        let is_new = table.abandoned.remove(&digest).is_some();
        let pin = table.held.entry(digest).or_insert(Pin {
            uploads: 0,
            announced_at: now_ms,
            is_new,
        });
        pin.uploads += 1;
        pin.announced_at = now_ms;
    }

    fn came_new(&self, digests: impl IntoIterator<Item = Digest>) {
        let mut table = self.table();
        for digest in digests {
            if let Some(pin) = table.held.get_mut(&digest) {
                pin.is_new = true;
            }
        }
    }

    fn let_go(&self, digests: impl IntoIterator<Item = Digest>, referred_to: bool) {
        let mut table = self.table();
        for digest in digests {
            let Some(pin) = table.held.get_mut(&digest) else {
                continue;
            };
            pin.uploads -= 1;
            pin.is_new &= !referred_to;
            if pin.uploads == 0 {
                let (is_new, announced_at) = (pin.is_new, pin.announced_at);
                table.held.remove(&digest);
                if is_new {
                    table.abandoned.insert(digest, announced_at);
                }
            }
        }
    }

    /// Some of what was announced before an instant and is still held.
    fn older_than(&self, before_ms: i64) -> Vec<Digest> {
        let table = self.table();
        let old = table.held.iter();
        old.filter(|(_, pin)| pin.announced_at < before_ms)
            .map(|(digest, _)| *digest)
            .take(REFRESH_BATCH)
            .collect()
    }

    fn announced_again(&self, digests: &[Digest], now_ms: i64) {
        let mut table = self.table();
        for digest in digests {
            if let Some(pin) = table.held.get_mut(digest) {
                pin.announced_at = now_ms;
            }
        }
    }

    fn some_abandoned(&self) -> Vec<(Digest, i64)> {
        let table = self.table();
        let abandoned = table.abandoned.iter();
        abandoned
            .map(|(digest, at)| (*digest, *at))
            .take(BATCH)
            .collect()
    }

    fn is_held(&self, digest: &Digest) -> bool {
        self.table().held.contains_key(digest)
    }

    /// Hands over what something else has let go, if no upload holds it.
    pub fn abandon(&self, digests: impl IntoIterator<Item = Digest>, now_ms: i64) {
        let mut table = self.table();
        for digest in digests {
            match table.held.get_mut(&digest) {
                Some(pin) => pin.is_new = true,
                None => drop(table.abandoned.insert(digest, now_ms)),
            }
        }
    }

    fn forget_abandoned(&self, digests: &[(Digest, i64)]) {
        let mut table = self.table();
        for (digest, announced_at) in digests {
            // Another upload may have announced and left it since.
            if table.abandoned.get(digest) == Some(announced_at) {
                table.abandoned.remove(digest);
            }
        }
    }
}

/// What one upload has announced. It is let go when the upload, and all that works for it, has ended.
pub(crate) struct Pinned {
    store: Store,
    mine: Mutex<HashSet<Digest>>,
    referred_to: AtomicBool,
}

impl Pinned {
    pub fn new(store: &Store) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            mine: Mutex::default(),
            referred_to: AtomicBool::new(false),
        })
    }

    /// Registers blobs for this upload.
    pub fn announce(self: &Arc<Self>) -> Announce {
        let pinned = Arc::clone(self);
        Arc::new(move |blobs| {
            let pinned = Arc::clone(&pinned);
            Box::pin(async move {
                let announced = pinned.register(blobs).await;
                announced.map_err(|error| content::Error::Announce(Box::new(error)))
            })
        })
    }

    async fn register(self: Arc<Self>, blobs: Vec<ChunkRef>) -> Result<()> {
        let store = self.store.clone();
        let now_ms = store.world().now_ms();
        {
            let mut mine = self.mine.lock().expect("no panic while held");
            for blob in &blobs {
                if mine.insert(blob.digest) {
                    store.pins().hold(blob.digest, now_ms);
                }
            }
        }
        // The transaction keeps this upload's pins, also if nobody waits for it any more.
        let work = move |tx: &mut crate::db::Tx<'_>| {
            let new = reference::announce(tx, &blobs, now_ms)?;
            self.store.pins().came_new(new);
            Ok(())
        };
        store.db().write(work).await
    }

    /// Those of the blobs, all announced by this upload, that were not there before.
    pub fn brought(&self, digests: impl Iterator<Item = Digest>) -> BTreeSet<Digest> {
        let table = self.store.pins().table();
        digests
            .filter(|digest| table.held.get(digest).is_some_and(|pin| pin.is_new))
            .collect()
    }

    /// The content is committed: its blobs have references.
    pub fn referred_to(&self) {
        self.referred_to.store(true, Ordering::Relaxed);
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mine = self.mine.get_mut().expect("no panic while held");
        let referred_to = *self.referred_to.get_mut();
        self.store.pins().let_go(mine.drain(), referred_to);
    }
}

impl Store {
    /// Removes what uploads brought that ended without a commit; to be called every few seconds.
    ///
    /// As in a sweep, row and bytes go in one transaction.
    ///
    /// # Errors
    /// Those of the database and the blob store; what was removed stays removed.
    pub async fn remove_abandoned(&self) -> Result<()> {
        loop {
            let abandoned = self.pins().some_abandoned();
            if abandoned.is_empty() {
                return Ok(());
            }
            let (store, batch) = (self.clone(), abandoned.clone());
            self.db()
                .write(move |tx| {
                    for (digest, announced_at) in &batch {
                        if !store.pins().is_held(digest)
                            && reference::rows::remove_abandoned(tx, *digest, *announced_at)?
                        {
                            store.blobs().remove(digest).map_err(Error::from)?;
                        }
                    }
                    Ok(())
                })
                .await?;
            self.pins().forget_abandoned(&abandoned);
        }
    }

    /// Keeps what uploads under way have announced from growing as old as `sweep` asks for.
    pub(crate) async fn announce_again(&self) -> Result<()> {
        let grace = i64::try_from(self.options().sweep_grace.as_millis()).unwrap_or(i64::MAX);
        let now_ms = self.world().now_ms();
        loop {
            let old = self.pins().older_than(now_ms.saturating_sub(grace / 2));
            if old.is_empty() {
                return Ok(());
            }
            let digests = old.clone();
            self.db()
                .write(move |tx| reference::rows::announce_again(tx, &digests, now_ms))
                .await?;
            self.pins().announced_again(&old, now_ms);
        }
    }
}
