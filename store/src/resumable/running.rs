//! The requests of this daemon that are bringing bytes, one for each upload at most.
//!
//! This keeps requests of one daemon from getting in each other's way; what keeps those of several
//! from doing harm is the row's turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::id::UploadId;
use crate::store::Store;

/// All of them.
#[derive(Default)]
pub(crate) struct Running(Mutex<HashMap<UploadId, Live>>);

struct Live {
    /// True from when no more bytes are taken.
    ending: Arc<watch::Sender<bool>>,
    over: watch::Receiver<()>,
}

/// One of them; it is over when this is dropped.
pub(super) struct Turn {
    store: Store,
    id: UploadId,
    ending: Arc<watch::Sender<bool>>,
    _over: watch::Sender<()>,
}

impl Running {
    fn table(&self) -> MutexGuard<'_, HashMap<UploadId, Live>> {
        self.0.lock().expect("no panic while held")
    }

    /// Has the request that brings bytes to an upload end, and waits until it has.
    pub async fn end(&self, id: UploadId) {
        let over = self.table().get(&id).map(|live| {
            live.ending.send_replace(true);
            live.over.clone()
        });
        if let Some(mut over) = over {
            // It never changes: its sender goes.
            let _ = over.changed().await;
        }
    }

    /// Ends all.
    pub async fn end_all(&self) {
        loop {
            let next = self.table().keys().next().copied();
            let Some(id) = next else { return };
            self.end(id).await;
        }
    }
}

impl Turn {
    /// Takes the turn at an upload, when whoever had it is about to end or has ended; `None` while
    /// another request brings bytes.
    pub async fn take(store: &Store, id: UploadId) -> Option<Self> {
        loop {
            let mut over = match store.running().table().entry(id) {
                std::collections::hash_map::Entry::Occupied(live) => {
                    let live = live.get();
                    if !*live.ending.borrow() {
                        return None;
                    }
                    live.over.clone()
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    let (sender, over) = watch::channel(());
                    let ending = Arc::new(watch::channel(false).0);
                    place.insert(Live {
                        ending: Arc::clone(&ending),
                        over,
                    });
                    return Some(Self {
                        store: store.clone(),
                        id,
                        ending,
                        _over: sender,
                    });
                }
            };
            let _ = over.changed().await;
        }
    }

    /// No more bytes are taken.
    pub fn is_ending(&self) {
        self.ending.send_replace(true);
    }

    /// Returns when somebody wants this to end.
    pub async fn must_end(&self) {
        let mut ending = self.ending.subscribe();
        // The sender is this one's own.
        let _ = ending.wait_for(|ending| *ending).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.store.running().table().remove(&self.id);
    }
}
