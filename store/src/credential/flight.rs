//! One run of a work for all that want its outcome at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::OnceCell;

use crate::error::Result;

/// Works in progress, by key.
pub(super) struct Flights<K, T> {
    running: Mutex<HashMap<K, Arc<OnceCell<T>>>>,
}

impl<K: Copy + Eq + Hash, T: Clone> Flights<K, T> {
    pub fn new() -> Self {
        Self {
            running: Mutex::default(),
        }
    }

    /// The outcome of the work under `key`, and whether it was ours that ran.
    ///
    /// When the one whose work runs gives up or fails, the next in line runs theirs.
    pub async fn join<F, W>(&self, key: K, work: W) -> Result<(T, bool)>
    where
        K: Send + Sync,
        T: Send + Sync,
        F: Future<Output = Result<T>> + Send,
        W: FnOnce() -> F + Send,
    {
        let seat = Seat {
            cell: Arc::clone(self.lock().entry(key).or_default()),
            flights: self,
            key,
        };
        let mut is_ours = false;
        let outcome = seat
            .cell
            .get_or_try_init(|| {
                is_ours = true;
                work()
            })
            .await?
            .clone();
        if is_ours {
            // Whoever comes from now on gets a work of their own.
            seat.leave(|_| true);
        }
        Ok((outcome, is_ours))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<OnceCell<T>>>> {
        self.running.lock().expect("no panic while held")
    }
}

/// Holds a work in the table while somebody waits for it.
struct Seat<'a, K: Copy + Eq + Hash, T: Clone> {
    flights: &'a Flights<K, T>,
    key: K,
    cell: Arc<OnceCell<T>>,
}

impl<K: Copy + Eq + Hash, T: Clone> Seat<'_, K, T> {
    fn leave(&self, when: impl FnOnce(&Arc<OnceCell<T>>) -> bool) {
        let mut running = self.flights.lock();
        let is_mine = running
            .get(&self.key)
            .is_some_and(|cell| Arc::ptr_eq(cell, &self.cell) && when(cell));
        if is_mine {
            running.remove(&self.key);
        }
    }
}

impl<K: Copy + Eq + Hash, T: Clone> Drop for Seat<'_, K, T> {
    fn drop(&mut self) {
        // The last one: the table's reference and ours are all there is.
        self.leave(|cell| Arc::strong_count(cell) == 2);
    }
}
