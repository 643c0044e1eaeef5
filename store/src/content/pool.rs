//! The memory that all uploads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::Error;

/// What an upload works on at once, when memory is plenty. Four such steps can be under way.
const STEP_BYTES: usize = 1 << 20;
/// Below this, the work per step would outweigh the bytes.
const MIN_STEP_BYTES: usize = 32 << 10;
/// Blocking jobs of all uploads at the same time: enough for disks to merge their syncs, and some
/// threads of the runtime stay free for others.
const JOBS: usize = 64;

/// Memory for bytes that came in and are not on disk yet.
///
/// Nobody waits for memory while holding some: an upload that finds the pool empty first lets its
/// own bytes go to disk. So waiting always ends. An idle upload may sit on less than one step, and
/// steps become smaller the more uploads there are, so idle ones never hold it all.
#[derive(Clone)]
pub(crate) struct MemoryPool(Arc<Shared>);

struct Shared {
    total_bytes: usize,
    free: Arc<Semaphore>,
    jobs: Arc<Semaphore>,
    uploads: AtomicUsize,
}

/// Memory taken from the pool; returned on drop.
pub(super) type Held = OwnedSemaphorePermit;

/// The part of one upload in the pool.
pub(super) struct Seat(Arc<Shared>);

impl MemoryPool {
    /// The default size, 128 MiB.
    pub(crate) const BYTES: usize = 128 << 20;

    /// A pool of so many bytes, which is at least 1 MiB and below 4 GiB.
    pub(crate) fn new(total_bytes: usize) -> Self {
        let total_bytes = total_bytes.clamp(1 << 20, u32::MAX as usize);
        Self(Arc::new(Shared {
            total_bytes,
            free: Arc::new(Semaphore::new(total_bytes)),
            jobs: Arc::new(Semaphore::new(JOBS)),
            uploads: AtomicUsize::new(0),
        }))
    }

    pub(super) fn join(&self) -> Seat {
        self.0.uploads.fetch_add(1, Ordering::Relaxed);
        Seat(Arc::clone(&self.0))
    }

    #[cfg(test)]
    pub(super) fn free_bytes(&self) -> usize {
        self.0.free.available_permits()
    }
}

impl Seat {
    /// How much to gather before working on it.
    pub(super) fn step_bytes(&self) -> usize {
        let uploads = self.0.uploads.load(Ordering::Relaxed).max(1);
        (self.0.total_bytes / 8 / uploads).clamp(MIN_STEP_BYTES, STEP_BYTES)
    }

    pub(super) fn try_take(&self, bytes: usize) -> Option<Held> {
        Arc::clone(&self.0.free)
            .try_acquire_many_owned(self.permits(bytes))
            .ok()
    }

    /// Waits for memory. The caller must not hold any.
    pub(super) async fn take(&self, bytes: usize) -> Held {
        let free = Arc::clone(&self.0.free);
        free.acquire_many_owned(self.permits(bytes))
            .await
            .expect("the pool is never closed")
    }

    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.0.total_bytes)).expect("the pool is below 4 GiB")
    }

    /// Runs a blocking job that waits for nothing but CPU and disk.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Job<T> {
        let jobs = Arc::clone(&self.0.jobs);
        let permit = jobs.acquire_owned().await.expect("never closed");
        Job(tokio::task::spawn_blocking(move || {
            let result = job();
            drop(permit);
            result
        }))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.uploads.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A blocking job under way. It runs to its end even if nobody waits for it.
pub(super) struct Job<T>(JoinHandle<Result<T, Error>>);

impl<T> Job<T> {
    pub(super) async fn wait(self) -> Result<T, Error> {
        self.0.await.map_err(Error::job)?
    }
}
